"""The broker that everything runs on, and the topics of one run.

A real Apache Kafka where this machine can start one (Java and Maven), else librdkafka's embedded
one, which keeps about 5 MB of a partition and has no transactions: runs on it are short, and
exactly once is not among them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from dev.java import missing_requirements
from dev.kafka import KafkaBroker, free_port
from millrace.streams.kafka.embedded import EmbeddedBroker

EMBEDDED_EVENTS = 5_000
"""What the embedded broker keeps of a topic, with room for the larger records that are made."""

_FILL_SECONDS = 120.0
_LOOK_SECONDS = 0.05
_WARM_UP_SECONDS = 30.0
_WARM_UP_RECORDS = 40

Record = tuple[bytes, bytes, int]
"""Key, value and partition."""


@dataclass(frozen=True)
class Broker:
    """A broker that runs.

    Attributes
    ----------
    bootstrap
        For any client.
    address
        For Millrace's setting `broker`.
    kind
        What it is, in words.
    is_real
        Whether it lasts, and has transactions, groups and topics as Kafka has them.
    """

    bootstrap: str
    address: str
    kind: str
    is_real: bool

    def create(self, topics: Iterable[str], partitions: int = 1) -> None:
        """Make topics that are not there yet, and wait until every client can find them."""
        admin, names = _admin(self.bootstrap), [*topics]
        if not self.is_real:
            for topic in names:
                admin.list_topics(topic, timeout=10)
            return
        wanted = [NewTopic(topic, num_partitions=partitions) for topic in names]
        for done in admin.create_topics(wanted).values():
            done.result(30)
        while not all(
            admin.list_topics(topic, timeout=10).topics[topic].partitions for topic in names
        ):
            time.sleep(_LOOK_SECONDS)

    def delete(self, prefix: str) -> None:
        """Remove every topic whose name begins with `prefix`, so that no run leaves a burden."""
        if not self.is_real:
            return
        admin = _admin(self.bootstrap)
        found = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
        for done in admin.delete_topics(found).values() if found else ():
            with suppress(KafkaException):
                done.result(30)

    def fill(self, topic: str, records: Iterable[Record]) -> None:
        """Write records to a topic; return when all of them are there."""
        _write(self._producer({"enable.idempotence": True}), topic, records)

    @contextmanager
    def prepare(self, topic: str, records: Iterable[Record]) -> Iterator[Callable[[], None]]:
        """Write records that nobody sees before the function given is called.

        On the embedded broker, which has no transactions, they are written by that function.
        """
        if not self.is_real:
            yield lambda: self.fill(topic, records)
            return
        producer = self._producer({"transactional.id": f"bench-{topic}"})
        producer.init_transactions(_FILL_SECONDS)
        producer.begin_transaction()
        _write(producer, topic, records)
        yield producer.commit_transaction

    def warm_up(self, seconds: float) -> None:
        """Keep a broker that has just been started busy, until its JVM has compiled what counts.

        Small transactions and small reads, as the loads of `latency` make them: on a cold broker,
        these took some ten times as long.
        """
        topic = "bench-warm-up"
        self.create([topic])
        producer = self._producer({"transactional.id": topic, "linger.ms": 0})
        producer.init_transactions(_FILL_SECONDS)
        config = {"bootstrap.servers": self.bootstrap, "group.id": topic, "log_level": 0}
        consumer = Consumer({**config, "enable.auto.commit": False})
        consumer.subscribe([topic])
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            producer.begin_transaction()
            for number in range(_WARM_UP_RECORDS):
                producer.produce(topic, b"x" * 300, str(number))
                producer.poll(0)
                if number % 4 == 0:
                    producer.flush()
            producer.commit_transaction()
            if consumer.consume(_WARM_UP_RECORDS, 0.01):
                consumer.commit(asynchronous=True)
        consumer.close()
        self.delete(topic)

    def members(self, group: str) -> int:
        """Return how many members of a group have partitions, while it is at rest; else 0."""
        described = _admin(self.bootstrap).describe_consumer_groups([group])[group].result(10)
        if described.state.name != "STABLE":
            return 0
        return sum(bool(each.assignment.topic_partitions) for each in described.members)

    def _producer(self, more: dict[str, str | bool | int]) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 20,
                "queue.buffering.max.messages": 2_000_000,
                "transaction.timeout.ms": 120_000,
                "log_level": 0,
                **more,
            }
        )


@cache
def _admin(bootstrap: str) -> AdminClient:
    """Return a client that lives on: one that is let go of takes its answers with it."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def _write(producer: Producer, topic: str, records: Iterable[Record]) -> None:
    for key, value, partition in records:
        producer.produce(topic, value, key, partition)
        producer.poll(0)
    if left := producer.flush(_FILL_SECONDS):
        raise RuntimeError(f"{topic} requires all records; {left} are left")


@contextmanager
def open_broker(wanted: str = "auto") -> Iterator[Broker]:
    """Give a broker for as long as the block runs.

    Parameters
    ----------
    wanted
        `auto`, `embedded`, or the bootstrap servers of a Kafka that runs already.
    """
    if wanted not in {"auto", "embedded"}:
        yield Broker(wanted, wanted, f"the Kafka at {wanted}", True)
        return
    missing = missing_requirements() if wanted == "auto" else "it was asked for"
    if missing is None:
        with tempfile.TemporaryDirectory(prefix="bench-kafka-") as directory:
            kafka = KafkaBroker(Path(directory), free_port())
            try:
                kafka.start()
                broker = Broker(kafka.bootstrap, kafka.bootstrap, "a real Apache Kafka", True)
                broker.warm_up(_WARM_UP_SECONDS)
                yield broker
            finally:
                kafka.stop()
        return
    with EmbeddedBroker() as embedded:
        kind = f"librdkafka's embedded broker ({missing})"
        yield Broker(embedded.bootstrap, embedded.address, kind, False)
