"""What a worker on a real Kafka does when something that it needs is gone from the broker.

Saved state that is lost is rebuilt from the log, and the log says from where. Input that expired
before it was read is an error, until somebody decides to do without it; then it is counted. A
worker with a name of its own comes back without a rebalance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from millrace.streams.operators.registry import BESIDE
from tests.integration import sensors
from tests.integration.clients import Topics, as_json
from tests.integration.workers import Worker, settings, wait_for

BEFORE, AFTER = 300, 100
EXPIRED = 40


class Disaster(NamedTuple):
    """What was seen of a pipeline whose state, and then some of whose input, was removed."""

    name: str
    rebuilt: list[dict[str, Any]]
    version_on_return: float
    predictions: list[dict[str, Any]]
    failing: dict[str, str]
    failure: str
    skipped: float
    gap: dict[str, Any]
    predictions_without: list[dict[str, Any]]


@pytest.fixture(scope="module")
def disaster(kafka: str, unique_name: Callable[[str], str]) -> Disaster:
    """Remove state between two runs; then remove what no run has read yet."""
    name = unique_name("disaster")
    topics, seen = Topics(kafka, name), dict[str, Any](name=name)
    own = settings("every_sensor", name, kafka, partitions=1)
    with Worker(own) as first:
        first.wait_ready()
        produce(topics, BEFORE)
        topics.messages("predictions", at_least=BEFORE)
        first.terminate()
    lose(kafka, [f"{name}.models", f"{name}.state.prediction-learning"])
    with Worker(own) as second:
        second.wait_ready()
        second.wait_total(BEFORE, "millrace_model_version")
        seen["version_on_return"] = second.metrics().total("millrace_model_version")
        produce(topics, AFTER, first=BEFORE)
        seen["predictions"] = topics.records("predictions", at_least=BEFORE + AFTER)
        seen["rebuilt"] = second.events_logged("no saved state: rebuilding it from the log")
        second.terminate()
    produce(topics, EXPIRED + 1, first=BEFORE + AFTER)
    expire(kafka, f"{name}.events", keep=1)
    with Worker(own) as third:
        seen["failing"] = wait_for("failing agent", third.failing)
        seen["failure"] = third.why_it_restarts()
        third.terminate()
    with Worker(own.model_copy(update={"accept_gaps": True})) as fourth:
        fourth.wait_ready()
        all_of_them = topics.records("predictions", at_least=BEFORE + AFTER + 1)
        seen["predictions_without"] = all_of_them[BEFORE + AFTER :]
        seen["skipped"] = fourth.metrics().total("millrace_records_skipped_total")
        (seen["gap"],) = fourth.events_logged("continuing behind a gap in the input")
    return Disaster(**seen)


def produce(topics: Topics, count: int, first: int = 0) -> None:
    """Produce readings in their order."""
    stream = sensors.readings(count, first=first)
    topics.produce("events", ({"value": as_json(each), "partition": 0} for each in stream))


def lose(bootstrap: str, topics: list[str]) -> None:
    """Delete topics, as somebody might by mistake."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for deleted in admin.delete_topics(topics).values():
        deleted.result(30)


def expire(bootstrap: str, topic: str, keep: int) -> None:
    """Let all records of a topic expire but the last few."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    latest = admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()})
    (end,) = (each.result(30).offset for each in latest.values())
    (removed,) = admin.delete_records([TopicPartition(topic, 0, end - keep)]).values()
    removed.result(30)


def test_lost_state_is_rebuilt_from_the_log(disaster: Disaster) -> None:
    """The model has learned again from every label, and the log says from which offset."""
    assert disaster.version_on_return == BEFORE
    said = {each["topic"]: each for each in disaster.rebuilt}
    features = said[f"{disaster.name}.features"]
    assert (features["agent"], features["from_offset"]) == ("prediction-learning", 0)
    assert features["to_offset"] >= BEFORE


def test_a_rebuild_predicts_nothing_twice(disaster: Disaster) -> None:
    """What was predicted before is replayed without output; what follows continues from it."""
    assert [each["event_id"] for each in disaster.predictions] == [
        str(number) for number in range(BEFORE + AFTER)
    ]
    assert [each["model_version"] for each in disaster.predictions] == [*range(BEFORE + AFTER)]


def test_expired_input_is_an_error(disaster: Disaster) -> None:
    """The worker halts, and names the gap and the setting that accepts it."""
    first = BEFORE + AFTER
    assert disaster.failing["ingest"] == "input has expired"
    where = f"{disaster.name}.events[0]"
    assert disaster.failure.startswith(f"ExpiredError: agent ingest needs {where} from offset")
    expected = f"on the broker is {first + EXPIRED}: up to {EXPIRED} records have expired"
    assert expected in disaster.failure
    assert "MILLRACE_ACCEPT_GAPS=true" in disaster.failure


def test_an_accepted_gap_is_counted(disaster: Disaster) -> None:
    """With the setting it goes on from the earliest record, and says how many it did without."""
    assert disaster.skipped == EXPIRED
    assert disaster.gap["to_offset"] - disaster.gap["from_offset"] == EXPIRED
    assert [each["event_id"] for each in disaster.predictions_without] == [
        str(BEFORE + AFTER + EXPIRED)
    ]


def test_a_named_worker_comes_back_without_a_rebalance(
    kafka: str, unique_name: Callable[[str], str]
) -> None:
    """Static membership (KIP-345): the other one keeps its partitions, and is not asked again."""
    name = unique_name("named")
    topics = Topics(kafka, name)
    own = settings("by_sensor", name, kafka, partitions=2, session_timeout_seconds=30)
    left, right = (own.model_copy(update={"group_instance_id": each}) for each in ("a", "b"))
    with Worker(left) as staying:
        staying.wait_ready()
        with Worker(right) as leaving:
            leaving.wait_ready()
            wait_for("partition each", lambda: last_assigned(staying) == [1])
            before = len(assignments(staying))
            leaving.terminate()
        with Worker(right) as returning:
            returning.wait_ready()
            topics.produce(
                "events",
                ({"value": as_json(r), "key": r["sensor"]} for r in sensors.readings(AFTER)),
            )
            predictions = topics.records("predictions", at_least=AFTER)
            assert last_assigned(returning) == [1]
        after = len(assignments(staying))
    assert after == before
    assert len(predictions) == len({each["event_id"] for each in predictions}) == AFTER


def assignments(worker: Worker) -> list[dict[str, Any]]:
    """Return what agents were given, but those whose one partition only one worker can have."""
    return [each for each in worker.events_logged("assigned") if each["agent"] not in BESIDE]


def last_assigned(worker: Worker) -> list[int]:
    """Return how many partitions an agent was last given, for each number that one was given."""
    last = {each["agent"]: len(each["partitions"]) for each in assignments(worker)}
    return sorted({*last.values()})
