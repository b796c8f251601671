"""Events, labels and commands on topics of their own: their order outlives the state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from millrace.streams.runtime.assignment import Assignment
from millrace.streams.settings import Guarantee
from millrace.streams.state import input_order
from tests.integration import sensors
from tests.integration.agents import LiveAgent
from tests.integration.clients import Topics
from tests.integration.test_deploy import Visits, event
from tests.integration.workers import Worker, settings, wait_for
from tests.unit.streams.runtime.worker import stored

EACH = 100  # events between two changes


def send(visits: Visits, count: int) -> None:
    """Produce events and, on a topic of their own, their labels; some come early, some late."""
    for first in range(visits.sent, visits.sent + count, 5):
        numbers = range(first, first + 5)
        produce(visits.topics, "events", [event(each) | {"y": None} for each in numbers])
        labelled = [each + (0, 0, -8, 7, 0)[each % 5] for each in numbers]
        labels = [{"event_id": str(each), "label": event(each)["y"]} for each in labelled]
        produce(visits.topics, "labels", labels)
    visits.sent += count


def produce(topics: Topics, topic: str, values: list[dict[str, Any]], **more: Any) -> None:
    made = [json.dumps(each).encode() for each in values]
    topics.produce(topic, ({"value": each, "partition": 0, **more} for each in made))


def command(topics: Topics, name: str) -> None:
    """Ask for a command as any Kafka client can, and wait until it has been applied."""
    before = len(topics.records("audit"))
    asked = {"id": f"{name}-1", "command": name, "arguments": {}, "who": "a test", "why": "to see"}
    produce(topics, "commands", [asked])
    wait_for(f"{name} applied", lambda: len(topics.records("audit")) > before)


def saved(visits: Visits) -> dict[str, Any]:
    """Return what is saved, once all that there is has been folded and saved."""

    ends = {
        name: records[-1].offset() + 1
        for name in ("events", "labels", "control")
        if (records := visits.topics.messages(name))
    }

    def found() -> dict[str, Any] | None:
        code, said = visits.call("state", "--json")
        state: dict[str, Any] = json.loads(said) if code == 0 else {"covers": {}}
        covers = state["covers"].get("0", {})
        return state if all(covers.get(each, 0) >= end for each, end in ends.items()) else None

    return wait_for("saved state", found)


def lose(bootstrap: str, name: str) -> None:
    """Delete what is saved, as somebody might by mistake."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    there = admin.list_topics(timeout=10).topics
    lost = [each for each in there if each.startswith((f"{name}.state.ingest-", f"{name}.models"))]
    assert len(lost) == 2
    for deleted in admin.delete_topics(lost).values():
        deleted.result(30)


def ahead_of(assignment: Assignment) -> frozenset[str]:
    assert assignment.order is not None
    return assignment.order.ahead


def test_a_topic_that_is_far_ahead_waits_on_the_broker(
    kafka: str, unique_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """State that is lost is learned again in the same order, and little is kept in memory."""
    monkeypatch.setattr(input_order, "_MOST_WAITING", 8)
    monkeypatch.setattr(input_order, "_FEW_WAITING", 2)
    name = unique_name("ahead")
    topics = Topics(kafka, name)
    with LiveAgent(kafka, name) as agent:
        agent.start()
        for number in range(0, 200, 10):
            readings = sensors.readings(10, first=number)
            produce(topics, "events", [each | {"faulty": None} for each in readings])
            agent.work_to("events", number + 10)
            labels = [
                {"event_id": each["reading_id"], "label": each["load"] > 1} for each in readings
            ]
            produce(topics, "labels", labels, timestamp=1)  # a rebuild is given them first
            agent.work_to("labels", max(number - 30, 0))
        agent.work_to("labels", 200)
        before = stored(agent.session)
        agent.session.is_broken = True  # as if killed
    held: set[str] = set()
    with LiveAgent(kafka, name) as agent:
        while agent.positions() != {("events", 0): 200, ("labels", 0): 200, ("control", 0): 0}:
            if origins := agent.session.poll(20):
                asyncio.run(agent.session.fold(origins))
                agent.session.commit()
            held.update(*map(ahead_of, agent.session.assignments.values()))
        assert stored(agent.session) == before
        agent.session.is_broken = True
    assert held


@pytest.mark.platform
@pytest.mark.parametrize("guarantee", Guarantee, ids=str)
def test_state_that_is_lost_is_learned_again_bit_for_bit(
    kafka: str, guarantee: Guarantee, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    """Through kills, a pause and a deploy; and predictions of any time are made again."""
    name, more = unique_name("order"), {"chain": "full", "processing_guarantee": guarantee}
    own = settings("", name, kafka, partitions=1, flush_seconds=0.5, **more)
    visits = Visits(name, tmp_path, own)
    visits.write("one")
    visits.write("two", factor=2, features='[derived("double", lambda e: e["x"] * 2)]')
    topics = visits.topics
    with Worker(visits.own) as worker:
        worker.wait_ready()
        send(visits, EACH)
        worker.kill()
    with Worker(visits.own) as worker:
        send(visits, EACH)
        worker.wait_ready()
        command(topics, "pause")
        send(visits, EACH)
        code, said = visits.deploy("two")
        assert code == 0, said
        send(visits, EACH)
        command(topics, "resume")
        send(visits, EACH)
        topics.messages("predictions", at_least=visits.sent)
        before = saved(visits)
        worker.kill()
    lose(kafka, name)
    with Worker(visits.own) as worker:
        worker.wait_ready()
        after = saved(visits)
        assert worker.events_logged("no saved state: rebuilding it from the log")
        assert not worker.events_logged("the order of records")
        worker.terminate()
    assert after["candidates"] == before["candidates"]
    for number in (EACH // 2, 3 * EACH - 1, 5 * EACH - 1):
        code, said = visits.call("reproduce", str(number))
        assert (code, "identical" in said) == (0, True), said
