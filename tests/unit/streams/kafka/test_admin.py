"""Topics are created where they are missing, and counted."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from millrace.schemas import BrokerError
from millrace.streams.kafka import admin
from millrace.streams.kafka.admin import (
    count_partitions,
    ensure_topics,
    partition_counts,
    prepare_topics,
)
from millrace.streams.kafka.fakes import FakeAdmin, FakeBroker, FakeClients
from millrace.streams.settings import Settings
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

    def spy(self, new_topics, /, *, request_timeout, validate_only):
        asked.extend([] if validate_only else new_topics)
        return create(
            self, new_topics, request_timeout=request_timeout, validate_only=validate_only
        )

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


EXPECTED = [
    pytest.param({"events": 6}, {"labels": 6, "clean": 6, "state.ingest": 6}, id="events"),
    pytest.param({"labels": 2}, {"events": 2, "features": 2, "models": 2}, id="labels"),
    pytest.param({"clean": 3}, {"events": 3, "features": 3, "predictions": 3}, id="clean"),
    pytest.param(
        {"events": 3, "labels": 1},
        {"clean": 3, "state.ingest": 3, "rejects": 3},
        id="inputs that differ",
    ),
    pytest.param(
        {"events": 6, "clean": 4},
        {"labels": 6, "features": 4, "state.ingest": 6, "state.feature": 4, "alerts": 4},
        id="an input that was widened",
    ),
    pytest.param(
        {"features": 5, "state.feature": 2, "state.prediction-learning": 2, "models": 2},
        {"state.feature": 5, "state.prediction-learning": 5, "models": 5},
        id="state that is too narrow",
    ),
    pytest.param({"predictions": 9}, {"state.drift": 9, "clean": 9}, id="an output"),
    pytest.param({}, {"events": 7, "clean": 7, "state.drift": 7}, id="nothing"),
]


@pytest.mark.parametrize(("there", "expected"), EXPECTED)
def test_topics_are_created_as_wide_as_those_that_are_there(
    make_pipeline, there: dict[str, int], expected: dict[str, int]
) -> None:
    """Whatever --partitions says; topics of state are at least as wide as the inputs."""
    broker = FakeBroker({f"p.{name}": count for name, count in there.items()})
    settings = Settings(broker="fake", partitions=7)
    counts = prepare_topics(FakeClients(broker), make_pipeline(), settings)
    found = {name.removeprefix("p."): len(logs) for name, logs in broker.topics.items()}
    assert {name: found[name] for name in expected} == expected
    assert counts == {f"p.{name}": count for name, count in found.items()}
    again = prepare_topics(FakeClients(broker), make_pipeline(), settings)
    assert again == counts


@pytest.mark.parametrize(
    ("there", "settings", "what"),
    [
        ({"events": 3, "labels": 1}, {"chain": "full"}, "same number of partitions"),
        ({"features": 3, "models": 4}, {"chain": "split"}, "same number of partitions"),
    ],
)
def test_topics_that_do_not_fit_are_refused_before_any_is_created(
    make_pipeline, there: dict[str, int], settings: dict[str, str], what: str
) -> None:
    """A first start that refuses leaves the broker as it was."""
    broker = FakeBroker({f"p.{name}": count for name, count in there.items()})
    with pytest.raises(BrokerError, match=what):
        prepare_topics(FakeClients(broker), make_pipeline(), Settings(broker="fake", **settings))
    assert len(broker.topics) == len(there)


def test_no_topic_is_created_where_one_cannot_be(make_pipeline) -> None:
    """The broker is asked first whether it would create them all."""
    broker = FakeBroker()
    broker.before("creation", lambda: None)
    broker.fail_next("creation", KafkaError.INVALID_REPLICATION_FACTOR)
    with pytest.raises(BrokerError, match=r"could not create topic 'p\.labels'.*replication"):
        prepare_topics(FakeClients(broker), make_pipeline(), Settings(broker="fake"))
    assert broker.topics == {}


def test_topics_that_are_kept_in_another_way_are_said_to_be(make_pipeline) -> None:
    """Compacted events lose records, and state without compaction is lost after a while."""
    broker = FakeBroker()
    broker.create("p.events", 2, {"cleanup.policy": "compact,delete"})
    broker.create("p.state.feature", 2, {"cleanup.policy": "delete"})
    broker.create("p.clean", 2, {"cleanup.policy": "delete"})
    with capture_logs() as logs:
        prepare_topics(FakeClients(broker), make_pipeline(), Settings(broker="fake"))
    said = [each["event"] for each in logs]
    assert [each.split(":")[0] for each in said] == [
        "topic p.events has cleanup.policy=compact,delete",
        "topic p.state.feature has cleanup.policy=delete",
    ]
    assert ["Set cleanup.policy=delete" in said[0], "Set cleanup.policy=compact" in said[1]] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("topic", "compression", "of_topic", "says"),
    [
        ("rejects", "none", "producer", "Set compression.type=uncompressed"),
        ("rejects", "gzip", "producer", "Set compression.type=gzip"),
        ("rejects", "lz4", "producer", None),
        ("rejects", "none", "zstd", None),
        ("predictions", "none", "producer", None),
    ],
)
def test_what_not_every_client_reads(make_pipeline, topic, compression, of_topic, says) -> None:
    """A worker warns where records of an output are as internal ones, unless that is asked for."""
    broker = FakeBroker()
    broker.create(f"p.{topic}", 2, {"compression.type": of_topic})
    with capture_logs() as logs:
        prepare_topics(
            FakeClients(broker),
            make_pipeline(),
            Settings(broker="fake", compression=compression),
        )
    assert [each["event"].partition(". ")[2] for each in logs] == ([says] if says else [])


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "topic p.audit has retention.ms=604800000: its oldest records will be deleted"),
        ({"retention.ms": "-1", "retention.bytes": "9"}, "topic p.audit has retention.bytes=9: "),
        ({"retention.ms": "-1", "cleanup.policy": "compact"}, "topic p.audit has cleanup.policy="),
        ({"retention.ms": "-1"}, None),
    ],
)
def test_what_is_to_be_kept_for_ever(make_pipeline, config, says) -> None:
    """A worker warns where the audit would not be."""
    broker = FakeBroker()
    broker.create("p.audit", 2, {"compression.type": "uncompressed"} | config)
    with capture_logs() as logs:
        prepare_topics(FakeClients(broker), make_pipeline(), Settings(broker="fake"))
    assert [each["event"][: len(says or "")] for each in logs] == ([says] if says else [])


def test_a_broker_that_does_not_say_how_topics_are_kept(make_pipeline) -> None:
    """Reading configurations takes a permission that a worker need not have."""
    broker = FakeBroker({"p.events": 2})
    broker.fail_next("describe_configs", KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    with capture_logs() as logs:
        prepare_topics(FakeClients(broker), make_pipeline(), Settings(broker="fake"))
    assert logs == []


def test_topics_that_another_worker_widens_meanwhile(make_pipeline) -> None:
    """They are as wide as they must be: that is all that was wanted."""
    broker = FakeBroker({"p.events": 4, "p.state.ingest": 2})
    broker.before("widening", lambda: broker.widen("p.state.ingest", 4))
    counts = prepare_topics(FakeClients(broker), make_pipeline(), Settings(broker="fake"))
    assert counts["p.state.ingest"] == len(broker.topics["p.state.ingest"]) == 4
