"""One agent of a pipeline on a real Kafka, in this process: a session that a test turns by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.assembly import Assembly
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.runtime.session import Session
from tests.integration import sensors
from tests.integration.clients import as_json
from tests.integration.workers import settings, wait_for

SECONDS = 30.0


class LiveAgent:
    """An agent of the pipeline `every_sensor`, by default one that has every operator.

    Parameters
    ----------
    bootstrap, name
        Of the broker, and of the pipeline on it.
    operator
        Which of the chain's agents: the one that begins with this operator.
    pipeline
        Another one of `sensors`.
    more
        Settings besides the defaults of the tests.
    """

    def __init__(
        self,
        bootstrap: str,
        name: str,
        operator: str = "ingest",
        pipeline: str = "every_sensor",
        **more: Any,
    ) -> None:
        defaults: dict[str, Any] = {"chain": "full", "partitions": 1, "flush_seconds": 600}
        own = settings(pipeline, name, bootstrap, **(defaults | more))
        definition, clients = own.load_pipeline(), KafkaClients(own)
        agent = next(each for each in own.agents_of(definition) if each.operators[0] == operator)
        counts = prepare_topics(clients, definition, own)
        self.metrics = Metrics(name)
        self._pipeline = name
        self._passed_seconds = 0.0
        self._assembly = Assembly(
            agent,
            Definitions(definition),
            own,
            clients,
            counts,
            b"a key",
            self.metrics,
            self._clock,
        )
        self.session: Session = self._assembly.connect()

    def __enter__(self) -> LiveAgent:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.session.is_broken |= kind is not None
        self.session.close()

    def restart(self) -> None:
        """Connect again, without a last commit, as an engine does after an error."""
        self.session.is_broken = True
        self.session.close()
        self.session = self._assembly.connect()

    def pass_time(self, seconds: float) -> None:
        """Let the agent's clock jump."""
        self._passed_seconds += seconds

    def save(self) -> None:
        """Let time pass until the state is due, and save all of it."""
        self.pass_time(2)
        self.session.commit()
        while self.session.is_saving:
            self.session.commit()

    def work(self, is_done: Callable[[], bool]) -> int:
        """Poll, fold and commit until it is done; return the number of records."""
        count, deadline = 0, time.monotonic() + SECONDS
        while not is_done():
            assert time.monotonic() < deadline, f"{count} records, {self.positions()}"
            if origins := self.session.poll(1_000):
                asyncio.run(self.session.fold(origins))
                self.session.commit()
                count += len(origins)
        return count

    def start(self) -> None:
        """Work until partitions are assigned."""
        self.work(lambda: self.session.is_ready)

    def positions(self) -> dict[tuple[str, int], int]:
        """Return the offset at which each input goes on."""
        return {
            (topic, partition): at
            for partition, each in self.session.assignments.items()
            for topic, at in each.next_offset.items()
        }

    def work_to(self, topic: str, offset: int, partition: int = 0) -> int:
        """Work until an input is read up to an offset; return the number of records."""
        return self.work(lambda: self.positions().get((topic, partition), -1) >= offset)

    def _clock(self) -> float:
        return time.monotonic() + self._passed_seconds

    def count(self, metric: str, **labels: str) -> float:
        """Return what a metric says."""
        labels = {"pipeline": self._pipeline, **labels}
        return self.metrics.registry.get_sample_value(f"millrace_{metric}", labels) or 0.0


def produce_readings(
    bootstrap: str, topic: str, count: int, *, first: int = 0, ends: str = "", partition: int = 0
) -> None:
    """Produce readings: without a transaction, or in one that ends in `commit` or `abort`."""
    config = {"transactional.id": f"{topic}-user"} if ends else {}
    producer = Producer({"bootstrap.servers": bootstrap, **config})
    if ends:
        producer.init_transactions(SECONDS)
        producer.begin_transaction()
    for reading in sensors.readings(count, first=first):
        producer.produce(topic, as_json(reading), partition=partition)
    assert producer.flush(SECONDS) == 0
    if ends:
        (producer.commit_transaction if ends == "commit" else producer.abort_transaction)(SECONDS)


def recreate(bootstrap: str, topic: str, partitions: int = 1) -> None:
    """Delete a topic, and create another one under its name."""
    delete(bootstrap, topic)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(SECONDS)
    wait_for("topic", lambda: topic in admin.list_topics(timeout=SECONDS).topics)


def delete(bootstrap: str, topic: str) -> None:
    """Delete a topic, and wait until it is gone."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([topic])[topic].result(SECONDS)
    wait_for("deletion", lambda: topic not in admin.list_topics(timeout=SECONDS).topics)


def expire(bootstrap: str, topic: str, before: int, partition: int = 0) -> None:
    """Delete the records before an offset, as retention does."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    place = TopicPartition(topic, partition, before)
    for deleted in admin.delete_records([place]).values():
        deleted.result(SECONDS)
