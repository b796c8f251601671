"""State is read back as its last manifest has it, or not at all."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from confluent_kafka import KafkaError
from river import naive_bayes
from structlog.testing import capture_logs

from millrace.models.features.base import Extract, Feature, Store, Stores
from millrace.models.features.fields import fields
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sample_events import sample_vectors
from millrace.schemas import BrokerError, EventSchema, SnapshotError
from millrace.schemas.records import Event, Features
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.operators.record import Origin
from millrace.streams.operators.slice import Slice
from millrace.streams.state import snapshot
from millrace.streams.state.entries import MODELS
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import Saved, StateRecord
from millrace.streams.state.sealing import HERE
from millrace.streams.state.signing import sign
from millrace.streams.state.unpickling import StateUnpickler
from millrace.streams.tools.inspect_state import describe
from millrace.streams.topology.chain import AgentSpec, parse_chain
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task
from tests.unit.streams.conftest import KEY
from tests.unit.streams.state.earlier import order_before

(EVERYTHING,) = parse_chain("full")
STATE = f"p.state.{EVERYTHING.name}"


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({STATE: 2, "p.models": 2, "p.state.drift": 2})


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    return make_pipeline()


@pytest.fixture
def make_log(broker: FakeBroker, pipeline: Pipeline) -> Callable[..., StateLog]:
    def make(agent: AgentSpec = EVERYTHING, key: bytes = KEY, **changes: Any) -> StateLog:
        definition = changes.pop("pipeline", pipeline)
        return StateLog(definition, agent, FakeClients(broker), "p.", key, **changes)

    return make


@pytest.fixture
def log(make_log: Callable[..., StateLog]) -> StateLog:
    return make_log()


def make_task(pipeline: Pipeline) -> Task:
    factory = TaskFactory(
        pipeline, EVERYTHING, 1, 10**6, lambda _: None, lambda _: pytest.fail("unused"), lambda: 0
    )
    return factory.make()


def learn(task: Task, pipeline: Pipeline, numbers: Iterable[int]) -> None:
    codec = TopicCodec(pipeline)
    for number in numbers:
        event = {"id": str(number), "a": number % 5, "b": 1.0, "y": number % 2 == 0, "k": number}
        origin = Origin("events", 0, number, number, None, json.dumps(event).encode())
        task.run(Slice([codec.decode(origin)]))


def write(broker: FakeBroker, records: Iterable[StateRecord], partition: int = 0) -> None:
    for each in records:
        key = each.key.encode(errors="surrogateescape")
        broker.put(f"p.{each.topic}", each.value, key, partition, headers=each.headers)


def save(
    log: StateLog,
    broker: FakeBroker,
    task: Task,
    covers: dict[str, int],
    number: int,
    partition: int = 0,
) -> list[StateRecord]:
    """Flush a task, and mark it as saved."""
    written = [*log.flush(partition, task, covers, number)]
    write(broker, written, partition)
    log.mark_saved(partition, task)
    return written


def contents(task: Task) -> dict[str, list[str]]:
    """Return what the stores of a task hold, by name; each in its order."""
    return {name: [*store] for name, store in task.stores() if store}


def version(saved: Saved) -> int:
    (models,) = saved.entries[MODELS]
    learned: int = models.value.version  # type: ignore[attr-defined]
    return learned


def test_what_was_flushed_is_restored(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline
) -> None:
    """Every store, in its order; with the offsets that it covers and its number."""
    task = make_task(pipeline)
    learn(task, pipeline, range(50))
    save(log, broker, task, {"events": 50, "labels": 0}, 3)

    (saved,) = log.read([0]).values()
    restored = make_task(pipeline)
    saved.restore(restored)

    assert (saved.covers, saved.flush, saved.runs) == ({"events": 50, "labels": 0}, 3, [])
    assert contents(restored) == contents(task)
    assert version(saved) == 50


class Visits:
    """What a user's own feature keeps of a user: a class of the pipeline's module."""

    def __init__(self) -> None:
        self.count = 0


VISITS = Store[Visits]("visits")


class CountVisits(Feature):
    """A user's own feature with state."""

    names = ("visits",)

    def check(self, schema: EventSchema) -> None:
        """Any schema will do."""

    def bind(self, stores: Stores) -> Extract:
        visits = stores(VISITS)

        def extract(event: Event) -> Features:
            seen = visits.get("all") or Visits()
            seen.count += 1
            visits["all"] = seen
            return {"visits": seen.count}

        return extract


def test_a_users_own_feature_may_keep_its_own_classes(
    make_pipeline: Callable[..., Pipeline], make_log: Callable[..., StateLog], broker: FakeBroker
) -> None:
    """What the pipeline's own features store is restored, like what its models are."""
    pipeline = make_pipeline(features=(fields("a"), CountVisits()))
    log = make_log(pipeline=pipeline)
    task, restored = make_task(pipeline), make_task(pipeline)
    learn(task, pipeline, range(3))
    save(log, broker, task, {"events": 3}, 1)
    log.read([0])[0].restore(restored)
    stores = dict(restored.stores())
    assert [visits.count for visits in stores["feature/visits"].values()] == [3]  # type: ignore[attr-defined]


def test_folding_goes_on_from_restored_state(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline
) -> None:
    """Models, metrics and entries come out as without the restart, to the last digit."""
    task, restored = make_task(pipeline), make_task(pipeline)
    learn(task, pipeline, range(40))
    save(log, broker, task, {"events": 40}, 1)
    log.read([0])[0].restore(restored)
    for each in (task, restored):
        learn(each, pipeline, range(40, 80))

    vectors = sample_vectors(pipeline)
    assert describe(0, restored, vectors) == describe(0, task, vectors)
    covers = {"events": 80}
    again, expected = (
        [(each.key, each.sequence) for each in log.flush(0, one, covers, 2)]
        for one in (restored, task)
    )
    assert again == expected


def test_only_changes_are_written(log: StateLog, broker: FakeBroker, pipeline: Pipeline) -> None:
    """The second flush has nothing to say but the manifest; together they are all of it."""
    task = make_task(pipeline)
    learn(task, pipeline, range(5))
    save(log, broker, task, {"events": 5}, 1)
    again = [*log.flush(0, task, {"events": 7}, number=2)]
    assert [each.key for each in again] == ["manifest"]
    write(broker, again)
    saved = log.read([0])[0]
    assert (saved.covers, saved.flush, version(saved)) == ({"events": 7}, 2, 5)


def test_a_partition_without_state(log: StateLog) -> None:
    """Nothing was saved for it; asked for none, there is nothing to read."""
    assert log.read([0, 1]) == {}
    assert log.read([]) == {}


def test_partitions_are_apart(log: StateLog, broker: FakeBroker, pipeline: Pipeline) -> None:
    """Each has its own state."""
    for partition, count in ((0, 5), (1, 9)):
        task = make_task(pipeline)
        learn(task, pipeline, range(count))
        save(log, broker, task, {"events": count}, 1, partition)
    assert {p: each.covers["events"] for p, each in log.read([0, 1]).items()} == {0: 5, 1: 9}
    assert {p: version(each) for p, each in log.read([1]).items()} == {1: 9}


def test_entries_behind_the_last_manifest_are_ignored(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline
) -> None:
    """A crash without transactions may leave half a flush: it is as if it had not begun."""
    task = make_task(pipeline)
    learn(task, pipeline, range(5))
    save(log, broker, task, {"events": 5}, 1)
    before = log.read([0])[0]
    learn(task, pipeline, range(5, 9))
    half = [each for each in log.flush(0, task, {"events": 9}, 2) if each.key != "manifest"]
    write(broker, half)

    saved = log.read([0])[0]

    assert any(each.topic != "models" for each in half)
    assert (saved.covers, saved.flush) == ({"events": 5}, 1)
    assert saved.entries.keys() == before.entries.keys()
    assert entries(saved, but=MODELS) == entries(before, but=MODELS)


def entries(saved: Saved, but: str) -> dict[str, list[tuple[str, int]]]:
    return {
        name: [(each.key, each.sequence) for each in changes]
        for name, changes in saved.entries.items()
        if name != but
    }


def test_models_behind_the_last_manifest_are_ignored(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline
) -> None:
    """They would have learned from records that are folded again."""
    task = make_task(pipeline)
    learn(task, pipeline, range(5))
    save(log, broker, task, {"events": 5}, 1)
    learn(task, pipeline, range(5, 9))
    newer = [*log.flush(0, task, {"events": 9}, number=2)]
    write(broker, [each for each in newer if each.topic == "models"])

    assert version(log.read([0])[0]) == 5


def test_the_next_flush_takes_what_a_crash_has_left(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline
) -> None:
    """Its manifest comes after it, and covers all of it."""
    task = make_task(pipeline)
    learn(task, pipeline, range(5))
    half, whole = [*log.flush(0, task, {"events": 5}, 1)], make_task(pipeline)
    write(broker, half[:-1])
    assert log.read([0]) == {}
    learn(whole, pipeline, range(5))
    save(log, broker, whole, {"events": 5}, 1)
    assert version(log.read([0])[0]) == 5


@pytest.mark.parametrize("topic", [STATE, "p.models"])
def test_incomplete_state_is_no_state(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline, topic: str
) -> None:
    """Where the broker has dropped entries, the state is rebuilt from the log."""
    task = make_task(pipeline)
    learn(task, pipeline, range(5))
    save(log, broker, task, {"events": 5}, 1)
    assert log.read([0]).keys() == {0}
    broker.expire(topic, before=1)
    assert log.read([0]) == {}


def test_a_removed_entry_is_not_restored(
    make_pipeline: Callable[..., Pipeline], make_log: Callable[..., StateLog], broker: FakeBroker
) -> None:
    """It is written as a tombstone, also of a model that was evicted."""
    schema = {
        "type": "record",
        "name": "Loan",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "a", "type": "double"},
            {"name": "b", "type": "double"},
            {"name": "k", "type": "long"},
            {"name": "y", "type": ["null", "boolean"]},
        ],
    }
    pipeline = make_pipeline(scope="key", key="k", max_models=2, schema=schema)
    log, task = make_log(pipeline=pipeline), make_task(pipeline)
    learn(task, pipeline, range(2))
    save(log, broker, task, {"events": 2}, 1)
    learn(task, pipeline, range(2, 3))
    second = [*log.flush(0, task, {"events": 3}, number=2)]
    write(broker, second)

    saved = log.read([0])[0]

    removed = [each.key for each in second if each.value is None]
    assert f"{MODELS}/0" in removed
    assert [each.key for each in saved.entries[MODELS]] == ["1", "2"]


@pytest.mark.parametrize("count", [1, 30])
def test_models_are_read_from_the_end_of_their_topic(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline, count: int
) -> None:
    """And from its beginning, where the newest are further back than expected."""
    task = make_task(pipeline)
    learn(task, pipeline, range(5))
    save(log, broker, task, {"events": 5}, 1)
    for _ in range(count):  # of a flush that was never ended
        broker.put("p.models", b"", b"learning/models/", headers=[("flush", "9")])
    assert version(log.read([0])[0]) == 5


def test_an_agent_that_does_not_learn_reads_no_models(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline
) -> None:
    """They are somebody else's."""
    log = make_log(AgentSpec(("drift",)))
    write(broker, log.flush(0, EmptyTask(), {"predictions": 3}, 1))  # type: ignore[arg-type]
    del broker.topics["p.models"]
    assert log.read([0])[0].covers == {"predictions": 3}


class EmptyTask:
    def stores(self) -> list[object]:
        return []


def test_published_models(log: StateLog, broker: FakeBroker, pipeline: Pipeline) -> None:
    """Oldest first, with what they cover; and their payload is what was learned."""
    task = make_task(pipeline)
    for number, count in ((1, 5), (2, 9)):
        learn(task, pipeline, range(count - 4, count))
        save(log, broker, task, {"events": count}, number)
    broker.put("p.models", None, b"learning/models/gone")

    published = log.published
    seen = [(each.value, published.changes(each)) for each in published.read([0])]

    assert [value["version"] for value, _ in seen] == [4, 8]
    assert [value["covers"] for value, _ in seen] == [{"events": 5}, {"events": 9}]
    assert {(value["champion"], value["scope_key"]) for value, _ in seen} == {("own", "")}
    assert [models[""].version for _, models in seen] == [4, 8]  # type: ignore[union-attr]
    assert [*published.read([1])] == []


def test_the_owner_of_a_partition(log: StateLog, broker: FakeBroker) -> None:
    """Its transactional id, until it is released or another one takes over."""
    log.own([0, 1], "first")
    log.read([0, 1])
    assert log.owners == {0: "first", 1: "first"}
    log.own([1], "second")
    log.own([0], None)
    log.read([0, 1])
    assert log.owners == {1: "second"}
    log.read([0])
    assert log.owners == {}


def test_the_owner_counts_without_a_manifest(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline
) -> None:
    """Also behind the last one: it belongs to no flush, and is no entry of the state."""
    task = make_task(pipeline)
    learn(task, pipeline, range(5))
    save(log, broker, task, {"events": 5}, 1)
    log.own([0], "first")
    saved = log.read([0])[0]
    assert log.owners == {0: "first"}
    assert version(saved) == 5


def test_an_owner_that_cannot_be_written_is_an_error(log: StateLog, broker: FakeBroker) -> None:
    """Undelivered or unacknowledged: the topic is named."""
    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)
    with pytest.raises(BrokerError, match=f"not written to topic {STATE}"):
        log.own([0], "first")
    broker.unacknowledged = 1
    with pytest.raises(BrokerError, match=r"not acknowledged within 30 s"):
        log.own([0], "first")


def test_the_order_that_an_earlier_release_noted_counts_until_the_next_flush(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline
) -> None:
    """Record by record, in order; the next flush removes them all."""
    task, first, second = make_task(pipeline), make_log(), make_log()
    write(broker, [order_before(STATE, [("events", 1)])])
    save(first, broker, task, {"events": 2}, 1)
    runs = [[("events", 2), ("labels", 0)], [("events", 4)]]
    write(broker, [order_before(STATE, each, number=n, flush=1) for n, each in enumerate(runs, 2)])

    saved = second.read([0])[0]
    assert saved.runs == [("events", 2), ("labels", 0), ("events", 4)]

    save(second, broker, task, {"events": 5}, 2)
    assert make_log().read([0])[0].runs == []
    removed = {each.key() for each in broker.records(STATE) if each.value() is None}
    assert removed == {b"order/000000000002", b"order/000000000003"}


def test_state_says_from_where_on_the_order_is_followed(
    log: StateLog, broker: FakeBroker, pipeline: Pipeline
) -> None:
    """That of earlier releases does not: then it is from the beginning."""
    task = make_task(pipeline)
    write(broker, log.flush(0, task, {"events": 5}, 1, order=7))
    assert log.read([0])[0].order == 7


def test_an_order_without_a_flush_counts_for_nothing(log: StateLog, broker: FakeBroker) -> None:
    """There is no state that it would follow."""
    write(broker, [order_before(STATE, [("events", 1)])])
    assert log.read([0]) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "partition"},
        {"features": [fields("a")]},
        {"models": {"other": naive_bayes.GaussianNB}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_state_of_another_definition_is_refused(
    make_pipeline: Callable[..., Pipeline],
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    changes: dict[str, Any],
) -> None:
    """The error says what may have changed, and what to do."""
    write(broker, make_log().flush(0, make_task(pipeline), {}, number=1))
    other = make_log(pipeline=make_pipeline(**changes))
    with pytest.raises(
        SnapshotError,
        match=r"another definition.*its state topics.* p\.state\.\w.* p\.state\.\* and p\.models$",
    ):
        other.read([0])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"models": {"own": naive_bayes.GaussianNB}}, ["models['own']"]),
        ({"drift": DriftSettings(loss="page_hinkley")}, ["drift.loss"]),
        ({"rolling_window": 500}, ["rolling_window"]),
        ({"max_models": 5, "on_error": "stop"}, []),
    ],
    ids=["model", "detector", "window", "limits"],
)
def test_what_has_changed_and_goes_on_as_it_was_is_named(
    make_pipeline: Callable[..., Pipeline],
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    changes: dict[str, Any],
    named: list[str],
) -> None:
    """State keeps what it was made with, and says so once; it is the same for what is only read."""
    write(broker, make_log().flush(0, make_task(pipeline), {}, number=1))
    with capture_logs() as logs:
        assert make_log(pipeline=make_pipeline(**changes)).read([0]).keys() == {0}
    assert [each["changed"] for each in logs if "changed" in each] == ([named] if named else [])


def test_a_part_that_is_not_allowed_is_refused_with_its_topics(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever kind of refusal it is."""
    task = make_task(pipeline)
    learn(task, pipeline, range(5))
    save(make_log(), broker, task, {"events": 5}, 1)
    monkeypatch.setattr("millrace.streams.state.unpickling.MILLRACE", frozenset())
    with pytest.raises(SnapshotError, match=r"got millrace\..*all state of the pipeline is in p\."):
        make_log().read([0])


def dumped_by_version_3(obj: object, key: bytes) -> bytes:
    """Return an entry as version 3 wrote it: one pickle."""
    stamp = json.dumps({"state": 3, **HERE}).encode()
    return sign(len(stamp).to_bytes(4, "big") + stamp + pickle.dumps(obj, protocol=5), key)


def test_what_only_another_version_can_read_is_lost_alone(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is named, counted and removed, and begins anew; all else goes on as it was."""
    task = make_task(pipeline)
    learn(task, pipeline, range(50))
    with monkeypatch.context() as before:
        before.setattr(snapshot, "dump", dumped_by_version_3)
        before.setitem(HERE, "river", "0.0.1")
        save(make_log(part_bytes=500), broker, task, {"events": 50}, 1)
    find = StateUnpickler.find_class

    def without_metrics(unpickler: StateUnpickler, module: str, name: str) -> object:
        if name == "Prequential":
            raise AttributeError(name)
        return find(unpickler, module, name)

    monkeypatch.setattr(StateUnpickler, "find_class", without_metrics)
    lost: list[None] = []
    log = make_log(on_lost=lambda: lost.append(None))
    with capture_logs() as logs:
        saved = log.read([0])[0]
    (said,) = (each for each in logs if "is lost" in each["event"])
    assert (said["key"], len(lost)) == ("learning/evaluation/partition", 1)
    assert "river 0.0.1" in said["reason"]

    restored = make_task(pipeline)
    saved.restore(restored)
    assert saved.covers == {"events": 50}
    assert contents(task).keys() - contents(restored).keys() == {"learning/evaluation"}
    removed = [each for each in save(log, broker, restored, {"events": 50}, 2) if not each.value]
    assert "learning/evaluation/partition" in {each.key for each in removed}
    with capture_logs() as logs:
        assert make_log().read([0])[0].entries.keys() == saved.entries.keys()
    assert logs == []


def test_state_of_another_task_is_refused(
    make_pipeline: Callable[..., Pipeline], make_log: Callable[..., StateLog], broker: FakeBroker
) -> None:
    """Its label, and so its schema, is another."""
    regression = make_pipeline("regression")
    written = make_log(pipeline=regression).flush(0, make_task(regression), {}, number=1)
    write(broker, written)
    with pytest.raises(SnapshotError, match="saved for another definition"):
        make_log().read([0])


def test_state_that_was_signed_with_another_key_is_refused(
    make_log: Callable[..., StateLog], log: StateLog, broker: FakeBroker, pipeline: Pipeline
) -> None:
    """Whoever can write to its topic cannot make a worker load anything."""
    write(broker, log.flush(0, make_task(pipeline), {}, number=1))
    with pytest.raises(SnapshotError):
        make_log(key=b"another key").read([0])


def test_an_owner_that_was_signed_with_another_key_is_refused(
    make_log: Callable[..., StateLog], log: StateLog
) -> None:
    """Otherwise anybody could have a worker fence any other."""
    log.own([0], "first")
    with pytest.raises(SnapshotError):
        make_log(key=b"another key").read([0])
