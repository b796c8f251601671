"""State topics are read whatever else is on them; what counts is complete, or there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SnapshotError, shipped
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.state import snapshot
from millrace.streams.state.log import StateLog
from millrace.streams.topology.task import Task
from tests.unit.streams.conftest import KEY
from tests.unit.streams.state.test_log import (
    EVERYTHING,
    STATE,
    contents,
    learn,
    make_task,
    save,
    version,
    write,
)

MODEL = b"learning/models/"
OURS = [("flush", "1"), ("sequence", "1")]


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({STATE: 1, "p.models": 1})


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    return make_pipeline()


@pytest.fixture
def skipped() -> list[str]:
    """Collect the topics of records that were skipped."""
    return []


@pytest.fixture
def make_log(broker: FakeBroker, pipeline: Pipeline, skipped: list[str]) -> Callable[..., StateLog]:
    def make(key: bytes = KEY, part_bytes: int = 1_000) -> StateLog:
        clients = FakeClients(broker)
        return StateLog(
            pipeline,
            EVERYTHING,
            clients,
            "p.",
            key,
            part_bytes=part_bytes,
            on_skipped=skipped.append,
        )

    return make


@pytest.fixture
def task(make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline) -> Task:
    """Return a task whose state is saved."""
    task = make_task(pipeline)
    learn(task, pipeline, range(20))
    save(make_log(), broker, task, {"events": 20}, 1)
    return task


def compact(broker: FakeBroker) -> None:
    """Leave the newest record of each key, and no tombstone."""
    for topic in (STATE, "p.models"):
        records = broker.records(topic)
        newest = {each.key(): each for each in records}
        broker.create(topic, 1)
        for each in records:
            if each is newest[each.key()] and each.value() is not None:
                broker.put(topic, each.value(), each.key(), headers=each.headers())


def restored(log: StateLog, pipeline: Pipeline) -> Task:
    task = make_task(pipeline)
    log.read([0])[0].restore(task)
    return task


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def published(payload: bytes) -> bytes:
    return shipped("model_snapshot").encode(
        {"scope_key": "", "champion": "own", "version": 1, "covers": {}, "payload": payload}
    )


GARBAGE: dict[str, tuple[bytes | None, bytes | None, Any]] = {
    "no key": (None, b"{}", OURS),
    "a key that is not UTF-8": (b"\xff\xfe", b"{}", OURS),
    "no headers": (b"learning/metrics/x", b"{}", None),
    "headers that are no numbers": (MODEL, b"{}", [("flush", "x"), ("sequence", "1")]),
    "a negative number": (MODEL, b"{}", [("flush", "-1"), ("sequence", "1")]),
    "a header without a value": (MODEL, b"{}", [("flush", None), ("sequence", b"\xff")]),
    "not signed": (MODEL, b"{}", OURS),
    "empty": (MODEL, b"", OURS),
    "cut off": (MODEL, b"MRS\x01", OURS),
    "large": (MODEL, b"x" * 5_000_000, OURS),
    "a foreign tombstone": (MODEL, None, None),
    "in the manifest's place": (b"manifest", b"garbage", OURS),
    "in the owner's place": (b"owner", b"garbage", OURS),
    "in a part's place": (b"part/0/learning/models/", b"garbage", OURS),
    "in an order's place": (b"order/x", b"garbage", OURS),
    "of another format": (MODEL, b"MRS\x07" + bytes(40), OURS),
    "of another key": (MODEL, snapshot.dump(1, b"another key"), OURS),
    "of another key, published": (MODEL, published(snapshot.dump(1, b"another key")), OURS),
    "published, not signed": (MODEL, published(b"garbage"), OURS),
}


@pytest.mark.parametrize("topic", [STATE, "p.models"])
@pytest.mark.parametrize(("key", "value", "headers"), GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_skipped(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    task: Task,
    skipped: list[str],
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Any,
) -> None:
    """Before the state and behind it; it is logged with its place, and counted."""
    offset = broker.put(topic, value, key, headers=headers)

    with capture_logs() as logs:
        again = restored(make_log(), pipeline)

    assert contents(again) == contents(task)
    assert set(skipped) == {topic.removeprefix("p.")}
    said = next(each for each in logs if each["event"].startswith("skipped a record"))
    key_text = (key or b"").decode(errors="surrogateescape")
    assert (said["topic"], said["partition"], said["offset"]) == (topic, 0, offset)
    assert said["key"] == repr(key_text)
    assert [*make_log().published.read([0])][-1].value["version"] == 20


@pytest.mark.parametrize("topic", [STATE, "p.models"])
@pytest.mark.parametrize(("key", "value", "headers"), GARBAGE.values(), ids=GARBAGE.keys())
def test_the_next_save_undoes_garbage(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    task: Task,
    skipped: list[str],
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Any,
) -> None:
    """Compaction leaves the newest record of a key: so what garbage hides is written again."""
    broker.put(topic, value, key, headers=headers)
    log = make_log()
    again = restored(log, pipeline)
    log.own([0], "this worker")
    save(log, broker, again, {"events": 21}, 2)
    compact(broker)
    skipped.clear()

    saved = make_log().read([0])[0]

    assert (saved.covers, version(saved)) == ({"events": 21}, 20)
    assert contents(restored(make_log(), pipeline)) == contents(task)
    assert skipped == ([] if key else [topic.removeprefix("p.")] * 2)


def test_much_garbage_is_not_much_log(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    task: Task,
    skipped: list[str],
) -> None:
    """A partition's worth of it is counted; the first few are named."""
    for number in range(500):
        broker.put(STATE, b"garbage", str(number).encode())
    with capture_logs() as logs:
        again = restored(make_log(), pipeline)
    assert contents(again) == contents(task)
    assert len(skipped) == 500
    assert sum(each["event"].startswith("skipped a record") for each in logs) == 10


@pytest.mark.parametrize("topic", [STATE, "p.models"])
def test_garbage_that_has_replaced_state_is_rebuilt_from_the_log(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    task: Task,
    topic: str,
) -> None:
    """Once compaction has dropped an entry, there is no state; what is saved next is complete."""
    key = broker.records(topic)[0].key()
    broker.put(topic, b"garbage", key, headers=OURS)
    compact(broker)
    log = make_log()
    with capture_logs() as logs:
        assert log.read([0]) == {}
    assert any(each["event"] == "saved state is incomplete" for each in logs)

    rebuilt = make_task(pipeline)
    learn(rebuilt, pipeline, range(3))
    save(log, broker, rebuilt, {"events": 3}, 1)
    compact(broker)

    assert contents(restored(make_log(), pipeline)) == contents(rebuilt)


@pytest.mark.parametrize("place", ["state", "models", "manifest"])
def test_changed_state_is_not_used(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    task: Task,
    place: str,
) -> None:
    """While the genuine record is there, it counts; where it is gone, that is refused."""
    topic = "p.models" if place == "models" else STATE
    records = broker.records(topic)
    genuine = records[-1 if place == "manifest" else 0]
    changed = flipped(genuine.value() or b"")
    broker.put(topic, changed, genuine.key(), headers=genuine.headers())
    assert contents(restored(make_log(), pipeline)) == contents(task)
    compact(broker)
    reason = rf"saved state of p\.state.*cannot be read.*{topic}\[0\]@\d+ .*MILLRACE_STATE_KEY"
    with pytest.raises(SnapshotError, match=reason):
        make_log().read([0])


def test_state_of_another_key_is_refused(
    make_log: Callable[..., StateLog], task: Task, skipped: list[str]
) -> None:
    """A worker with another key refuses to start; it does not learn from the beginning again."""
    with pytest.raises(SnapshotError, match=r"another MILLRACE_STATE_KEY.*delete the state topics"):
        make_log(b"another key").read([0])
    assert skipped


def test_a_key_is_replaced(
    make_log: Callable[..., StateLog],
    broker: FakeBroker,
    pipeline: Pipeline,
    task: Task,
) -> None:
    """State of a former key is read, and the next save signs all of it with the new one."""
    both = b"the new key\n" + KEY
    log = make_log(both)
    with capture_logs() as logs:
        again = restored(log, pipeline)
    assert any(each["event"].startswith("state is signed with a former key") for each in logs)
    save(log, broker, again, {"events": 21}, 2)

    with capture_logs() as logs:
        assert contents(restored(make_log(b"the new key"), pipeline)) == contents(task)
        compact(broker)
        assert contents(restored(make_log(both), pipeline)) == contents(task)
    assert not any(each["event"].startswith("state is signed") for each in logs)


def test_what_a_crash_has_left_is_written_over(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline, task: Task
) -> None:
    """Without transactions half a flush stays, newer than what counts; the next save undoes it."""
    learn(task, pipeline, range(20, 40))
    half = [*make_log().flush(0, task, {"events": 40}, 2)][:-1]
    write(broker, half)
    log = make_log()
    again = restored(log, pipeline)
    before = contents(again)

    save(log, broker, again, {"events": 20}, 2)

    compact(broker)
    saved = make_log().read([0])[0]
    assert version(saved) == 20
    assert contents(restored(make_log(), pipeline)) == before


def test_a_large_entry_shrinks(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline, task: Task
) -> None:
    """The parts that it does not need any more are removed, also after a restart."""
    parts = {each.key() for each in broker.records("p.models")}
    assert len(parts) > 2
    log = make_log(part_bytes=10**6)
    again = restored(log, pipeline)
    learn(again, pipeline, range(20, 22))
    save(log, broker, again, {"events": 22}, 2)

    compact(broker)

    assert [each.key() for each in broker.records("p.models")] == [MODEL]
    assert contents(restored(make_log(), pipeline)) == contents(again)


def test_a_large_entry_is_removed_with_its_parts(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline, task: Task
) -> None:
    """Nothing of it is left."""
    log = make_log()
    again = restored(log, pipeline)
    for _, store in again.stores():
        for key in [*store]:  # type: ignore[call-overload]
            del store[key]  # type: ignore[attr-defined]
    save(log, broker, again, {"events": 22}, 2)
    compact(broker)
    assert broker.records("p.models") == []
    assert [each.key() for each in broker.records(STATE)] == [b"manifest"]


def test_large_entries_are_put_together_again(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline, task: Task
) -> None:
    """From any state topic, with the tail of `models` alone; and for prediction, as they come."""
    assert max(len(each.value() or b"") for each in broker.records(STATE)) < 1_200
    assert max(len(each.value() or b"") for each in broker.records("p.models")) < 1_300
    assert contents(restored(make_log(), pipeline)) == contents(task)
    published = make_log().published
    brought = [published.changes(each) for each in published.read([0])]
    assert [len(each) for each in brought] == [0] * (len(brought) - 1) + [1]
    assert brought[-1][""].version == 20  # type: ignore[union-attr]
    payloads = [
        shipped("model_snapshot").decode(each.value() or b"") for each in broker.records("p.models")
    ]
    assert {each["version"] for each in payloads} == {20}


def test_a_missing_part_is_missing_state(
    make_log: Callable[..., StateLog], broker: FakeBroker, task: Task
) -> None:
    """There is no state without it."""
    broker.expire("p.models", before=1)
    assert make_log().read([0]) == {}


def test_state_that_was_not_saved_leaves_nothing_behind(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline
) -> None:
    """Without transactions part of a refused flush stays; the next one removes what it left."""
    log, task = make_log(), make_task(pipeline)
    learn(task, pipeline, range(20))
    write(broker, [*log.flush(0, task, {"events": 20}, 1)][:-1])  # refused at the end
    for _, store in task.stores():
        for key in [*store]:  # type: ignore[call-overload]
            del store[key]  # type: ignore[attr-defined]
    save(log, broker, task, {"events": 30}, 1)
    saved = make_log().read([0])[0]
    assert (saved.covers, saved.entries) == ({"events": 30}, {})


def test_numbers_of_flushes_go_on(
    make_log: Callable[..., StateLog], broker: FakeBroker, pipeline: Pipeline, task: Task
) -> None:
    """State that is rebuilt is newer than what it replaces, whatever it is counted from."""
    save(make_log(), broker, make_task(pipeline), {"events": 20}, 7)
    log = make_log()
    log.read([0])
    rebuilt = make_task(pipeline)
    learn(rebuilt, pipeline, range(5))
    assert {each.flush for each in log.flush(0, rebuilt, {"events": 5}, 1)} == {8}
