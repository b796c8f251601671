"""Operators: what happens to a record, without Kafka, without Faust, without a clock.

::

    events, labels ─► ingest ─► clean ─► feature ─► features ─► prediction ─► predictions ─► drift
                                                                    │  ▲                       │
                                                               examples models                 │
                                                                    ▼  │                       ▼
                                                                 learning ──────────────► alerts

Each is a pure fold over the records of one partition (`base`), with keyed state (`state`).
`streams.task` chains them; `streams.engine` feeds them from Kafka and commits what they make.
"""
