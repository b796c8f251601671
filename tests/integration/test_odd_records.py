"""Odd records on every topic of a real Kafka: each is rejected, and no agent stops for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.integration import sensors
from tests.integration.clients import Topics, as_json, decode
from tests.integration.raw import produce_raw
from tests.integration.workers import Worker, settings

LARGEST = 20_000
TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
FOREIGN = [b"{}", b"\xff\xfe", b"\xc3\x01random", b"", None]
TEMPLATE = sensors.readings(1, labelled=False)[0]


def reading(number: int, **more: Any) -> bytes:
    at = TEMPLATE["at"] + number * 1_000
    return as_json({**TEMPLATE, "reading_id": str(number), "at": at, **more})


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_odd_records_stop_no_agent(
    guarantee: str, kafka: str, unique_name: Callable[[str], str]
) -> None:
    """Foreign bytes on internal topics, unreadable header names, tombstones, too large outputs."""
    name = unique_name("odd")
    topics = Topics(kafka, name)
    topic = NewTopic(f"{name}.predictions", 1, 1, config={"max.message.bytes": str(LARGEST)})
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([topic])[topic.topic].result(10)
    own = settings(
        *("wordy", name, kafka), chain="split", partitions=1, processing_guarantee=guarantee
    )
    with Worker(own) as worker:
        worker.wait_ready()
        for internal in ("clean", "features", "examples", "predictions"):
            topics.produce(internal, ({"value": each, "key": b"\xff"} for each in FOREIGN))
        headers = [TRACE, ("tenant", b"t"), ("other", None)]
        topics.produce("events", [{"value": reading(0), "headers": headers}])
        for number, odd in enumerate([b"\xff", b"\xed\xa0\x80", b"a\xc3"], start=1):
            produce_raw(kafka, f"{name}.events", reading(number), [(b"ok", b"1"), (odd, None)])
        produce_raw(kafka, f"{name}.events", reading(4), [(b"h", b"v")] * 10_000)
        topics.produce("events", [{"value": None, "key": b"k"}])
        topics.produce("labels", [{"value": None, "key": b"k"}])
        topics.produce("events", [{"value": reading(5, load=float(10 * LARGEST))}])
        topics.produce("events", ({"value": reading(number)} for number in range(6, 200)))
        topics.produce("events", [{"value": reading(0), "headers": headers}])  # a duplicate
        worker.wait_total(199, "millrace_predictions_total")
        worker.wait_total(1, "millrace_events_rejected_total", reason="duplicate_event")
        metrics = worker.metrics()
    assert metrics.total("millrace_tombstones_ignored_total") == 2
    assert metrics.total("millrace_internal_errors_total") == 0
    assert metrics.total("millrace_agent_restarts_total") <= 2

    predictions = topics.messages("predictions")
    own_values = [each for each in predictions if each.key() != b"\xff"]
    ids = Counter(decode(each.value())["event_id"] for each in own_values)
    assert ids.keys() == {str(number) for number in range(200) if number != 5}
    if guarantee == "exactly_once":
        assert {*ids.values()} == {1}
    carried = next(each for each in own_values if decode(each.value())["event_id"] == "0")
    assert carried.headers() == [TRACE, ("tenant", b"t")]

    rejects = topics.records("rejects")
    found = Counter(
        each["topic"].removeprefix(f"{name}.") for each in rejects if each["key"] == b"\xff"
    )
    of_each = dict.fromkeys(("clean", "features", "examples", "predictions"), 5)
    if guarantee == "exactly_once":
        assert found == of_each
    else:  # what was folded before an output was too large may be folded again
        assert found.keys() == of_each.keys()
        assert found >= Counter(of_each)
    others = {each["reason"]: each for each in rejects if each["key"] != b"\xff"}
    assert others.keys() == {"oversized_output", "duplicate_event"}
    assert f"topic {name}.predictions takes" in others["oversized_output"]["detail"]
    *_, duplicate = (each for each in topics.messages("rejects") if each.headers())
    assert duplicate.headers() == [TRACE, ("tenant", b"t")]
