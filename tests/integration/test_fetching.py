"""A consumer that has a partition and does not fetch it, on a real Kafka, is found out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from millrace.schemas import BrokerError
from millrace.streams.interval import Interval
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.stall import StallDetector
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.inbox import Inbox
from millrace.streams.runtime.lag import Lag
from millrace.streams.runtime.topic_watch import TopicWatch
from millrace.streams.settings import Settings

CHECK_SECONDS = 2.0
PARTITIONS = 2


class Group:
    """A pipeline's topic `events`, its producer in transactions, and an inbox that has it all."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.topic = f"{name}.events"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for created in admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)]).values():
            created.result()
        self._producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
        self._producer.init_transactions(30)
        self._metrics = Metrics(name)
        clients = KafkaClients(Settings(broker=bootstrap))
        self.inbox = Inbox(
            "ingest",
            clients,
            f"{name}.",
            ["events"],
            self._metrics,
            StallDetector(CHECK_SECONDS),
            TopicWatch("ingest", clients, f"{name}.", ["events"], Interval(CHECK_SECONDS)),
            Lag("ingest", self._metrics),
            listener=self,
        )

    def on_assign(self, _partitions: list[TopicPartition]) -> None:
        self.inbox.start({("events", each): 0 for each in range(PARTITIONS)})

    def on_revoke(self, _partitions: list[TopicPartition]) -> None: ...

    def on_lost(self, _partitions: list[TopicPartition]) -> None: ...

    def produce(self, *partitions: int) -> None:
        """Begin a transaction with a record in each of these partitions."""
        self._producer.begin_transaction()
        for partition in partitions:
            self._producer.produce(self.topic, b"reading", partition=partition)
        self._producer.flush(30)

    def commit(self) -> None:
        self._producer.commit_transaction(30)

    def abort(self) -> None:
        self._producer.abort_transaction(30)

    def stop_fetching(self, partition: int) -> None:
        self.inbox.consumer.pause([TopicPartition(self.topic, partition)])

    def lag(self, partition: int) -> float:
        """Return what the inbox reports of a partition."""
        lag: float = self._metrics.lag_records.labels("ingest", "events", partition)._value.get()
        return lag

    def poll(self, seconds: float, at_least: int = 1_000) -> int:
        """Poll until as many records have come, or for so long; return how many came."""
        deadline, count = time.monotonic() + seconds, 0
        while count < at_least and time.monotonic() < deadline:
            count += len(self.inbox.poll(100))
        return count


@pytest.fixture
def group(kafka: str, unique_name: Callable[[str], str]) -> Iterator[Group]:
    group = Group(kafka, unique_name("fetching"))
    try:
        group.produce(0, 1)
        group.commit()
        assert group.poll(30, at_least=PARTITIONS) == PARTITIONS
        yield group
    finally:
        group.inbox.close()


def test_a_partition_that_is_not_fetched_is_an_error(group: Group) -> None:
    """Although the other one is: the error says from where on, and the records count as lag."""
    group.stop_fetching(1)
    group.produce(0, 1)
    group.commit()

    with pytest.raises(BrokerError, match=r"events\[1\] from offset 2.*in state 'active'"):
        group.poll(10 * CHECK_SECONDS)
    group.inbox.report_lag({("events", 1): 1})
    assert group.lag(1) > 0


def test_what_nobody_may_read_is_not_missed(group: Group) -> None:
    """The marks of transactions, one that was aborted, and one that is still open."""
    for end in (group.commit, group.abort, None):
        group.produce(0, 1)
        if end is not None:
            end()

    assert group.poll(4 * CHECK_SECONDS) == PARTITIONS
    group.inbox.report_lag({("events", each): 3 for each in range(PARTITIONS)})
    assert [group.lag(0), group.lag(1)] == [1, 1]  # what is open; marks, and what is void, are not


def test_a_transaction_that_does_not_end_is_a_stall(group: Group) -> None:
    """It is said of the partition that it holds back, although the other one moves."""
    group.produce(1)
    deadline = time.monotonic() + 30
    moving = {("events", 0): 1}
    while not (stall := group.inbox.stall(2 * CHECK_SECONDS)) and time.monotonic() < deadline:
        group.poll(0.5)
        moving["events", 0] += 1
        group.inbox.report_lag({**moving, ("events", 1): 1})

    assert stall.startswith("stalled: events[1] has records from offset 1 on, and none was taken")
    assert "an open transaction holds them back" in stall
