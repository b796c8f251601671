"""Replay: a table of rows as a stream, through the pipeline that would serve it live.

Every row becomes an event, in the file's order, and its label follows, inside the event or some
events later. What runs is the worker itself, in a process of its own, with Kafka between; what
is reported is what its `/metrics` says. With one partition the metrics are those that River's
`progressive_val_score` gives on the same rows, to the last digit, whatever the speed.

::

    source ─► encoding ─► feed ─► events ─► worker ─► /metrics ─► watch ─► report
                           ▲                                        │
                           └────────────────── window ◄─────────────┘
"""
