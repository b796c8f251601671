"""Operators: what happens to a record, without Kafka, without Faust, without a clock.

::

    events, labels ─► ingest ─► clean ─► feature ─► features ─► prediction ─► predictions ─► drift
                                                                    │  ▲                       │
                                                               examples models                 │
                                                                    ▼  │                       ▼
                                                                 learning ──────────────► alerts

Each is a pure fold over the records of one partition (`base`), with keyed state (`state`).
`topology.task` chains them; `runtime.engine` feeds them from Kafka and commits their outputs.
"""
