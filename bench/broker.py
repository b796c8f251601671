"""The broker that everything runs on, and the topics of one run.

A real Apache Kafka if this machine can start one (Java and Maven), else librdkafka's embedded
broker. That keeps about 5 MB per partition and has no transactions: runs on it are short, and
exactly once is not measured.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.data import Record
from bench.job import Job
from dev.java import missing_requirements
from dev.kafka import KafkaBroker, free_port

_ADMIN_SECONDS = 30.0
_FILL_SECONDS = 120.0
_POLL_SECONDS = 0.05
# By default, what a run has deleted goes from the disk a minute later, during another run.
_DELETES_AT_ONCE = {"log.segment.delete.delay.ms": "1000"}


@dataclass(frozen=True)
class Broker:
    """A running broker."""

    bootstrap: str
    kind: str  # in words
    is_real: bool  # whether it has transactions, groups and topics as Apache Kafka has them

    @contextmanager
    def topics(self, job: Job) -> Iterator[None]:
        """Create a job's input and output topics; in the end, delete all topics of the job."""
        admin, names = _admin(self.bootstrap), [job.input_topic, job.output_topic]
        if self.is_real:
            wanted = [NewTopic(each, num_partitions=job.partitions) for each in names]
            for done in admin.create_topics(wanted).values():
                done.result(_ADMIN_SECONDS)
        # The embedded broker creates a topic that is asked for; a real one takes a moment.
        while not all(admin.list_topics(one, timeout=10).topics[one].partitions for one in names):
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            found = [*admin.list_topics(timeout=10).topics] if self.is_real else []
            found = [each for each in found if each.startswith(f"{job.name}.")]
            for done in admin.delete_topics(found).values() if found else ():
                with suppress(KafkaException):
                    done.result(_ADMIN_SECONDS)

    def fill(self, topic: str, records: Iterable[Record]) -> None:
        """Write records to a topic and wait until the broker has all of them."""
        _write(self._producer({"enable.idempotence": True}), topic, records)

    @contextmanager
    def prepare(self, topic: str, records: Iterable[Record]) -> Iterator[Callable[[], None]]:
        """Write records that become visible when the given function is called.

        The embedded broker has no transactions: there, that function writes them.
        """
        if not self.is_real:
            yield lambda: self.fill(topic, records)
            return
        producer = self._producer({"transactional.id": f"bench-{topic}"})
        producer.init_transactions(_FILL_SECONDS)
        producer.begin_transaction()
        _write(producer, topic, records)
        yield producer.commit_transaction

    def members(self, prefix: str) -> int:
        """Return how many members have partitions in the stable groups that start with `prefix`."""
        admin = _admin(self.bootstrap)
        listed = admin.list_consumer_groups().result(_ADMIN_SECONDS).valid
        names = [each.group_id for each in listed if each.group_id.startswith(prefix)]
        described = admin.describe_consumer_groups(names).values() if names else ()
        groups = [each.result(_ADMIN_SECONDS) for each in described]
        members = [one for each in groups if each.state.name == "STABLE" for one in each.members]
        return sum(bool(each.assignment.topic_partitions) for each in members)

    def _producer(self, properties: dict[str, str | bool]) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 20,
                "queue.buffering.max.messages": 2_000_000,
                "transaction.timeout.ms": 120_000,
                "log_level": 0,
                **properties,
            }
        )


@cache
def _admin(bootstrap: str) -> AdminClient:
    """Return one client for the whole process: its answers are lost when it is collected."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def _write(producer: Producer, topic: str, records: Iterable[Record]) -> None:
    for each in records:
        producer.produce(topic, each.value, each.key, each.partition)
        producer.poll(0)
    if left := producer.flush(_FILL_SECONDS):
        raise RuntimeError(f"timed out writing to {topic}: {left} records are not acknowledged")


@contextmanager
def open_broker(wanted: str = "auto") -> Iterator[Broker]:
    """Run a broker for the length of the block: `auto`, `embedded`, or one that already runs."""
    missing = missing_requirements() if wanted == "auto" else "as requested"
    if wanted not in {"auto", "embedded"}:
        yield Broker(wanted, f"the Kafka at {wanted}", True)
    elif missing is None:
        with tempfile.TemporaryDirectory(prefix="bench-kafka-") as directory:
            kafka = KafkaBroker(Path(directory), free_port(), _DELETES_AT_ONCE)
            try:
                kafka.start()
                yield Broker(kafka.bootstrap, "a real Apache Kafka", True)
            finally:
                kafka.stop()
    else:
        owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})  # the broker ends with it
        (node,) = owner.list_topics(timeout=10).brokers.values()
        yield Broker(f"{node.host}:{node.port}", f"librdkafka's embedded broker ({missing})", False)
        del owner
