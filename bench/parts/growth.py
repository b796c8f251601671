"""What an event costs as something grows: CPU time, memory, and the longest pause.

`candidates` and `features` are measured in memory, where a pause is the longest fold of a slice, in
CPU time. The others need what a worker does beside the fold: there, a pause is the longest time in
which no prediction became visible, and the state is written every second.

- `waiting`: events that wait for their labels, each label as many events behind.
- `keys`: keys with a rolling window each, and one model.
- `models`: keys with a model each.
- `partitions`: with one model each.

What grows is there before the clock starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice, product

import click

from bench import data
from bench.contestants import with_variables
from bench.job import Job
from bench.parts.scaling import shuffled
from bench.process import run_in_memory
from bench.results import Result
from bench.session import LOGISTIC, Session

_EVENTS_IN_MEMORY = 20_000
_EVENTS_ON_KAFKA = 60_000  # some seconds, and so some writes of the state


@dataclass(frozen=True)
class Axis:
    """Something that grows.

    Attributes
    ----------
    sizes
        How many of it there are.
    job
        Makes the job of a size.
    keys
        Makes the keys of what is there before the clock starts and of so many events more; None
        where it is measured in memory.
    """

    sizes: Sequence[int]
    job: Callable[[Job, int], Job]
    keys: Callable[[int, int], Sequence[str]] | None = None


def _with_features(job: Job, size: int) -> Job:
    return replace(job, features=[f"x{number}" for number in range(size)])


def _with_partitions(job: Job, size: int) -> Job:
    return replace(job, keyed=True, scope="partition", partitions=size)


def _numbered(size: int, more: int) -> list[str]:
    return [*map(str, range(size + more))]


def _balanced(size: int, more: int) -> list[str]:
    return [*islice(cycle(data.balanced_keys(size)), more)]


FIGURES = ("cpu_seconds_per_million", "peak_rss_bytes", "longest_pause_seconds")
_SIZES = (1_000, 10_000, 100_000, 1_000_000)
AXES: Mapping[str, Axis] = {
    "candidates": Axis((1, 2, 4, 8), lambda job, size: replace(job, candidates=size)),
    "features": Axis((5, 20, 50, 100, 200), _with_features),
    "waiting": Axis(_SIZES, lambda job, size: replace(job, label_delay=size), _numbered),
    "keys": Axis(_SIZES, lambda job, _: replace(job, keyed=True, windows=True), shuffled),
    "models": Axis(_SIZES[:2], lambda job, _: replace(job, keyed=True, scope="key"), shuffled),
    "partitions": Axis((1, 4, 16, 64), _with_partitions, _balanced),
}


def growth(session: Session) -> None:
    """CPU time, memory and the longest pause as something grows (--axis, --largest)."""
    for number, name in product(range(session.rounds), session.axes or AXES):
        axis = AXES[name]
        if axis.keys and not session.broker.is_real:
            click.echo(f"{name}: not measured, it needs a real Kafka")
            continue
        for size in axis.sizes:
            if size <= session.largest:
                about = {"axis": name, "size": size, "model": LOGISTIC, "round": number}
                _measure(session, about, axis, size)


def _measure(session: Session, about: Result, axis: Axis, size: int) -> None:
    if axis.keys is None:
        job = axis.job(session.job_in_memory(LOGISTIC), size)
        job = replace(job, events=session.events or _EVENTS_IN_MEMORY)
        session.attempt({"contestant": "full", **about}, _in_memory, job)
        return
    events = session.events or _EVENTS_ON_KAFKA
    keys = axis.keys(size, events)
    for name in session.choose(("full",)):
        job = replace(axis.job(session.job(LOGISTIC), size), events=len(keys))
        command = with_variables(session.command(name), MILLRACE_FLUSH_SECONDS="1")
        before = len(keys) - events
        of = {"contestant": name, **about}
        session.attempt(of, session.throughput, command, job, keys, before)


def _in_memory(job: Job) -> Result:
    found = run_in_memory("fold", job)
    return {name: found[name] for name in FIGURES}
