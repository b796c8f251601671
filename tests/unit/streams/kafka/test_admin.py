"""Topics are created where they are missing, and counted."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from millrace.schemas import BrokerError
from millrace.streams.kafka import admin
from millrace.streams.kafka.admin import count_partitions, ensure_topics, partition_counts
from millrace.streams.kafka.fakes import FakeAdmin, FakeBroker, FakeClients
from millrace.streams.topology.topics import TopicSettings


def topic(name: str, partitions: int = 3) -> TopicSettings:
    return TopicSettings(name, partitions, 1, {"cleanup.policy": "compact"})


def test_partitions_are_counted(clients: FakeClients) -> None:
    """Of every topic that there is."""
    assert partition_counts(clients) == {"t": 2, "u": 1}
    assert count_partitions(clients, "t") == 2


def test_a_topic_that_is_not_there(clients: FakeClients) -> None:
    """The error names it and the broker, and says how topics are created."""
    with pytest.raises(
        BrokerError, match=r"no topic 'x' on broker 'fake'.*`millrace topics --create`"
    ):
        count_partitions(clients, "x")


def test_a_broker_that_does_not_answer(clients: FakeClients, broker: FakeBroker) -> None:
    """The error names it and what to check."""
    broker.fail_next("list_topics", KafkaError._TRANSPORT)
    with pytest.raises(
        BrokerError, match=r"broker 'fake' cannot be reached: .*Check host and port"
    ):
        partition_counts(clients)


def test_only_missing_topics_are_created(clients: FakeClients, broker: FakeBroker) -> None:
    """What is there keeps its partitions."""
    wanted = [topic("t"), topic("new", 3), topic("other", 4)]
    assert ensure_topics(clients, wanted) == {"t": 2, "new": 3, "other": 4}
    assert len(broker.topics["new"]) == 3


def test_topics_that_are_all_there_need_no_permission(
    clients: FakeClients, broker: FakeBroker
) -> None:
    """Nothing is created."""
    broker.fail_next("create_topics", KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    assert ensure_topics(clients, [topic("t"), topic("u")]) == {"t": 2, "u": 1}


def test_topics_are_created_as_they_are_to_be(
    clients: FakeClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their partitions, replication and configuration."""
    asked = []
    create = FakeAdmin.create_topics

    def spy(self, new_topics, /, *, request_timeout):
        asked.extend(new_topics)
        return create(self, new_topics, request_timeout=request_timeout)

    monkeypatch.setattr(FakeAdmin, "create_topics", spy)
    ensure_topics(clients, [TopicSettings("new", 3, 2, {"cleanup.policy": "compact"})])
    (new,) = asked
    assert (new.topic, new.num_partitions, new.replication_factor) == ("new", 3, 2)
    assert new.config == {"cleanup.policy": "compact"}


def test_a_topic_that_another_worker_creates_meanwhile(
    clients: FakeClients, broker: FakeBroker
) -> None:
    """It is there: that is all that was wanted."""
    broker.before("create_topics", lambda: broker.create("new", 5))
    assert ensure_topics(clients, [topic("new", 3)]) == {"new": 5}


def test_a_topic_that_cannot_be_created(clients: FakeClients, broker: FakeBroker) -> None:
    """The error names it and says why."""
    broker.fail_next("creation", KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(BrokerError, match=r"could not create topic 'new': .*authorization"):
        ensure_topics(clients, [topic("new")])


def test_created_topics_are_waited_for(
    clients: FakeClients, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker that answers may hear of them later than the one that created them."""
    monkeypatch.setattr(admin, "_RETRY_SECONDS", 0.0)
    hidden: dict[str, object] = {}

    def hide() -> None:
        hidden["new"] = broker.topics.pop("new")

    def show() -> None:
        broker.topics["new"] = hidden["new"]  # type: ignore[assignment]

    for action in (lambda: None, hide, lambda: None, show):
        broker.before("list_topics", action)
    assert ensure_topics(clients, [topic("new", 3)]) == {"new": 3}
    assert hidden


def test_they_are_not_waited_for_without_end(
    clients: FakeClients, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds it goes by what was asked for."""
    monkeypatch.setattr(admin, "CONNECT_TIMEOUT_SECONDS", -1.0)
    broker.before("list_topics", lambda: None)
    broker.before("list_topics", lambda: broker.topics.pop("new"))
    assert ensure_topics(clients, [topic("new", 3)]) == {"new": 3}


def test_the_embedded_broker_creates_topics_that_are_asked_for(
    clients: FakeClients, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows no request to create one."""
    monkeypatch.setattr(clients, "is_embedded", True, raising=False)
    broker.fail_next("create_topics", KafkaError._UNSUPPORTED_FEATURE)
    look_up = FakeAdmin.list_topics

    def create_when_asked(self, topic=None, timeout=0.0):
        if topic is not None:
            broker.create(topic, 4)
        return look_up(self, topic, timeout)

    monkeypatch.setattr(FakeAdmin, "list_topics", create_when_asked)
    assert ensure_topics(clients, [topic("new", 3)]) == {"new": 4}
