"""Operators: what happens to a record, without Kafka, without Faust, without a clock.

::

    events, labels ─► ingest ─► clean ─► feature ─► features ─► prediction ─► predictions ─► drift
                         │                                       │  │  ▲                       │
                         ▼                              outcomes ◄  │  │                       ▼
                      rejects                                 examples models                alerts
                                                                    ▼  │                       ▲
                                                                  learning ────────────────────┘

Each is a pure fold over slices of the records of one partition (`base`, `slice`, `record`), with
keyed state (`keyed_state`). A label meets its event in `label_join`, and what became of the two is
written by `outcomes`. `registry` lists the operators; `topology` chains them; `runtime` feeds them
from Kafka and commits what they make.
"""
