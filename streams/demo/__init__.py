"""The demo: a stream of loan applications played to a real worker, and watched as it learns.

A broker runs in this process and the worker in one of its own. The script is sent at an even
pace: events, their labels some hundred events later, a drift half-way, and a handful of records
that cannot be used. Everything shown comes from where a user would look: the worker's `/metrics`
and the topics `alerts` and `predictions`.

::

    script ─► player ─► events, labels ─► worker ─► /metrics, alerts, predictions
                │                                             │
                └────────────────► state ◄────────────────────┘
                                     │
                                     ├─► view (terminal) or lines (anywhere else)
                                     └─► summary, accounts
"""
