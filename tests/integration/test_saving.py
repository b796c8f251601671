"""State of any size is saved on a real Kafka, and what a broker does not take stops no prediction.

What is saved is read by another session, as after a restart.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.integration.agents import SECONDS, LiveAgent, produce_readings
from tests.integration.clients import Topics

LARGEST = 1_048_588
"""What a broker takes if nobody has told it otherwise."""


def limit(bootstrap: str, topic: str, most_bytes: int) -> None:
    """Let a topic take no larger batch."""
    entry = ConfigEntry(
        "max.message.bytes", str(most_bytes), incremental_operation=AlterConfigOpType.SET
    )
    admin = AdminClient({"bootstrap.servers": bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    (altered,) = admin.incremental_alter_configs([resource]).values()
    altered.result(SECONDS)


def learned(agent: LiveAgent) -> int:
    """Return how many examples the agent's model has learned."""
    (assignment,) = agent.session.assignments.values()
    (store,) = (store for name, store in assignment.task.stores() if name == "learning/models")
    version: int = store[""].version  # type: ignore[index]
    return version


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_large_model_is_saved_in_parts(
    kafka: str, unique_name: Callable[[str], str], guarantee: str
) -> None:
    """No record of it is larger than any broker takes; another session restores it from them."""
    name = unique_name("large")
    more = {"pipeline": "large", "processing_guarantee": guarantee}
    with LiveAgent(kafka, name, **more) as agent:
        produce_readings(kafka, f"{name}.events", 5)
        agent.work_to("events", 5)
    records = Topics(kafka, name).messages("models")
    assert len(records) > 20
    assert max(len(each.value()) for each in records) < LARGEST - 100_000

    with LiveAgent(kafka, name, **more) as agent:
        agent.start()
        assert learned(agent) == 5
        produce_readings(kafka, f"{name}.events", 2, first=5)
        agent.work_to("events", 7)
        assert learned(agent) == 7
    assert len(Topics(kafka, name).records("predictions")) == 7


def test_prediction_follows_a_large_model(kafka: str, unique_name: Callable[[str], str]) -> None:
    """Where it has an agent of its own, it puts together what learning publishes."""
    name = unique_name("split")
    more = {"pipeline": "large", "chain": "split", "flush_seconds": 1}
    with (
        LiveAgent(kafka, name, "ingest", **more) as ingest,
        LiveAgent(kafka, name, "feature", **more) as feature,
        LiveAgent(kafka, name, "prediction", **more) as prediction,
        LiveAgent(kafka, name, "learning", **more) as learning,
    ):
        produce_readings(kafka, f"{name}.events", 3)
        ingest.work_to("events", 3)
        feature.work_to("clean", 3)
        prediction.work_to("features", 3)
        learning.work_to("examples", 3)
        learning.save()
        produce_readings(kafka, f"{name}.events", 1, first=3)
        ingest.work_to("events", 4)
        feature.work_to("clean", 5)  # behind a marker
        prediction.work(lambda: prediction.positions().get(("models", 0), 0) > 20)
        prediction.work_to("features", 5)
    made = Topics(kafka, name).records("predictions")
    assert [each["model_version"] for each in made] == [0, 0, 0, 3]


def test_state_that_the_broker_refuses_stops_no_prediction(
    kafka: str, unique_name: Callable[[str], str]
) -> None:
    """It is said, counted and tried again; nothing is committed that says it was saved."""
    name = unique_name("refused")
    with LiveAgent(kafka, name, flush_seconds=1) as agent:
        agent.start()
        limit(kafka, f"{name}.models", 200)
        for count in (5, 10, 15):
            produce_readings(kafka, f"{name}.events", 5, first=count - 5)
            agent.work_to("events", count)
            agent.save()
        assert "refuses" in agent.session.unsaved
        assert (
            agent.count("state_refused_total", agent="ingest-feature-prediction-learning-drift")
            >= 2
        )
        agent.restart()  # as after a crash: from the log
        agent.start()
        agent.work_to("events", 15)
        assert learned(agent) == 15

        limit(kafka, f"{name}.models", LARGEST)
        produce_readings(kafka, f"{name}.events", 1, first=15)
        agent.work_to("events", 16)
        agent.save()
        assert agent.session.unsaved == ""
        agent.restart()
        agent.start()
        assert learned(agent) == 16
    assert len(Topics(kafka, name).records("predictions")) == 16
