"""The benchmark: Millrace beside its peers, on one broker, with the same data and the same models.

Outside the flow of records: it starts what it measures as anybody would, one process each, and
looks at it from outside. `make bench` runs it; `python -m bench --help` says what there is to
choose; docs/performance.md says what is measured, and what was found.

::

    data ─► topics (events, filled first) ─► one contestant ─► topics (predictions) ─► watch
                                                                                        │
                                          table, plot, guard ◄─ results/*.json ◄─ parts ┘

The package needs nothing but Millrace's own requirements. Contestants that need others get
virtual environments of their own in `.bench/`; so does the plot.
"""
