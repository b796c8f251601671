"""What others are told of a pipeline: its topics as AsyncAPI has them, and a page for people.

All of it is made from the definition and the settings, without a broker and without running a
model, and is the same whenever they are the same. So it can be kept beside the code, and compared.

`published` lists the Avro schemas, `json_schema` and `event_json` say what JSON is like, and
`wrapping` what is in the records of sources. `values` makes up values, `produced` an event, and
`examples` what comes of it. `messages` and `asyncapi` are the document, `facts` and `page` the
page, and `try_it` has its commands.
"""
