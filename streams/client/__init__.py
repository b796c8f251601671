"""A client of `millrace serve`, for programs that have no Kafka client.

It imports neither Kafka nor River. What is asked, when it is asked again, and what an answer means
is written once, as steps without any I/O; one client takes them with a blocking connection, another
with `asyncio`.

::

    blocking, asynchronous     the two clients
    connection                 what both do with httpx
    requests                   what is asked for, and what is returned
    steps                      until when it is asked again
    events                     server-sent events, and where some may be missing
    errors                     what the server answers instead
"""
