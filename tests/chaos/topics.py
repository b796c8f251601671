"""Plain clients: what anybody sees of the topics, with nothing of Millrace's own between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from tests.chaos.pipeline import ROWS, VERDICTS

PARTITIONS = 4
SOURCES = {ROWS: PARTITIONS, VERDICTS: 3}
"""Somebody else's topics, by their names in the definition, and how many partitions they have."""

RETAINED = (
    *("events", "labels", "clean", "features", "predictions", "outcomes", "evaluations"),
    *("alerts", "rejects"),
)
"""Topics whose records expire."""

_TIMEOUT_SECONDS = 60.0
_SILENCE_SECONDS = 5.0


def name_here(pipeline: str, source: str) -> str:
    """Return what the topic of a source is called on the broker."""
    return f"{pipeline}-{source}"


def width(topic: str) -> int:
    """Return how many partitions a topic has."""
    if topic.endswith((".commands", ".evaluations")):
        return 1
    return next(
        (count for name, count in SOURCES.items() if topic.endswith(f"-{name}")), PARTITIONS
    )


def reader(bootstrap: str, *, isolation: str = "read_committed") -> Consumer:
    """Return a consumer in no group that says when a partition ends."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "chaos-check",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "log_level": 0,
            "reconnect.backoff.max.ms": 500,
        }
    )


class Follower:
    """Reads a topic as it grows.

    After a broker's restart librdkafka may never fetch a partition again (librdkafka 5153). So
    where nothing has come for a while, another consumer goes on from there.

    Parameters
    ----------
    begin
        Where in each partition: an offset, or one of librdkafka's words for some.
    partitions
        How many there are.
    isolation
        Whether what is not committed is seen, too: librdkafka's `isolation.level`.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        begin: int,
        partitions: int = PARTITIONS,
        isolation: str = "read_committed",
    ) -> None:
        self._bootstrap, self._topic, self._isolation = bootstrap, topic, isolation
        self._positions = dict.fromkeys(range(partitions), begin)
        self._open()

    def take(self, timeout_seconds: float) -> list[Message]:
        """Return the records that come within the timeout."""
        found = self._consumer.consume(500, timeout=timeout_seconds)
        records = [each for each in found if self._is_record(each)]
        if not found and time.monotonic() - self._heard > _SILENCE_SECONDS:
            self.close()
            self._open()
        return records

    def close(self) -> None:
        self._consumer.close()

    def _open(self) -> None:
        self._heard = time.monotonic()
        self._consumer = reader(self._bootstrap, isolation=self._isolation)
        self._consumer.assign([TopicPartition(self._topic, *at) for at in self._positions.items()])

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        is_end = error is not None and error.code() == KafkaError._PARTITION_EOF
        if error is None or is_end:
            self._heard = time.monotonic()
            self._positions[message.partition() or 0] = (message.offset() or 0) + (not is_end)
        return error is None


def read(bootstrap: str, topic: str, *, isolation: str = "read_committed") -> list[list[Message]]:
    """Return the records of a topic by partition, each in its order."""
    partitions = width(topic)
    found: list[list[Message]] = [[] for _ in range(partitions)]
    for message in _messages(bootstrap, topic, isolation, {*range(partitions)}):
        found[message.partition() or 0].append(message)
    return found


def _messages(
    bootstrap: str, topic: str, isolation: str, unfinished: set[int]
) -> Iterator[Message]:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    consumer = reader(bootstrap, isolation=isolation)
    try:
        consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in unfinished])
        while unfinished:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} has no end in partitions {unfinished}")
            for message in consumer.consume(5_000, timeout=0.5):
                error = message.error()
                if error is None:
                    yield message
                    deadline = time.monotonic() + _TIMEOUT_SECONDS
                elif error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard(message.partition() or 0)
    finally:
        consumer.close()


def create_sources(bootstrap: str, pipeline: str) -> None:
    """Create somebody else's topics, as they would."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    wanted = [NewTopic(name_here(pipeline, name), count) for name, count in SOURCES.items()]
    for each in admin.create_topics(wanted).values():
        each.result(timeout=30)
    names, deadline = {each.topic for each in wanted}, time.monotonic() + _TIMEOUT_SECONDS
    while not names <= admin.list_topics(timeout=30).topics.keys():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the broker does not show {', '.join(sorted(names))}")
        time.sleep(0.1)  # it has created them, and tells of them a moment later


def expire(bootstrap: str, topics: Iterable[str]) -> None:
    """Remove every record that topics hold, as retention does in an idle week."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    ends = [TopicPartition(topic, p, OFFSET_END) for topic in topics for p in range(width(topic))]
    for each in admin.delete_records(ends).values():
        each.result(timeout=30)


def wait_consumed(
    bootstrap: str, group: str, topics: list[str], seconds: float, check: Callable[[], object]
) -> None:
    """Wait until a group has committed everything that its topics hold now.

    Raises
    ------
    TimeoutError
        With the first partition that was not reached.
    """
    ends = {
        (topic, partition): (messages[-1].offset() or 0) + 1 if messages else 0
        for topic in topics
        for partition, messages in enumerate(read(bootstrap, topic))
    }
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    deadline = time.monotonic() + seconds
    while True:
        committed = _committed(admin, group)
        behind = {where: end for where, end in ends.items() if committed.get(where, 0) < end}
        if not behind:
            return
        if time.monotonic() > deadline:
            where, end = next(iter(behind.items()))
            raise TimeoutError(f"{group} is at {committed.get(where)} of {end} in {where}")
        check()
        time.sleep(0.2)


def _committed(admin: AdminClient, group: str) -> dict[tuple[str, int], int]:
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    answer = asked[group].result(timeout=30)
    return {(each.topic, each.partition): each.offset for each in answer.topic_partitions or ()}


def tail(path: Path, lines: int = 6) -> str:
    """Return the end of a log in one line, and where in Millrace each thread was if it hung."""
    text = path.read_text(errors="replace")
    log, _, stacks = text.partition("Fatal Python error")
    hung = [line.strip() for line in stacks.splitlines() if "/streams/" in line]
    return " | ".join([*log.strip().splitlines()[-lines:], *hung])
