"""One run of one contestant: events per second, CPU and memory, seen from outside.

A contestant is started, and given a few hundred events to warm up on. When their predictions are
there, it has nothing to do: it is imported, connected and in its group. Then all other events
are written in one Kafka transaction, which shows them to nobody until it is committed: so no
producer runs beside the contestant. The clock starts with that commit and stops when the last
prediction is visible to a reader of committed records. Reading, decoding, all of the model's
work, writing and committing are in it; nothing of the start is.

The embedded broker has no transactions: there the clock starts with the first event written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.broker import Broker, Record
from bench.contestants import Contestant, Running
from bench.job import Job
from bench.process import cpu_seconds, peak_rss_bytes
from bench.watch import Outputs

WARM_UP = 500
READY_SECONDS = 90.0
_SILENT_SECONDS = 60.0
_CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class Measured:
    """What was seen of a run.

    Attributes
    ----------
    first, last
        How many predictions were visible when the clock started, and when it stopped.
    seconds
        In between.
    cpu_seconds
        Of the contestant's processes, in between; None where the system does not tell.
    peak_rss_bytes
        The most memory that they have had.
    """

    first: int
    last: int
    seconds: float
    cpu_seconds: float | None
    peak_rss_bytes: int | None

    @property
    def events_per_second(self) -> float:
        return (self.last - self.first) / self.seconds

    def as_result(self) -> dict[str, Any]:
        """Return what is kept of it in bench/results."""
        cpu, events = self.cpu_seconds, self.last - self.first
        return {
            "first": self.first,
            "last": self.last,
            "seconds": self.seconds,
            "events_per_second": self.events_per_second,
            "cpu_seconds_per_million": None if cpu is None else cpu / events * 1e6,
            "peak_rss_bytes": self.peak_rss_bytes,
        }


def throughput(
    contestant: Contestant,
    job: Job,
    broker: Broker,
    records: Sequence[Record],
    *,
    limit_seconds: float,
    warm_up: int = WARM_UP,
    partitions: int = 1,
    ready_seconds: float = READY_SECONDS,
    when_ready: Callable[[Running], object] = lambda _: None,
) -> Measured:
    """Run a contestant over records, to the last one or to the limit.

    Parameters
    ----------
    contestant, job, broker, records
        Who does what, where.
    limit_seconds
        On the clock, after which the run counts with what there is.
    warm_up
        Records that come before the clock starts.
    partitions
        Of the input and the output topic.
    ready_seconds
        How long the warm-up may take.
    when_ready
        Called before the warm-up, to wait for more than a start.

    Raises
    ------
    RuntimeError
        It ended, or has nothing more to say.
    """
    broker.create([job.input_topic, job.output_topic], partitions)
    try:
        with (
            Outputs(broker.bootstrap, job.output_topic) as outputs,
            contestant.start(job, broker) as running,
        ):
            when_ready(running)
            broker.fill(job.input_topic, records[:warm_up])
            wait(outputs, running, lambda: outputs.count >= warm_up, ready_seconds)
            return sprint(outputs, running, broker, job, records[warm_up:], limit_seconds)
    finally:
        broker.delete(f"{job.name}.")


def sprint(
    outputs: Outputs,
    running: Running,
    broker: Broker,
    job: Job,
    records: Sequence[Record],
    limit_seconds: float,
) -> Measured:
    """Give a contestant that waits for work all of it at once, and see how long it takes."""
    first = outputs.count
    with broker.prepare(job.input_topic, records) as show:
        used = cpu_seconds(running.pids)
        began = time.monotonic()
        show()
    wait(
        outputs,
        running,
        lambda: outputs.count >= first + len(records) or time.monotonic() - began > limit_seconds,
        limit_seconds + _SILENT_SECONDS,
    )
    used_then = cpu_seconds(running.pids)
    if outputs.count == first:
        raise RuntimeError(f"no prediction was visible within {limit_seconds:.0f} s")
    ended = next(at for at, count in outputs.seen if count == outputs.count)
    cpu = None if used is None or used_then is None else used_then - used
    return Measured(first, outputs.count, ended - began, cpu, peak_rss_bytes(running.pids))


def wait(
    outputs: Outputs, running: Running, done: Callable[[], object], timeout_seconds: float
) -> None:
    """Look at the outputs until it is done, and now and then at the contestant."""
    deadline = time.monotonic() + timeout_seconds
    checked = time.monotonic()
    while not done():
        outputs.look()
        now = time.monotonic()
        if now - checked > _CHECK_SECONDS:
            running.check_alive()
            checked = now
        if now > deadline:
            raise RuntimeError(f"nothing more than {outputs.count} predictions became visible")
