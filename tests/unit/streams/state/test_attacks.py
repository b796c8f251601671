"""Who may write to the topics of state, but has no key, changes nothing that is read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from confluent_kafka import Message
from structlog.testing import capture_logs

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SnapshotError, shipped
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.operators.record import Origin
from millrace.streams.operators.slice import Slice
from millrace.streams.state import snapshot
from millrace.streams.state.entries import MODELS
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import Saved
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.task import Task
from tests.unit.streams.conftest import KEY
from tests.unit.streams.state.earlier import alone, as_before, order_before
from tests.unit.streams.state.test_garbage import compact
from tests.unit.streams.state.test_log import EVERYTHING, STATE, make_task, save, write

OTHER = STATE.replace("p.", "q.", 1)
MODEL = b"learning/models/0"
METRICS = b"learning/evaluation/partition"


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({STATE: 2, "p.models": 2, OTHER: 2, "q.models": 2})


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline], avro: Callable[..., Any]) -> Pipeline:
    schema = avro(id="string", a="double", b="double", k="long", y=["null", "boolean"])
    return make_pipeline(schema=schema, scope="key", key="k")


@pytest.fixture
def skipped() -> list[str]:
    """Collect the topics of records that were skipped."""
    return []


@pytest.fixture
def make_log(broker: FakeBroker, pipeline: Pipeline, skipped: list[str]) -> Callable[..., StateLog]:
    def make(prefix: str = "p.") -> StateLog:
        clients = FakeClients(broker)
        return StateLog(pipeline, EVERYTHING, clients, prefix, KEY, on_skipped=skipped.append)

    return make


def learn(task: Task, pipeline: Pipeline, numbers: Iterable[int]) -> None:
    """Let models of the keys 0, 1 and 2 learn events, in turn."""
    codec = TopicCodec(pipeline)
    for n in numbers:
        event = {"id": str(n), "a": n % 5, "b": 1.0, "k": n % 3, "y": n % 2 == 0}
        origin = Origin("events", 0, n, n, None, json.dumps(event).encode())
        task.run(Slice([codec.decode(origin)]))


@pytest.fixture
def task(make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline) -> Task:
    """Return a task whose state was saved three times, the last time without the key 2."""
    log, task = make_log(), make_task(pipeline)
    for number in range(3):
        learn(task, pipeline, range(30 * number, 30 * number + 30))
        if number == 2:
            del dict(task.stores())[MODELS]["2"]  # type: ignore[attr-defined]
        save(log, broker, task, {"events": 30 * number + 30}, number + 1)
    return task


def put_back(broker: FakeBroker, record: Message, **changes: Any) -> int:
    """Write a record once more: as it is, but for the changes."""
    copy = {
        "topic": record.topic(),
        "value": record.value(),
        "key": record.key(),
        "headers": record.headers(),
    }
    return broker.put(**(copy | changes))


def records_of(broker: FakeBroker, topic: str, key: bytes) -> list[Message]:
    return [each for each in broker.records(topic) if each.key() == key]


def summary(saved: Saved) -> dict[str, list[tuple[str, int, object]]]:
    """Return what was read, with what models and metrics have learned."""
    return {
        store: sorted((each.key, each.sequence, _learned(each.value)) for each in changes)
        for store, changes in saved.entries.items()
    } | {"covers": [("", 0, saved.covers)], "runs": [("", 0, saved.runs)]}


def _learned(value: object) -> object:
    return getattr(value, "version", None) or repr(getattr(value, "examples", None))


def test_what_is_saved_is_read(make_log: Callable[..., StateLog], task: Task) -> None:
    """The state that is attacked below: two models of thirty examples each, and metrics."""
    saved = make_log().read([0])[0]
    models = {each.key: each.value.version for each in saved.entries[MODELS]}  # type: ignore[union-attr]
    assert models == {"0": 30, "1": 30}


Attack = Callable[[FakeBroker], int]


def _an_old_model(broker: FakeBroker) -> int:
    return put_back(broker, records_of(broker, "p.models", MODEL)[0])


def _old_metrics(broker: FakeBroker) -> int:
    return put_back(broker, records_of(broker, STATE, METRICS)[0])


def _a_removed_model(broker: FakeBroker) -> int:
    return put_back(broker, records_of(broker, "p.models", b"learning/models/2")[-2])


def _another_keys_model(broker: FakeBroker) -> int:
    other = records_of(broker, "p.models", b"learning/models/1")[-1]
    return put_back(broker, other, key=MODEL)


def _another_partitions_model(broker: FakeBroker) -> int:
    return put_back(broker, records_of(broker, "p.models", MODEL)[-1], partition=1)


def _another_champion(broker: FakeBroker) -> int:
    newest = records_of(broker, "p.models", MODEL)[-1]
    published = shipped("model_snapshot").decode(newest.value() or b"")
    value = shipped("model_snapshot").encode({**published, "champion": "evil"})
    return put_back(broker, newest, value=value)


def _a_newer_flush(broker: FakeBroker) -> int:
    old = records_of(broker, "p.models", MODEL)[0]
    headers = [(name, b"3" if name == "flush" else each) for name, each in old.headers() or ()]
    return put_back(broker, old, headers=headers)


def _another_sequence(broker: FakeBroker) -> int:
    newest = records_of(broker, STATE, METRICS)[-1]
    headers = [
        (name, b"1" if name == "sequence" else each) for name, each in newest.headers() or ()
    ]
    return put_back(broker, newest, headers=headers)


def _no_signature(broker: FakeBroker) -> int:
    newest = records_of(broker, STATE, METRICS)[-1]
    return put_back(broker, newest, headers=(newest.headers() or [])[:2])


def _a_tombstone(broker: FakeBroker) -> int:
    return broker.put("p.models", None, MODEL, headers=[("flush", b"3"), ("sequence", b"99")])


def _a_tombstone_of_another_key(broker: FakeBroker) -> int:
    return put_back(broker, records_of(broker, "p.models", b"learning/models/2")[-1], key=MODEL)


def _an_old_manifest(broker: FakeBroker) -> int:
    return put_back(broker, records_of(broker, STATE, b"manifest")[0])


def _a_tombstone_of_the_manifest(broker: FakeBroker) -> int:
    return broker.put(STATE, None, b"manifest", headers=[("flush", b"9"), ("sequence", b"0")])


def _an_earlier_form(broker: FakeBroker) -> int:
    old = records_of(broker, STATE, METRICS)[0]
    return put_back(broker, old, value=alone(old.value() or b""), headers=(old.headers() or [])[:2])


def _a_manifest_in_an_earlier_form(broker: FakeBroker) -> int:
    old = records_of(broker, STATE, b"manifest")[0]
    headers = [("flush", b"9"), ("sequence", b"0")]
    return put_back(broker, old, value=alone(old.value() or b""), headers=headers)


ATTACKS: dict[str, Attack] = {
    each.__name__.removeprefix("_"): each
    for each in (
        *(_an_old_model, _old_metrics, _a_removed_model, _another_keys_model, _another_champion),
        *(_another_partitions_model, _a_newer_flush, _another_sequence, _no_signature),
        *(_a_tombstone, _a_tombstone_of_another_key, _an_old_manifest),
        *(_a_tombstone_of_the_manifest, _an_earlier_form, _a_manifest_in_an_earlier_form),
    )
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_was_put_there_is_passed_over(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    task: Task,
    skipped: list[str],
    attack: Attack,
) -> None:
    """It is named and counted, and the genuine record is used, also once compaction has passed."""
    before = summary(make_log().read([0])[0])
    attack(broker)

    with capture_logs() as logs:
        log = make_log()
        saved = log.read([0, 1])
    assert summary(saved[0]) == before
    assert saved.keys() == {0}

    named = {(each["topic"], each["offset"]) for each in logs if "offset" in each}
    assert len(named) == 1
    assert len(skipped) >= 1


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_next_save_undoes_it(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    task: Task,
    skipped: list[str],
    attack: Attack,
) -> None:
    """What it hides is written again, before compaction drops that, and what is not is removed."""
    log, again = make_log(), make_task(pipeline)
    attack(broker)
    saved = log.read([0])[0]
    saved.restore(again)
    save(log, broker, again, {"events": 91}, 4)
    compact(broker)
    skipped.clear()

    after = make_log().read([0])[0]

    assert summary(after) | {"covers": 0} == summary(saved) | {"covers": 0}
    assert (after.covers, skipped) == ({"events": 91}, [])


HIDING = [
    *("an_old_model", "old_metrics", "another_keys_model", "another_champion", "a_newer_flush"),
    *("another_sequence", "no_signature", "an_earlier_form"),
]


@pytest.mark.parametrize("name", HIDING)
def test_what_has_replaced_a_genuine_record_is_refused_by_name(
    make_log: Callable[..., StateLog], broker: FakeBroker, task: Task, name: str
) -> None:
    """Once compaction has dropped that, there is no state: the worker says what is wrong."""
    offset = ATTACKS[name](broker)
    (placed,) = (
        each
        for topic in ("p.models", STATE)
        for each in broker.records(topic)
        if each.offset() == offset and each.key() in (MODEL, METRICS)
    )
    compact(broker)
    key = (placed.key() or b"").decode()
    with pytest.raises(SnapshotError, match=rf"{placed.topic()}\[0\]@\d+ \('{key}'\): .*state\.\*"):
        make_log().read([0])


@pytest.mark.parametrize(
    "name", ["a_tombstone", "an_old_manifest", "a_manifest_in_an_earlier_form"]
)
def test_what_is_gone_is_rebuilt_from_the_log(
    make_log: Callable[..., StateLog], broker: FakeBroker, task: Task, name: str
) -> None:
    """Who may write can have compaction drop what is there; nothing else takes its place."""
    ATTACKS[name](broker)
    compact(broker)
    assert make_log().read([0]) == {}


def test_an_old_entry_before_the_newest_manifest_is_not_used(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline
) -> None:
    """Nothing before it says that it is old, and nothing is missing: but it is not listed."""
    log, task = make_log(), make_task(pipeline)
    for number in range(3):
        learn(task, pipeline, range(30 * number, 30 * number + 30))
        save(log, broker, task, {"events": number}, number + 1)
    models = broker.records("p.models")
    broker.create("p.models", 2)
    old = next(each for each in models if each.key() == MODEL)
    newest = {each.key(): each for each in models if each.key() != MODEL}
    for each in (old, *newest.values()):
        put_back(broker, each)

    with capture_logs() as logs:
        assert make_log().read([0]) == {}
    assert any(each["event"].startswith("saved entries are not those") for each in logs)


def test_a_whole_old_state_is_not_used_while_the_newer_one_is_there(
    make_log: Callable[..., StateLog], broker: FakeBroker, task: Task
) -> None:
    """Every record of it, in its order, and the manifest that lists it."""
    before = summary(make_log().read([0])[0])
    for topic in ("p.models", STATE):
        for each in broker.records(topic):
            if dict(each.headers() or ())["flush"] == b"1":
                put_back(broker, each)
    assert summary(make_log().read([0])[0]) == before


def test_another_pipelines_state_is_not_used(
    make_log: Callable[..., StateLog], broker: FakeBroker, task: Task, skipped: list[str]
) -> None:
    """Also where there is none yet, and whether its signatures are taken along or not."""
    for headers in (slice(None), slice(2)):
        for topic in ("p.models", STATE):
            for each in broker.records(topic):
                other = topic.replace("p.", "q.", 1)
                put_back(broker, each, topic=other, headers=(each.headers() or [])[headers])
    assert make_log("q.").read([0]) == {}
    assert {*skipped} == {STATE.removeprefix("p."), "models"}


def test_another_pipelines_owner_is_not_fenced(
    make_log: Callable[..., StateLog], broker: FakeBroker
) -> None:
    """Neither as it is written now, nor as it was before; nor an owner that was there before."""
    name = f"q.{EVERYTHING.name}-"
    make_log("q.").own([0], f"{name}their own")
    (theirs,) = broker.records(OTHER)
    put_back(broker, theirs, topic=STATE)
    put_back(broker, theirs, topic=STATE, headers=(theirs.headers() or [])[:2])
    value = alone(theirs.value() or b"")
    put_back(broker, theirs, topic=STATE, value=value, headers=(theirs.headers() or [])[:2])
    log = make_log()
    log.read([0, 1])
    assert log.owners == {}

    for owner in ("first", "second", None, "third"):
        log.own([0], owner)
    for each in records_of(broker, STATE, b"owner")[-4:-1]:
        put_back(broker, each)
    ours = snapshot.dump(f"p.{EVERYTHING.name}-long ago", KEY)
    for each in (value, alone(ours)):
        put_back(broker, theirs, topic=STATE, value=each, headers=(theirs.headers() or [])[:2])
    log.read([0])
    assert log.owners == {0: "third"}
    log.own([0], None)
    put_back(broker, records_of(broker, STATE, b"owner")[-7])
    log.read([0])
    assert log.owners == {}


def test_a_stale_order_is_not_followed(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline
) -> None:
    """It would hold back the records of one topic until those of another had come again."""
    log, task = make_log(), make_task(pipeline)
    write(broker, [order_before(STATE, [("events", 1)])])
    (stale,) = broker.records(STATE)
    learn(task, pipeline, range(5))
    save(log, broker, task, {"events": 5}, 1)
    write(broker, [order_before(STATE, [("labels", 3)], number=2, flush=1)])
    put_back(broker, stale)
    put_back(broker, stale, value=alone(stale.value() or b""), headers=(stale.headers() or [])[:2])
    assert make_log().read([0])[0].runs == [("labels", 3)]


def test_a_stale_order_is_not_followed_where_compaction_has_dropped_what_came_after_it(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline
) -> None:
    """What removed it is gone, and what is before it: but the manifest is of a later flush."""
    log, task = make_log(), make_task(pipeline)
    stale = order_before(STATE, [("events", 1)])
    learn(task, pipeline, range(5))
    saved = log.flush(0, task, {"events": 5}, 1)
    write(broker, [stale, *(each for each in saved if each.value is not None)])
    assert make_log().read([0])[0].runs == []


def test_the_order_is_followed_that_was_written_during_a_save(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline
) -> None:
    """It is of records behind those that the save goes up to; that of the time before is not."""
    log, task = make_log(), make_task(pipeline)
    learn(task, pipeline, range(5))
    write(broker, [order_before(STATE, [("events", 4)])])
    saving = log.flush(0, task, {"events": 5}, 1)
    during = order_before(STATE, [("labels", 3)], number=2, flush=1)
    write(broker, [next(saving), during, *saving])
    log.mark_saved(0, task)
    assert make_log().read([0])[0].runs == [("labels", 3)]


def test_records_of_a_save_that_was_given_up_do_not_count(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline, task: Task
) -> None:
    """Its number is not used again: so they are of no flush that has ended, wherever they are."""
    log, again = make_log(), make_task(pipeline)
    log.read([0])[0].restore(again)
    learn(again, pipeline, range(90, 100))
    given_up = [*log.flush(0, again, {"events": 100}, 4)]
    log.give_up(0, again)
    learn(again, pipeline, range(100, 110))
    save(log, broker, again, {"events": 110}, 4)
    before = summary(make_log().read([0])[0])
    write(broker, given_up)
    assert summary(make_log().read([0])[0]) == before


@pytest.mark.parametrize("is_compacted", [False, True])
def test_state_of_the_release_before_is_read_and_written_anew(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    is_compacted: bool,
) -> None:
    """The first save writes all of it with its place; from then on nothing else counts."""
    log, task = make_log(), make_task(pipeline)
    learn(task, pipeline, range(30))
    earlier = as_before(log.flush(0, task, {"events": 30}, 5))
    order = as_before([order_before(STATE, [("events", 31)], flush=5)])
    write(broker, [*earlier, *order])

    log, again = make_log(), make_task(pipeline)
    with capture_logs() as logs:
        saved = log.read([0])[0]
    assert [each["records"] for each in logs] == [len(earlier) - 1]
    assert (saved.covers, saved.flush, saved.runs) == ({"events": 30}, 5, [("events", 31)])
    saved.restore(again)
    written = save(log, broker, again, {"events": 32}, 6)
    assert {each.key for each in written} == {each.key for each in (*earlier, *order)}
    assert all(each.is_bound for each in written)
    if is_compacted:
        compact(broker)

    with capture_logs() as logs:
        after = make_log().read([0])[0]
    assert logs == []
    assert (after.covers, after.flush, after.runs) == ({"events": 32}, 6, [])
    assert after.entries.keys() == saved.entries.keys()
    write(broker, earlier)
    with capture_logs() as logs:
        assert summary(make_log().read([0])[0]) == summary(after)
    assert all(each["event"].startswith("skipped a record") for each in logs)


def test_what_was_put_there_before_all_was_written_anew_does_not_count_afterwards(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline
) -> None:
    """It is in the form of the release before, and behind its manifest; it is removed."""
    log, task, removed = make_log(), make_task(pipeline), make_task(pipeline)
    learn(removed, pipeline, range(2, 60, 3))
    learn(task, pipeline, range(0, 60, 3))
    write(broker, as_before(make_log().flush(0, task, {"events": 60}, 5)))
    log, again = make_log(), make_task(pipeline)
    log.read([0])[0].restore(again)
    strange = as_before(make_log().flush(0, removed, {"events": 60}, 5))
    write(broker, [each for each in strange if each.key.endswith("/2")])
    save(log, broker, again, {"events": 61}, 6)

    log = make_log()
    saved = log.read([0])[0]
    assert [each.key for each in saved.entries[MODELS]] == ["0"]
    assert saved.covers == {"events": 61}
    gone = [each.key for each in log.flush(0, again, {"events": 62}, 7) if each.value is None]
    assert "learning/models/2" in gone


def test_models_of_another_chain_are_written_over(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline, task: Task
) -> None:
    """Without state of its own an agent begins behind the flushes that are on `models`."""
    broker.create(STATE, 2)
    log, again = make_log(), make_task(pipeline)
    assert log.read([0]) == {}
    learn(again, pipeline, range(0, 30, 3))
    written = save(log, broker, again, {"events": 30}, 1)
    assert {each.flush for each in written} == {4}
    assert {each.key: each.value is None for each in written if each.topic == "models"} == {
        "learning/models/0": False,
        "learning/models/1": True,
        "learning/models/2": True,
    }
    assert [each.key for each in make_log().read([0])[0].entries[MODELS]] == ["0"]


def test_copies_of_the_newest_records_change_nothing(
    make_log: Callable[..., StateLog], broker: FakeBroker, task: Task, skipped: list[str]
) -> None:
    """Also where compaction has dropped what they are copies of."""
    before = summary(make_log().read([0])[0])
    for topic in ("p.models", STATE):
        for each in broker.records(topic):
            if dict(each.headers() or ())["flush"] == b"3":
                put_back(broker, each)
    assert summary(make_log().read([0])[0]) == before
    compact(broker)
    assert summary(make_log().read([0])[0]) == before
    assert skipped == []


def test_what_a_worker_writes_that_has_lost_its_partition_does_not_count(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline, task: Task
) -> None:
    """Without transactions nothing fences it: its save has the number of the new owner's."""
    saves = []
    for number in (100, 110):
        log, again = make_log(), make_task(pipeline)
        log.read([0])[0].restore(again)
        learn(again, pipeline, range(90, number))
        saves.append([*log.flush(0, again, {"events": number}, 4)])
    write(broker, saves[0])
    before = summary(make_log().read([0])[0])
    write(broker, saves[1])
    assert summary(make_log().read([0])[0]) == before
