"""`millrace serve`: a pipeline over HTTP.

A process of its own, and a client of the topics like any other: it produces events, labels and
commands, and follows what workers write. It runs none of the pipeline's code: what it has to know
of the definition is in the topic `definitions`, as data. Any number of such processes may run.

::

    app        routes, who may do what          access, tokens, problems, protocol, openapi
    service    one answer for each event        definition, waiting, sending
    knowledge  what is known of the pipeline    following, stream
"""
