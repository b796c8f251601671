"""Partitions that do not fit, or are added, on a real Kafka."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.cimpl import NewPartitions
from structlog.testing import capture_logs

from millrace.schemas import BrokerError
from millrace.streams.operators.registry import BESIDE
from tests.integration.agents import SECONDS, LiveAgent, produce_readings, recreate
from tests.integration.clients import Topics
from tests.integration.workers import wait_for

MakeName = Callable[[str], str]


def create(bootstrap: str, topic: str, partitions: int, **config: str) -> None:
    """Create a topic, as its user would."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    settings = {name.replace("_", "."): value for name, value in config.items()}
    new = NewTopic(topic, partitions, 1, config=settings)
    admin.create_topics([new])[topic].result(SECONDS)
    wait_for("topic", lambda: topic in counts(bootstrap, topic))


def widen(bootstrap: str, topic: str, partitions: int) -> None:
    """Add partitions to a topic."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(SECONDS)
    wait_for("partitions", lambda: counts(bootstrap, topic)[topic] == partitions)


def counts(bootstrap: str, prefix: str) -> dict[str, int]:
    """Return the topics whose names begin so, and how many partitions they have."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = admin.list_topics(timeout=SECONDS).topics.items()
    return {name: len(each.partitions) for name, each in topics if name.startswith(prefix)}


def test_topics_are_created_to_fit_the_users(kafka: str, unique_name: MakeName) -> None:
    """Six partitions of events, whatever the setting says; labels may have fewer."""
    name = unique_name("fit")
    create(kafka, f"{name}.events", 6)
    create(kafka, f"{name}.labels", 1)
    produce_readings(kafka, f"{name}.events", 3, partition=5)
    with LiveAgent(kafka, name, chain="default", partitions=4) as agent:
        agent.work_to("events", 3, partition=5)
    made = counts(kafka, f"{name}.")
    beside = [f"state.{each}" for each in BESIDE]
    for single in ("labels", "commands", "definitions", "evaluations", *beside):
        assert made.pop(f"{name}.{single}") == 1
    assert {*made.values()} == {6}


def test_a_start_that_refuses_has_created_nothing(kafka: str, unique_name: MakeName) -> None:
    """Neither where inputs do not fit, nor where the broker would not create one of the topics."""
    name = unique_name("refused")
    create(kafka, f"{name}.events", 3)
    with pytest.raises(BrokerError, match="replication factor of 3"):
        LiveAgent(kafka, name, replication=3)
    create(kafka, f"{name}.labels", 1)
    with pytest.raises(BrokerError, match=rf"same number.*--topic {name}\.labels --partitions 3"):
        LiveAgent(kafka, name)
    assert counts(kafka, f"{name}.") == {f"{name}.events": 3, f"{name}.labels": 1}


def test_partitions_that_are_added_under_a_running_agent_that_routes(
    kafka: str, unique_name: MakeName
) -> None:
    """The old ones go on, the new ones are read within some seconds, all by the same models."""
    name = unique_name("added")
    with LiveAgent(kafka, name, chain="default", partitions=2) as agent:
        produce_readings(kafka, f"{name}.events", 3)
        agent.work_to("events", 3)
        widen(kafka, f"{name}.events", 4)
        produce_readings(kafka, f"{name}.events", 2, first=3, partition=3)
        produce_readings(kafka, f"{name}.events", 2, first=5)
        assert agent.work_to("events", 2, partition=3) == 4
        assert agent.positions()["events", 0] == 5
        assert counts(kafka, f"{name}.state.ingest") == {f"{name}.state.ingest": 4}
    assert len(Topics(kafka, name).messages("clean")) == 7


def test_partitions_that_are_added_where_keys_have_state(kafka: str, unique_name: MakeName) -> None:
    """The agent halts, also while it runs; without its state it learns from the log as it is."""
    name = unique_name("added")
    own = {"pipeline": "by_sensor", "partitions": 2}
    with LiveAgent(kafka, name, **own) as agent:
        produce_readings(kafka, f"{name}.events", 5)
        agent.work_to("events", 5)
        widen(kafka, f"{name}.events", 3)
        widen(kafka, f"{name}.labels", 3)
        with pytest.raises(BrokerError, match=r"has 3 partitions, and had 2 when the state"):
            agent.work(lambda: False)
        agent.session.is_broken = True
    with (
        pytest.raises(BrokerError, match=rf"another name.*delete the topics {name}\.state"),
        LiveAgent(kafka, name, **own) as agent,
    ):
        agent.start()
    for topic in ("models", "state.ingest-feature-prediction-learning-drift"):
        recreate(kafka, f"{name}.{topic}", 3)
    with LiveAgent(kafka, name, **own) as agent:
        assert agent.work_to("events", 5) == 5


def test_partitions_that_are_added_where_nothing_is_keyed(
    kafka: str, unique_name: MakeName
) -> None:
    """With scope global the model stays on its partition, and nothing halts."""
    name = unique_name("added")
    own = {"operator": "feature", "chain": "default", "partitions": 1}
    with LiveAgent(kafka, name, chain="default", partitions=1) as ingest:
        produce_readings(kafka, f"{name}.events", 3)
        ingest.work_to("events", 3)
    with LiveAgent(kafka, name, **own) as agent:
        agent.work_to("clean", 4)
    widen(kafka, f"{name}.clean", 3)
    with LiveAgent(kafka, name, **own) as agent:
        agent.start()
        assert agent.positions() == {("clean", 0): 4, ("clean", 1): 0, ("clean", 2): 0}


def test_topics_that_are_kept_in_another_way(kafka: str, unique_name: MakeName) -> None:
    """They are used, and it is said what that may cost."""
    name = unique_name("kept")
    create(kafka, f"{name}.events", 1, cleanup_policy="compact")
    create(kafka, f"{name}.models", 1, cleanup_policy="delete")
    with capture_logs() as logs, LiveAgent(kafka, name):
        pass
    said = [each["event"] for each in logs if "cleanup.policy" in each["event"]]
    assert [each.split(": ")[0] for each in said] == [
        f"topic {name}.events has cleanup.policy=compact",
        f"topic {name}.models has cleanup.policy=delete",
    ]
