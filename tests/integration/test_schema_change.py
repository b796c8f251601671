"""A schema is changed while events of the one before are in flight on a real Kafka."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from millrace.schemas import shipped
from tests.integration import sensors
from tests.integration.agents import LiveAgent
from tests.integration.clients import Topics, as_json, avro

EVENTS = 20_000


@pytest.mark.timeout(180)
def test_events_in_flight(kafka: str, unique_name: Callable[[str], str]) -> None:
    """What waits on `events` and `clean` in the schema before becomes a vector as it was."""
    name = unique_name("schema")
    agent = partial(LiveAgent, kafka, name, chain="default", batch_records=2_000)
    topics, readings = Topics(kafka, name), sensors.readings(EVENTS, labelled=False)
    with agent("ingest", "plain") as ingest:
        ingest.start()
        topics.produce("events", [{"value": as_json(each)} for each in readings[:15_000]])
        ingest.work_to("events", 12_000)
    with agent("feature", "plain") as feature:
        feature.work_to("clean", 4_000)
        switched_at = feature.positions()["clean", 0]
    later = [_later(number, each) for number, each in enumerate(readings[15_000:])]
    topics.produce("events", [{"value": each} for each in later])
    with agent("ingest", "plain_later") as ingest:
        ingest.work_to("events", EVENTS)
    clean = topics.messages("clean", EVENTS)
    with agent("feature", "plain_later") as feature:
        feature.work_to("clean", (clean[-1].offset() or 0) + 1)
    vectors = [shipped("feature_vector").decode(m.value()) for m in topics.messages("features")]
    assert topics.messages("rejects") == []
    before = sum((each.offset() or 0) < switched_at for each in clean)
    assert 4_000 <= before < 12_000
    for number, (vector, reading) in enumerate(zip(vectors, readings, strict=True)):
        expected: dict[str, Any] = {"temperature": reading["temperature"]}
        expected["load" if number < before else "use"] = reading["load"]
        if number >= before:
            expected["humidity"] = 55 if _is_new(number - 15_000) else 40
        assert vector["event_id"] == str(number)
        assert vector["features"] == expected


def _later(number: int, reading: dict[str, Any]) -> bytes:
    """Return what a producer writes that may have the later schema, or the one before."""
    if _is_new(number):
        renamed = {("use" if name == "load" else name): value for name, value in reading.items()}
        return avro(sensors.LATER_SCHEMA, {**renamed, "humidity": 55})
    return as_json(reading) if number % 4 else avro(sensors.SCHEMA, reading)


def _is_new(number: int) -> bool:
    return number > 0 and number % 2 == 1
