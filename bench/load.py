"""A steady load from a process of its own: events at a fixed rate, each at its due time.

An event is due whether or not the one before it has been taken: a contestant that stalls is not
spared the events of that time ("coordinated omission"). The producer has librdkafka's defaults,
and so gathers records for 5 ms: sending each on its own would keep the broker too busy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

from confluent_kafka import Producer

from bench import data
from bench.job import Job

_SLEEP_SECONDS = 0.001
_FLUSH_SECONDS = 60.0


@contextmanager
def prepare(job: Job, first: int, rate: float) -> Iterator[Connection[float, float]]:
    """Prepare a load of a job's events from number `first` on, at `rate` events/s.

    Send it the time to start; at the end, it sends the longest delay of an event, in seconds.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_produce, args=(job, first, rate, theirs), daemon=True)
    process.start()
    theirs.close()  # so that `recv` raises if the process exits
    try:
        ours.recv()  # it is ready
        yield ours
    finally:
        process.kill()
        process.join()


def _produce(job: Job, first: int, rate: float, load: Connection[float, float]) -> None:
    records = data.records(job)[first:]
    producer = Producer({"bootstrap.servers": job.bootstrap, "enable.idempotence": True})
    producer.list_topics(job.input_topic, timeout=10)
    load.send(0.0)
    start, behind = load.recv(), 0.0
    for number, record in enumerate(records):
        due = start + number / rate
        while (now := time.monotonic()) < due:
            time.sleep(min(due - now, _SLEEP_SECONDS))
        behind = max(behind, now - due)
        producer.produce(job.input_topic, record.value, record.key, record.partition)
        producer.poll(0)
    producer.flush(_FLUSH_SECONDS)
    load.send(behind)
