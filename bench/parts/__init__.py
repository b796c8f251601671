"""What can be measured, by name. A part says which steps it consists of; the runner takes them.

The steps of all rounds follow one another, and in each round every contestant has its turn, in
another order each time: what the machine does besides falls on all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.parts import latency, scaling, stages, state, throughput
from bench.session import Session, Step


@dataclass(frozen=True)
class Part:
    """Something that can be measured.

    Attributes
    ----------
    what
        In one line.
    steps
        Returns what has to be done.
    needs_kafka
        Whether the embedded broker will not do.
    is_default
        Whether `make bench` measures it.
    """

    what: str
    steps: Callable[[Session], list[Step]]
    needs_kafka: bool = False
    is_default: bool = False


PARTS = {
    "throughput": Part(
        "Events/s, CPU and memory of every contestant, as ratios to the bare River loop.",
        throughput.steps,
        is_default=True,
    ),
    "stages": Part("Where the time of an event goes in Millrace, in memory.", stages.steps),
    "guarantee": Part(
        "The cost of exactly once against at least once.",
        throughput.guarantee_steps,
        needs_kafka=True,
        is_default=True,
    ),
    "latency": Part(
        "From due to visible, at 25, 50 and 75 % of the most that each contestant takes.",
        latency.steps,
        is_default=True,
    ),
    "workers": Part("Events/s with 1 and 2 workers.", scaling.worker_steps, needs_kafka=True),
    "partitions": Part(
        "Events/s over 1 to 64 partitions.", scaling.partition_steps, needs_kafka=True
    ),
    "keys": Part("Events/s as keyed state grows.", state.key_steps, needs_kafka=True),
    "restore": Part("Time to read state back, by its size.", state.restore_steps, needs_kafka=True),
}
