"""What is missing, and what only seems to be, where records expire on a real Kafka."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millrace.schemas import BrokerError
from tests.integration.agents import LiveAgent, expire, produce_readings

MakeName = Callable[[str], str]


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
@pytest.mark.parametrize("ends", ["commit", "abort"])
def test_a_topic_that_was_read_to_its_end_may_expire(
    kafka: str, unique_name: MakeName, ends: str, guarantee: str
) -> None:
    """Behind its last record lie markers of transactions, committed and aborted."""
    name = unique_name("idle")
    with LiveAgent(kafka, name, processing_guarantee=guarantee) as agent:
        produce_readings(kafka, f"{name}.events", 3, ends="commit")
        produce_readings(kafka, f"{name}.events", 2, first=3, ends=ends)
        assert agent.work_to("events", 7) == (5 if ends == "commit" else 3)
    expire(kafka, f"{name}.events", before=7)

    with LiveAgent(kafka, name, processing_guarantee=guarantee) as agent:
        produce_readings(kafka, f"{name}.events", 2, first=5)
        assert agent.work_to("events", 9) == 2


def test_an_agent_that_stops_at_once_is_behind_the_markers(
    kafka: str, unique_name: MakeName
) -> None:
    """It waits a moment for them, so that a topic which it has read may expire meanwhile."""
    name = unique_name("stopped")
    with LiveAgent(kafka, name) as agent:
        produce_readings(kafka, f"{name}.events", 3, ends="commit")
        agent.work_to("events", 3)
    expire(kafka, f"{name}.events", before=4)
    with LiveAgent(kafka, name) as agent:
        agent.start()
        assert agent.positions()["events", 0] == 4


def test_an_agent_without_state_may_find_its_topic_expired(
    kafka: str, unique_name: MakeName
) -> None:
    """The group's offset lies behind the markers, too, without any record that led to it."""
    name = unique_name("idle")
    with LiveAgent(kafka, name, chain="default") as agent:
        produce_readings(kafka, f"{name}.events", 3, ends="commit")
        agent.work_to("events", 4)
    expire(kafka, f"{name}.events", before=4)

    with LiveAgent(kafka, name, chain="default") as agent:
        agent.start()
        assert agent.positions()["events", 0] == 4


def test_every_topic_between_the_agents_may_expire(kafka: str, unique_name: MakeName) -> None:
    """Agents write in transactions: an idle week stops none of those that read from them."""
    name = unique_name("idle")
    with LiveAgent(kafka, name, chain="default") as ingest:
        produce_readings(kafka, f"{name}.events", 3)
        ingest.work_to("events", 3)
    with LiveAgent(kafka, name, "feature", chain="default") as feature:
        assert feature.work_to("clean", 4) == 3
    expire(kafka, f"{name}.clean", before=4)

    with LiveAgent(kafka, name, "feature", chain="default") as feature:
        feature.start()
        assert feature.positions()["clean", 0] == 4


def test_a_record_that_was_not_read_is_missed(kafka: str, unique_name: MakeName) -> None:
    """One that came behind the markers, and expired, is a gap."""
    name = unique_name("idle")
    with LiveAgent(kafka, name) as agent:
        produce_readings(kafka, f"{name}.events", 3, ends="commit")
        agent.work_to("events", 4)
    produce_readings(kafka, f"{name}.events", 1, first=3)
    expire(kafka, f"{name}.events", before=5)

    with (
        pytest.raises(BrokerError, match=r"events\[0\] from offset 4 on.* is 5: up to 1 records"),
        LiveAgent(kafka, name) as agent,
    ):
        agent.start()
