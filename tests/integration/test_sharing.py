"""Two workers on a real Kafka share the partitions of a pipeline, and one leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import AdminClient

from millrace.streams.topology.chain import parse_chain
from tests.integration import sensors
from tests.integration.clients import Topics, as_json
from tests.integration.workers import Worker, settings, wait_for

TOGETHER, ALONE = 600, 300
PARTITIONS = 4
AGENTS = tuple(agent.name for agent in parse_chain("default"))


class Shared(NamedTuple):
    """What was seen of two workers."""

    held: dict[str, list[int]]
    made_by: list[float]
    exit_code: int
    held_after: dict[str, list[int]]
    predictions: list[dict[str, Any]]
    learned: float
    rebuilt: list[dict[str, Any]]
    ended: list[dict[str, Any]]


@pytest.fixture(scope="module")
def shared(kafka: str, unique_name: Callable[[str], str]) -> Shared:
    """Run two workers, stop one in the middle of its work, go on with the other."""
    name = unique_name("shared")
    topics = Topics(kafka, name)
    own = settings("by_sensor", name, kafka, partitions=PARTITIONS, batch_records=20)
    with Worker(own) as first, Worker(own) as second:
        for worker in (first, second):
            worker.wait_ready()
        held = wait_for("two members each", lambda: holdings(kafka, name, members=2))
        produce(topics, sensors.readings(TOGETHER))
        for worker in (first, second):
            worker.wait_total(TOGETHER / 10, "millrace_predictions_total")
        made_by = [each.metrics().total("millrace_predictions_total") for each in (first, second)]
        exit_code, _ = second.terminate()
        produce(topics, sensors.readings(ALONE, first=TOGETHER))
        held_after = wait_for("one member", lambda: holdings(kafka, name, members=1))
        predictions = topics.records("predictions", at_least=TOGETHER + ALONE)
        scored = {"candidate": "logistic_regression"}
        first.wait_total(TOGETHER + ALONE, "millrace_prequential_examples", **scored)
        learned = first.metrics().total("millrace_prequential_examples", **scored)
        wait_for("end of all lag", lambda: not lag_of(first))
        rebuilt = first.events_logged("no saved state: rebuilding it from the log")
        ended = first.events_logged("fencing another worker's transaction")
    return Shared(*(held, made_by, exit_code, held_after, predictions, learned, rebuilt, ended))


def lag_of(worker: Worker) -> float:
    """Return how many records a worker says that it has not read."""
    return worker.metrics().total("millrace_consumer_lag_records")


def produce(topics: Topics, stream: list[dict[str, Any]]) -> None:
    """Produce readings keyed by their sensor, as any client would."""
    topics.produce("events", ({"value": as_json(r), "key": r["sensor"]} for r in stream))


def holdings(bootstrap: str, pipeline: str, members: int) -> dict[str, list[int]]:
    """Return how many partitions each member of each group has; empty in the middle of it."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    described = admin.describe_consumer_groups([f"{pipeline}.{agent}" for agent in AGENTS])
    held = {
        agent: sorted(
            len({each.partition for each in member.assignment.topic_partitions})
            for member in described[f"{pipeline}.{agent}"].result(10).members
        )
        for agent in AGENTS
    }
    is_done = all(len(n) == members and sum(n) == PARTITIONS for n in held.values())
    return held if is_done else {}


def test_two_workers_have_half_of_the_partitions_each(shared: Shared) -> None:
    """Every agent's group has two members with two partitions, and both predict."""
    assert shared.held == {agent: [2, 2] for agent in AGENTS}
    assert all(shared.made_by)


def test_who_stays_has_them_all(shared: Shared) -> None:
    """A worker that is told to stop exits with 0, and the other one takes over."""
    assert shared.exit_code == 0
    assert shared.held_after == {agent: [PARTITIONS] for agent in AGENTS}


def test_who_leaves_hands_its_state_over(shared: Shared) -> None:
    """It has saved all that it had and left nothing open: nothing is to be redone or ended."""
    assert shared.rebuilt == []
    assert shared.ended == []


def test_a_hand_over_loses_and_repeats_nothing(shared: Shared) -> None:
    """Every event is predicted once, by a model that has learned its sensor's labels once."""
    ids = sorted(int(each["event_id"]) for each in shared.predictions)
    assert ids == [*range(TOGETHER + ALONE)]
    for sensor in sensors.SENSORS:
        own = [each for each in shared.predictions if each["key"] == sensor]
        assert [each["model_version"] for each in own] == [*range(len(own))]
    assert shared.learned == TOGETHER + ALONE


def test_a_hand_over_changes_no_prediction(shared: Shared) -> None:
    """Each sensor's predictions are those of a River model of its own, in one go."""
    stream = sensors.readings(TOGETHER + ALONE)
    expected = {}
    models = {each: sensors.by_sensor.models["logistic_regression"]() for each in sensors.SENSORS}
    for x, reading in zip(sensors.features(stream), stream, strict=True):
        model = models[reading["sensor"]]
        expected[reading["reading_id"]] = (x, model.predict_one(x))
        model.learn_one(x, reading["faulty"])
    got = {each["event_id"]: (each["features"], each["value"]) for each in shared.predictions}
    assert got == expected
