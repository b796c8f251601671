"""The benchmark: Millrace compared with its peers on one broker, with the same events and models.

It starts each contestant as a user would, in a process of its own, and measures it from outside.
`make bench` runs it, `python -m bench --help` lists the options, and docs/performance.md describes
what is measured and what was found.

::

    data ─► topic `events` ─► one contestant ─► topic `predictions` ─► reader ─► measure
                                                                                   │
                                      tables, plot, guard ◄─ results/*.json ◄─ parts

Contestants are in `bench.subjects`; `bench.learner` is what those of bare work share, `bench.equal`
what those of equal work do. Only `bench.pipeline` (the public API) and `bench.subjects.fold` (the
operators in memory) import Millrace; everything else treats it as a program. See
bench/pyproject.toml for the dependencies.
"""
