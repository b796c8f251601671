"""A consumer that has a partition and does not fetch it, on a real Kafka, is found out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas import BrokerError
from streams import inbox
from streams.fetching import Fetching
from streams.inbox import Inbox
from streams.metrics import Metrics
from streams.settings import Settings

LOOK_SECONDS = 2.0
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
        self.inbox = Inbox(
            "ingest", Settings(broker=bootstrap), f"{name}.", ["events"], Metrics(name)
        )
        self.inbox.open(
            lambda _: self.inbox.start({("events", each): 0 for each in range(PARTITIONS)}),
            lambda _: None,
            lambda _: None,
        )

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

    def poll(self, seconds: float, at_least: int = 1_000) -> int:
        """Poll until as many records have come, or for so long; return how many came."""
        deadline, count = time.monotonic() + seconds, 0
        while count < at_least and time.monotonic() < deadline:
            count += len(self.inbox.poll(100))
        return count


@pytest.fixture
def group(
    kafka: str, unique_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Group]:
    monkeypatch.setattr(inbox, "Fetching", partial(Fetching, LOOK_SECONDS))
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

    with pytest.raises(
        BrokerError, match=r"the records of events\[1\] from offset 2.*in state 'active'"
    ):
        group.poll(10 * LOOK_SECONDS)
    assert group.inbox.lag({("events", 1): 1}) > 0


def test_what_nobody_may_read_is_not_missed(group: Group) -> None:
    """The marks of transactions, one that was aborted, and one that is still open."""
    for end in (group.commit, group.abort, None):
        group.produce(0, 1)
        if end is not None:
            end()

    assert group.poll(4 * LOOK_SECONDS) == PARTITIONS
    at = {("events", each): 3 for each in range(PARTITIONS)}
    assert group.inbox.lag(at) == PARTITIONS  # what is open waits; marks, and what is void, do not
