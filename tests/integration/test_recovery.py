"""A worker that is killed, stopped, restarted or lied to, on a real Kafka.

One pipeline lives through it all: events before and after a kill, a clean stop, a restart, and
state that somebody has changed. River, given the same readings in one go, says what is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient
from river import metrics

from millrace.schemas import SnapshotError
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.observability.scraping import Samples
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import Saved
from millrace.streams.topology.chain import AgentSpec
from tests.integration import sensors
from tests.integration.clients import Topics, as_json
from tests.integration.workers import STATE_KEY, Worker, settings

BEFORE, AFTER, LATER = 1_000, 300, 100
ALL = BEFORE + AFTER + LATER
CHAMPION = "logistic_regression"
INPUT_OF = {
    "ingest": "events",
    "feature": "clean",
    "prediction-learning": "features",
    "drift": "predictions",
}


class Life(NamedTuple):
    """What was seen of the pipeline, in this order."""

    name: str
    learned_when_killed: float
    at_the_end: Samples
    exit_code: int
    stop_seconds: float
    members_left: dict[str, int]
    committed: dict[str, int]
    produced_to: dict[str, int]
    versions_saved: list[int]
    on_return: Samples
    restored: list[dict[str, Any]]
    later: Samples
    predictions: list[dict[str, Any]]


class River(NamedTuple):
    """What River makes of the readings, without Kafka and without a crash."""

    values: list[bool | None]
    probabilities: list[dict[str, float]]
    accuracy_at: dict[str, list[float]]


@pytest.fixture(scope="module")
def river() -> River:
    """Predict and learn reading by reading, in this process."""
    stream = sensors.readings(ALL)
    models = {name: make() for name, make in sensors.every_sensor.models.items()}
    scores = {name: metrics.Accuracy() for name in models}
    result = River([], [], {name: [] for name in models})
    for x, reading in zip(sensors.features(stream), stream, strict=True):
        predicted = models[CHAMPION].predict_proba_one(x)
        result.values.append(models[CHAMPION].predict_one(x))
        result.probabilities.append({str(label).lower(): p for label, p in predicted.items()})
        for name, model in models.items():
            value = model.predict_one(x)
            if value is not None:
                scores[name].update(reading["faulty"], value)
            result.accuracy_at[name].append(scores[name].get())
            model.learn_one(x, reading["faulty"])
    return result


@pytest.fixture(scope="module")
def life(kafka: str, unique_name: Callable[[str], str]) -> Life:
    """Run the pipeline: kill it, restart it, stop it, restart it."""
    seen: dict[str, Any] = {"name": unique_name("life")}
    topics = Topics(kafka, seen["name"])
    # Batches small enough to be killed between, and state written less often than they are.
    own = settings(
        "every_sensor", seen["name"], kafka, batch_records=25, flush_seconds=0.5, partitions=2
    )
    with Worker(own) as first:
        first.wait_ready()
        produce(topics, sensors.readings(BEFORE))
        first.wait_total(BEFORE / 5, "millrace_examples_learned_total")
        seen["learned_when_killed"] = first.metrics().total("millrace_examples_learned_total")
        first.kill()
    with Worker(own.model_copy(update={"flush_seconds": 600})) as second:
        produce(topics, sensors.readings(AFTER, first=BEFORE))
        second.wait_total(BEFORE + AFTER, "millrace_model_version")
        topics.messages("predictions", at_least=BEFORE + AFTER)
        seen["at_the_end"] = second.metrics()
        seen["exit_code"], seen["stop_seconds"] = second.terminate()
    seen["members_left"] = members(kafka, seen["name"])
    seen["committed"] = {a: topics.committed(a, topic)[0] for a, topic in INPUT_OF.items()}
    seen["produced_to"] = {
        a: max(each.offset() for each in topics.messages(topic) if each.partition() == 0) + 1
        for a, topic in INPUT_OF.items()
    }
    seen["versions_saved"] = [each["version"] for each in topics.records("models")]
    with Worker(own) as third:
        third.wait_ready()
        seen["on_return"] = third.metrics()
        produce(topics, sensors.readings(LATER, first=BEFORE + AFTER))
        for agent in INPUT_OF:
            third.wait_total(LATER, "millrace_agent_batch_records_sum", agent=agent)
        seen["later"] = third.metrics()
        seen["restored"] = third.events_logged("assigned")
        third.terminate()
    seen["predictions"] = topics.records("predictions", at_least=ALL)
    return Life(**seen)


def produce(topics: Topics, stream: list[dict[str, Any]]) -> None:
    """Produce readings in their order, to one partition."""
    topics.produce("events", ({"value": as_json(each), "partition": 0} for each in stream))


@contextmanager
def changed(topics: Topics, topic: str, genuine: Message) -> Iterator[None]:
    """Put a changed copy in the place of a record, and the record back in the end."""
    value = genuine.value()
    record = {"key": genuine.key(), "headers": genuine.headers(), "partition": 0}
    topics.produce(topic, [record | {"value": value[:-1] + bytes([value[-1] ^ 1])}])
    try:
        yield
    finally:
        topics.produce(topic, [record | {"value": value}])


def saved_state(bootstrap: str, pipeline: str, key: str) -> Saved:
    """Read the state of prediction and learning as a worker with this key would."""
    log = StateLog(
        sensors.every_sensor,
        AgentSpec(("prediction", "learning")),
        KafkaClients(settings("every_sensor", pipeline, bootstrap)),
        f"{pipeline}.",
        key.encode(),
    )
    return log.read([0])[0]


def members(bootstrap: str, pipeline: str) -> dict[str, int]:
    """Return how many members each agent's consumer group has."""
    groups = [f"{pipeline}.{agent}" for agent in INPUT_OF]
    admin = AdminClient({"bootstrap.servers": bootstrap})  # lives until its futures are done
    described = admin.describe_consumer_groups(groups)
    return {name: len(each.result(10).members) for name, each in described.items()}


def test_a_kill_loses_and_repeats_no_prediction(life: Life) -> None:
    """Every event has exactly one committed prediction, in the order of the log."""
    assert 0 < life.learned_when_killed < BEFORE
    ids = [each["event_id"] for each in life.predictions]
    assert ids == [str(number) for number in range(ALL)]


def test_a_kill_loses_and_repeats_no_lesson(life: Life) -> None:
    """A prediction's model has learned from every label before it, and from each once."""
    assert life.at_the_end.total("millrace_model_version") == BEFORE + AFTER
    assert [each["model_version"] for each in life.predictions] == [*range(ALL)]
    assert {each["staleness_examples"] for each in life.predictions} == {0}


def test_a_kill_changes_no_prediction(life: Life, river: River) -> None:
    """Predictions are those of River in one go, to the last digit."""
    assert [each["value"] for each in life.predictions] == river.values
    assert [each["probabilities"] for each in life.predictions] == river.probabilities


def test_a_kill_changes_no_feature(life: Life) -> None:
    """Rolling windows go on over a kill as if there had been none."""
    assert [each["features"] for each in life.predictions] == sensors.features(
        sensors.readings(ALL)
    )


@pytest.mark.parametrize("candidate", ["logistic_regression", "hoeffding_tree"])
def test_a_kill_changes_no_metric(life: Life, river: River, candidate: str) -> None:
    """Cumulative accuracy after a kill, and after a stop, is that of an undisturbed run."""
    labels = {"candidate": candidate, "metric": "accuracy", "window": "cumulative"}
    for seen, count in ((life.at_the_end, BEFORE + AFTER), (life.later, ALL)):
        accuracy = seen.total("millrace_prequential_metric", **labels)
        assert accuracy == pytest.approx(river.accuracy_at[candidate][count - 1], abs=1e-12)


def test_sigterm_ends_a_worker_cleanly_and_soon(life: Life) -> None:
    """It exits with 0 within seconds, has left its groups and committed all that it read."""
    assert life.exit_code == 0
    assert life.stop_seconds < 10
    assert life.members_left == {f"{life.name}.{agent}": 0 for agent in INPUT_OF}
    behind = {agent: life.committed[agent] - at for agent, at in life.produced_to.items()}
    assert {*behind.values()} <= {0, 1}  # with the marker of the last transaction, or without


def test_sigterm_saves_the_model(life: Life) -> None:
    """The newest snapshot in `models` has learned from every label, long before one was due."""
    assert life.versions_saved == sorted(life.versions_saved)
    assert life.versions_saved[-1] == BEFORE + AFTER


def test_a_restart_goes_on_from_what_was_saved(life: Life) -> None:
    """State is there when the worker is ready, and nothing is read again."""
    assert life.on_return.total("millrace_model_version") == BEFORE + AFTER
    restored = {each["agent"]: each["restored"] for each in life.restored}
    assert restored["prediction-learning"] == [0, 1]  # commands are on each partition
    assert restored["feature"] == [0, 1]
    assert restored["drift"] == [0]
    read = life.later.counted("agent", "millrace_agent_batch_records_sum")
    assert {agent: read[agent] for agent in INPUT_OF} == dict.fromkeys(INPUT_OF, LATER)


def test_a_changed_model_is_skipped(kafka: str, life: Life) -> None:
    """A worker that finds one says where it is, and goes on with the genuine one before it."""
    topics = Topics(kafka, life.name)
    genuine = next(each for each in reversed(topics.messages("models")) if each.value())
    with (
        changed(topics, "models", genuine),
        Worker(settings("every_sensor", life.name, kafka)) as worker,
    ):
        worker.wait_ready()
        (skipped, *_) = worker.events_logged("skipped a record that is no state of this pipeline")
        assert (skipped["topic"], skipped["partition"]) == (f"{life.name}.models", 0)
        assert skipped["offset"] > genuine.offset()
        assert skipped["key"] == repr(genuine.key().decode())
        assert worker.metrics().total("millrace_state_records_skipped_total") > 0
        assert worker.metrics().total("millrace_model_version") == ALL
    restored = saved_state(kafka, life.name, STATE_KEY).entries["learning/models"]
    assert [each.value.version for each in restored] == [ALL]


def test_an_old_model_that_was_put_back_is_passed_over(kafka: str, life: Life) -> None:
    """Whoever has no key cannot have what was learned since be lost, nor move a model elsewhere."""
    topics = Topics(kafka, life.name)
    old = next(each for each in topics.messages("models") if each.value())
    record = {"key": old.key(), "value": old.value(), "headers": old.headers()}
    topics.produce("models", [record | {"partition": partition} for partition in (0, 1)])
    with Worker(settings("every_sensor", life.name, kafka)) as worker:
        worker.wait_ready()
        skipped = worker.events_logged("skipped a record that is no state of this pipeline")
        reasons = {each["partition"]: each["reason"] for each in skipped}
        assert worker.metrics().total("millrace_model_version") == ALL
    assert "it was put back" in reasons[0]
    assert "copied from another key, partition or pipeline" in reasons[1]
    restored = saved_state(kafka, life.name, STATE_KEY).entries["learning/models"]
    assert [each.value.version for each in restored] == [ALL]


def test_a_changed_manifest_is_skipped(kafka: str, life: Life) -> None:
    """The record that says how far the state goes is signed like the rest of it."""
    topics = Topics(kafka, life.name)
    state = topics.messages("state.prediction-learning")
    manifest = [each for each in state if each.key() == b"manifest"][-1]
    genuine = saved_state(kafka, life.name, STATE_KEY).covers
    with changed(topics, "state.prediction-learning", manifest):
        assert saved_state(kafka, life.name, STATE_KEY).covers == genuine


def test_state_signed_with_another_key_is_refused(kafka: str, life: Life) -> None:
    """A worker with another MILLRACE_STATE_KEY is told that this may be the reason."""
    with pytest.raises(SnapshotError, match="another MILLRACE_STATE_KEY"):
        saved_state(kafka, life.name, "another key")


def test_a_worker_that_refuses_its_state_says_so_once_and_ends(kafka: str, life: Life) -> None:
    """With exit code 2, and with the topics that the state is in: no restart would help."""
    own = settings("every_sensor", life.name, kafka, state_key="a second secret")
    with Worker(own) as worker:
        assert worker.wait() == 2
        (said,) = [each for each in worker.log().splitlines() if each.startswith("Error: ")]
    assert "another MILLRACE_STATE_KEY" in said or "signed with another key" in said
    assert f"in {life.name}.state.* and {life.name}.models" in said
