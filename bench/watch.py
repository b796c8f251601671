"""The far end: what is visible of a contestant's predictions, and since when.

A consumer in no group that reads only what is committed, polled from before the contestant
starts. It costs every contestant the same share of the machine.
"""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

_POLL_SECONDS = 0.02
_MOST_RECORDS = 10_000


class Outputs:
    """Counts the records of a topic as they become visible.

    Attributes
    ----------
    count
        How many so far.
    seen
        (seconds on the monotonic clock, count) after every poll.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.count = 0
        self.seen: list[tuple[float, int]] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench-watch",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "fetch.queue.backoff.ms": 5,
                "log_level": 0,
            }
        )
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, each, 0) for each in partitions])

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def look(self) -> int:
        """Wait a moment for records; return how many there are now."""
        return self._count(self._consumer.consume(_MOST_RECORDS, _POLL_SECONDS))

    def look_closely(self) -> int:
        """Return at the first record that comes: for latency, at the cost of more looks."""
        message = self._consumer.poll(_POLL_SECONDS)
        if message is None:
            return self._count([])
        return self._count([message, *self._consumer.consume(_MOST_RECORDS, 0)])

    def _count(self, messages: list[Message]) -> int:
        self.count += sum(not _is_passing(message) for message in messages)
        self.seen.append((time.monotonic(), self.count))
        return self.count


def _is_passing(message: Message) -> bool:
    """Whether a message is no record but the news of an error; raise where it will not pass."""
    error = message.error()
    if error is None:
        return False
    if error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise RuntimeError(f"the benchmark cannot read what was predicted: {error.str()}")
    return True
