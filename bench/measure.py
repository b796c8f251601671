"""One run of one contestant: events per second, CPU time and memory, measured from outside.

When the predictions of its first events are visible, the contestant is connected and idle. All
other events are then written in one Kafka transaction. The clock starts with its commit and stops
when the last prediction is visible to a reader of committed records. The embedded broker has no
transactions: there, the clock starts with the first event written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from confluent_kafka import Consumer, TopicPartition

from bench.broker import Broker
from bench.contestants import Command
from bench.data import Record, events_in
from bench.job import Job
from bench.process import Process, used
from bench.results import Result

_READY_SECONDS = 90.0
_SLOWEST_PER_SECOND = 500
_STALL_SECONDS = 5.0
_POLL_SECONDS = 0.02
_MAX_RECORDS = 10_000


@dataclass
class Run:
    """A contestant at work, and a consumer that sees its predictions when they are committed."""

    broker: Broker
    job: Job
    processes: list[Process]
    consumer: Consumer
    count: int = 0  # predictions so far
    seen: list[tuple[float, int]] = field(default_factory=list)  # seconds, count after each poll

    def warm_up(self, records: Sequence[Record]) -> None:
        """Have records predicted before the clock starts; raise RuntimeError on a timeout."""
        events = events_in(records)
        seconds = ready_seconds(len(records))
        if len(self.processes) > 1:
            self._wait_shared(seconds)
        self.broker.fill(self.job.input_topic, records)
        self.wait(events, seconds)
        if self.count < events:
            raise self._timed_out(seconds, self.count, events)

    def measure(self, records: Sequence[Record], limit_seconds: float) -> Result:
        """Give an idle contestant all records at once; what it does within the limit counts.

        Raises RuntimeError if it exits or stalls.
        """
        first, wanted, polls = self.count, events_in(records), len(self.seen)
        with self.broker.prepare(self.job.input_topic, records) as show:
            before, started = used(self.processes), time.monotonic()
            show()
        self.wait(first + wanted, started + limit_seconds - time.monotonic())
        after, events = used(self.processes), self.count - first
        seconds = next(at for at, count in self.seen if count == self.count) - started
        is_stalled = events < wanted and limit_seconds - seconds > _STALL_SECONDS
        if not events or is_stalled:
            raise self._timed_out(limit_seconds, events, wanted)
        return {
            "first": first,
            "last": self.count,
            "seconds": seconds,
            "events_per_second": events / seconds,
            "cpu_seconds_per_million": before and after and (after[0] - before[0]) / events * 1e6,
            "peak_rss_bytes": after and after[1],
            "longest_pause_seconds": longest_pause([(started, first), *self.seen[polls:]]),
        }

    def wait(self, count: int, seconds: float, *, at_once: bool = False) -> None:
        """Poll until `count` predictions are visible or the time is over.

        `at_once` ends a poll with its first record: more exact, at the cost of more polls.
        """
        deadline = time.monotonic() + seconds
        while self.count < count and time.monotonic() < deadline:
            first = self.consumer.consume(1, _POLL_SECONDS) if at_once else []
            rest = self.consumer.consume(_MAX_RECORDS, 0 if at_once else _POLL_SECONDS)
            self.count += sum(each.error() is None for each in first + rest)
            self.seen.append((time.monotonic(), self.count))
            for process in self.processes:
                process.check_alive()

    def _timed_out(self, seconds: float, events: int, wanted: int) -> RuntimeError:
        found = f"timed out after {seconds:.0f} s with {events} of {wanted} predictions visible"
        return RuntimeError("; ".join([found, *(each.last_lines() for each in self.processes)]))

    def _wait_shared(self, seconds: float) -> None:
        """Wait until every process has partitions."""
        deadline = time.monotonic() + seconds
        while self.broker.members(self.job.name) < len(self.processes):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(self.processes)} workers do not share the partitions")
            time.sleep(_POLL_SECONDS)


def longest_pause(seen: Sequence[tuple[float, int]]) -> float:
    """Return the longest time in which no prediction became visible, before the last one did."""
    moments = [seen[0][0], *(at for (_, a), (at, b) in pairwise(seen) if b > a)]
    return max(later - earlier for earlier, later in pairwise(moments))


def ready_seconds(events: int) -> float:
    """Return how long a contestant may take to start and to work through `events`."""
    return _READY_SECONDS + events / _SLOWEST_PER_SECOND


@contextmanager
def started(broker: Broker, job: Job, command: Command) -> Iterator[Run]:
    """Run a contestant on existing topics for the length of the block."""
    with ExitStack() as stack:
        consumer = stack.enter_context(closing(_consumer(broker.bootstrap, job.output_topic)))
        workers = [stack.enter_context(Process(command(job), job)) for _ in range(job.workers)]
        yield Run(broker, job, workers, consumer)


def _consumer(bootstrap: str, topic: str) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
            "fetch.queue.backoff.ms": 5,
            "log_level": 0,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
    return consumer
