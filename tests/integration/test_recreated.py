"""Topics that are deleted and created again on a real Kafka, while agents run or are stopped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millrace.schemas import BrokerError
from tests.integration.agents import LiveAgent, delete, produce_readings, recreate

MakeName = Callable[[str], str]

UNAWARE = {"topic.metadata.refresh.interval.ms": "600000"}
"""So that librdkafka does not happen to see the topic while it is not there."""


@pytest.mark.parametrize("records", [2, 8])
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_stopped_agent_finds_another_topic(
    kafka: str, unique_name: MakeName, guarantee: str, records: int
) -> None:
    """It says so, however long the new one is; on request it reads all of it."""
    name = unique_name("recreated")
    events = f"{name}.events"
    with LiveAgent(kafka, name, processing_guarantee=guarantee) as agent:
        produce_readings(kafka, events, 5)
        agent.work_to("events", 5)
    recreate(kafka, events)
    produce_readings(kafka, events, records, first=5)

    found = rf"at offset 5 of {events}\[0\].*deleted and created again since: .* 0 to {records}\."
    with (
        pytest.raises(BrokerError, match=found),
        LiveAgent(kafka, name, processing_guarantee=guarantee) as agent,
    ):
        agent.start()
    with LiveAgent(kafka, name, processing_guarantee=guarantee, accept_gaps=True) as agent:
        assert agent.work_to("events", records) == records
        cause = {"agent": agent.session.inbox._name, "topic": "events", "cause": "recreated"}
        assert agent.count("gaps_accepted_total", **cause) == 1
        assert agent.count("model_version", partition="0") == 5 + records
    with LiveAgent(kafka, name, processing_guarantee=guarantee) as agent:
        agent.start()
        assert agent.positions()["events", 0] == records


def test_a_running_agent_notices_that_its_topic_is_another(
    kafka: str, unique_name: MakeName
) -> None:
    """The consumer goes on at its position in the new topic; the agent skips nothing of it."""
    name = unique_name("recreated")
    events = f"{name}.events"
    with LiveAgent(kafka, name, kafka=UNAWARE) as agent:
        produce_readings(kafka, events, 5)
        agent.work_to("events", 5)
        recreate(kafka, events)
        produce_readings(kafka, events, 8, first=5)
        assert agent.work_to("events", 8) == 3  # what Kafka's clients do
        agent.pass_time(11)
        with pytest.raises(BrokerError, match=rf"topic {events} was deleted and created again"):
            agent.work(lambda: False)
        agent.restart()
        with pytest.raises(BrokerError, match="deleted and created again since"):
            agent.start()
        agent.restart()
        agent.session.is_broken = True
    with LiveAgent(kafka, name, accept_gaps=True) as agent:
        assert agent.work_to("events", 8) == 8


def test_a_running_agent_beyond_the_end_of_the_new_topic(kafka: str, unique_name: MakeName) -> None:
    """The consumer says that its offset is out of range; then it is told why."""
    name = unique_name("recreated")
    events = f"{name}.events"
    with LiveAgent(kafka, name, kafka=UNAWARE) as agent:
        produce_readings(kafka, events, 5)
        agent.work_to("events", 5)
        agent.pass_time(601)
        agent.work(lambda: agent.session.assignments[0].flushes == 1)
        recreate(kafka, events)
        produce_readings(kafka, events, 2, first=5)
        with pytest.raises(
            BrokerError, match=r"at offset 5 of \S+\.events.* deleted and created again since"
        ):
            agent.work(lambda: False)
        agent.restart()
        with pytest.raises(BrokerError, match="deleted and created again since"):
            agent.start()
        agent.session.is_broken = True


def test_an_agent_without_state_reads_the_new_topic_from_its_beginning(
    kafka: str, unique_name: MakeName
) -> None:
    """Kafka has forgotten the group's offsets with the topic."""
    name = unique_name("recreated")
    events = f"{name}.events"
    with LiveAgent(kafka, name, chain="default") as agent:
        produce_readings(kafka, events, 5)
        agent.work_to("events", 5)
    recreate(kafka, events)
    produce_readings(kafka, events, 8, first=5)
    with LiveAgent(kafka, name, chain="default") as agent:
        assert agent.work_to("events", 8) == 8


def test_an_agent_without_state_that_has_committed_in_the_new_topic(
    kafka: str, unique_name: MakeName
) -> None:
    """The offset says which topic it is of: what came before it is not skipped."""
    name = unique_name("recreated")
    events = f"{name}.events"
    with LiveAgent(kafka, name, chain="default", kafka=UNAWARE) as agent:
        produce_readings(kafka, events, 5)
        agent.work_to("events", 5)
        recreate(kafka, events)
        produce_readings(kafka, events, 8, first=5)
        assert agent.work_to("events", 8) == 3
    with (
        pytest.raises(BrokerError, match=r"at offset 8 of .*deleted and created again since"),
        LiveAgent(kafka, name, chain="default") as agent,
    ):
        agent.start()


def test_a_topic_that_is_deleted_under_a_running_agent(kafka: str, unique_name: MakeName) -> None:
    """Within some seconds it says that there is no such topic, and what to do."""
    name = unique_name("deleted")
    with LiveAgent(kafka, name) as agent:
        agent.start()
        delete(kafka, f"{name}.events")
        agent.pass_time(11)
        with pytest.raises(BrokerError, match=rf"no topic {name}\.events any more.*--create"):
            agent.work(lambda: False)
        agent.session.is_broken = True


@pytest.mark.parametrize("topic", ["models", "state.ingest-feature-prediction-learning-drift"])
def test_state_that_is_deleted_under_a_running_agent(
    kafka: str, unique_name: MakeName, topic: str
) -> None:
    """It is rebuilt from the log; no prediction is repeated, none is made by another model."""
    name = unique_name("deleted")
    with LiveAgent(kafka, name) as agent:
        produce_readings(kafka, f"{name}.events", 5)
        agent.work_to("events", 5)
        recreate(kafka, f"{name}.{topic}")
        agent.pass_time(11)
        with pytest.raises(BrokerError, match=rf"topic {name}.{topic} was deleted and created"):
            agent.work(lambda: False)
        agent.restart()
        produce_readings(kafka, f"{name}.events", 1, first=5)
        assert agent.work_to("events", 6) == 6
        assert agent.count("model_version", partition="0") == 6
        assert agent.count("predictions_total", model="logistic_regression") == 6
