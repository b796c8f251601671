"""The parts of the benchmark, by name.

Each takes a session and adds its results to it. In each round, every contestant has its turn, in
another order each time, so that whatever else the machine does affects all of them.
"""

from __future__ import annotations

from bench.parts.growth import growth
from bench.parts.latency import latency
from bench.parts.scaling import keys, partitions, restore, workers
from bench.parts.throughput import delayed, envelopes, guarantee, stages, throughput

PARTS = {
    each.__name__: each
    for each in (
        *(throughput, delayed, stages, envelopes, guarantee, latency),
        *(workers, partitions, keys, restore, growth),
    )
}
DEFAULT = ("throughput", "guarantee", "latency")  # what `make bench` measures
_EMBEDDED = {"throughput", "delayed", "stages", "envelopes", "latency", "growth"}
NEED_KAFKA = frozenset(PARTS) - _EMBEDDED  # what the embedded broker cannot run
