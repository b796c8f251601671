"""Replay: a table of rows as a stream of events, and a report of how a pipeline did.

Every row becomes an event, in the order of the table. Its label is inside the event, or follows
some events later. The pipeline runs in this process (`in_memory`), or in a worker with Kafka
between, whose `/metrics` give the report. On one partition the metrics are those of River's
`progressive_val_score` on the same rows, to the last digit, whatever the speed.

::

    source ─► encoding ─► in_memory ─────────────────────────────────────────► report
                 └──────► feed ─► events ─► worker ─► /metrics ─► watch ─────────┘
                           ▲                                        │
                           └────────────────── window ◄─────────────┘
"""
