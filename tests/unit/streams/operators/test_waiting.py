"""Events wait as in a list that is searched, in less than 400 bytes each."""

from __future__ import annotations

import pickle
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import timedelta
from math import inf
from typing import Any

import pytest
from river.linear_model import LogisticRegression

from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.streams.operators import waiting as module
from millrace.streams.operators.keyed_state import Change
from millrace.streams.operators.packing import Waiting
from millrace.streams.operators.waiting import Left, WaitingEvents
from millrace.streams.state.migrations import RENAMED
from millrace.streams.state.unpickling import StateUnpickler

Make = Callable[..., Any]
FEATURES = [f"feature_{number}" for number in range(10)]


def event(event_id: str, time_ms: int = 5, text: str = "", key: str | None = "key") -> Waiting:
    """Return an event of ten numbers that three models and two baselines have predicted."""
    features: Any = {name: time_ms + number / 7 for number, name in enumerate(FEATURES)}
    if text:
        features["feature_3"] = text
    vector: Any = {"event_id": event_id, "key": key, "event_time_ms": time_ms, "label": None}
    predicted: Any = {
        name: {"value": time_ms % 2 == 0, "probabilities": {}}
        for name in ("one", "two", "three", "no_change", "prior")
    }
    predicted["one"]["probabilities"] = {"False": 0.25, "True": 0.75}
    return Waiting({**vector, "features": features}, predicted)


@pytest.fixture
def make(make_pipeline: Make, avro: Make) -> Callable[..., WaitingEvents]:
    """Make the events of a pipeline with three models, that wait within bounds."""
    schema = avro(id="string", user="string", **dict.fromkeys(FEATURES, "double"))

    def waiting(limit: int = 10**6, limit_bytes: int = 2**40, **changes: Any) -> WaitingEvents:
        pipeline: Pipeline = make_pipeline(
            schema=schema,
            label=None,
            key="user",
            models=dict.fromkeys(("one", "two", "three"), LogisticRegression),
            pending=Pending(limit=limit, limit_bytes=limit_bytes, ttl=timedelta(days=1)),
            **changes,
        )
        return WaitingEvents(pipeline)

    return waiting


class Plain:
    """What is to be: a list that is searched from end to end."""

    def __init__(self, limit: int, limit_bytes: int, size_of: Callable[[Waiting], int]) -> None:
        self.events: list[Waiting] = []
        self._limits = limit, limit_bytes
        self._size_of = size_of

    def put(self, waiting: Waiting) -> None:
        self.take(waiting.vector["event_id"])
        self.events.append(waiting)

    def take(self, event_id: str) -> Waiting | None:
        found = next((each for each in self.events if each.vector["event_id"] == event_id), None)
        self.events = [each for each in self.events if each is not found]
        return found

    def expired(self, before_ms: int) -> list[Waiting]:
        due = [each for each in self.events if each.vector["event_time_ms"] < before_ms]
        self.events = [each for each in self.events if each not in due]
        return sorted(due, key=lambda each: each.vector["event_time_ms"])

    def surplus(self) -> list[Waiting]:
        found = []
        limit, limit_bytes = self._limits
        while len(self.events) > limit or sum(map(self._size_of, self.events)) > limit_bytes:
            found.append(self.events.pop(0))
        return found

    @property
    def oldest_ms(self) -> float:
        return min((each.vector["event_time_ms"] for each in self.events), default=inf)


class Saved:
    """A compacted log of a store's changes, from which it is made anew."""

    def __init__(self) -> None:
        self.log: dict[str, Change] = {}

    def save(self, waiting: WaitingEvents) -> None:
        """Write what has changed, as a flush does."""
        self.write(waiting.entries.take_changes())
        assert len(self.log) == len(waiting.entries)

    def write(self, changes: list[Change]) -> None:
        for change in changes:
            assert isinstance(change.value, bytes | None)
            if change.value is None:
                self.log.pop(change.key, None)
            else:
                self.log[change.key] = change

    def restore(self, waiting: WaitingEvents) -> WaitingEvents:
        """Give a new store what was saved."""
        waiting.entries.restore(self.log.values())
        return waiting


def events_of(left: Iterable[Left]) -> list[Waiting]:
    """Return events that were removed, without their chunks."""
    return [event for _, event in left]


@pytest.mark.parametrize("seed", range(6))
def test_a_save_that_is_spread_holds_one_moment(
    seed: int, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is put and taken while a save goes on is in the next one, which may be of the same."""
    monkeypatch.setattr(module, "BLOCK_EVENTS", 8)
    rng = random.Random(seed)
    waiting, saved, number = make(60), Saved(), 0
    for _ in range(40):
        number += 1
        waiting.put(event(str(number), number))
        changes: list[Change] = []
        waiting.entries.begin_save(changes.append)
        expected = [*waiting]
        while (change := waiting.entries.next_change()) is not None:
            changes.append(change)
            for _ in range(rng.choice([0, 1, 9])):
                number += 1
                waiting.put(event(str(number), number + rng.randrange(20)))
                waiting.surplus()
                waiting.take(str(rng.randrange(max(number - 70, 0), number + 1)))
                waiting.expired(number - 50)
            waiting.pack()
        if rng.random() < 0.3:
            waiting.entries.give_up_save()
            continue
        waiting.entries.end_save()
        saved.write(changes)
        assert [*saved.restore(make(60))] == expected


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("unpacked", [0, 3, 2_048])
def test_as_a_list_that_is_searched(
    seed: int, unpacked: int, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives what a list would, wherever slices are cut and the state is saved or restored."""
    monkeypatch.setattr(module, "_UNPACKED_EVENTS", unpacked)
    monkeypatch.setattr(module, "BLOCK_EVENTS", 8)
    rng = random.Random(seed)
    limits = (40, 16_000)
    waiting, saved = make(*limits), Saved()
    plain = Plain(*limits, waiting._size_of)
    cut = rng.choice([0.02, 0.3, 1.0])
    for number in range(2_000):
        what = rng.random()
        some = f"e{rng.randrange(max(number - 60, 0), number + 1)}"
        if what < 0.5:
            text = rng.choice(["", "", "", "é" * rng.randrange(900)])
            each = event(rng.choice([f"e{number}", some]), number + rng.randrange(-30, 30), text)
            waiting.put(each)
            plain.put(each)
            assert events_of(waiting.surplus()) == plain.surplus()
        elif what < 0.85:
            assert (some in waiting) == any(
                each.vector["event_id"] == some for each in plain.events
            )
            assert waiting.take(some) == plain.take(some)
        elif what < 0.9:
            before_ms = number - rng.randrange(60)
            assert events_of(waiting.expired(before_ms)) == plain.expired(before_ms)
        elif what < 0.95:
            saved.save(waiting)
        elif what < 0.97:
            saved.save(waiting)
            waiting = saved.restore(make(*limits))
        if rng.random() < cut:
            waiting.pack()
        assert waiting.oldest_ms == plain.oldest_ms
        assert len(waiting) == len(plain.events)
        assert waiting._size_bytes == sum(map(waiting._size_of, plain.events))
    assert [*waiting] == plain.events
    assert waiting.entries[str(max(waiting._blocks))] is waiting._newest or not waiting._newest.ids


def test_what_the_others_predicted_may_come_later(make: Make) -> None:
    """An event is held as it is until its slice is done, and counts as large as then."""
    waiting, late = make(), event("late")
    predicted = {name: late.predicted.pop(name) for name in ("two", "three", "no_change", "prior")}
    waiting.put(late)
    size = waiting._size_bytes
    late.predicted.update(predicted)
    waiting.pack_all()
    assert waiting.take("late") == event("late")
    waiting.put(event("late"))
    assert waiting._size_bytes == size


def test_memory_of_an_event(make: Make) -> None:
    """An event of ten numbers, three models and two baselines takes less than 400 bytes."""
    waiting, count = make(), 20_000
    events = [event(f"event-{at:010}", at, key=f"user-{at % 1_000}") for at in range(count)]
    tracemalloc.start()
    try:
        for each in events:
            waiting.put(each)
        waiting.pack_all()
        size_bytes = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    size_bytes += sys.getsizeof("event-0123456789")
    assert size_bytes < 400
    assert 0.8 < waiting._size_bytes / count / size_bytes < 1.3  # the rough count


def test_a_save_writes_few_records(make: Make) -> None:
    """Events are saved in blocks, and of a block of which some are gone, only which."""
    waiting, saved = make(), Saved()
    for number in range(1_000):
        waiting.put(event(str(number)))
    saved.save(waiting)
    assert len(saved.log) == 4 + 7  # blocks, and parts of the table
    for number in range(0, 1_000, 10):
        waiting.take(str(number))
    changes = waiting.entries.take_changes()
    assert [change.key for change in changes] == ["0-", "1-", "2-", "3-"]
    assert sum(len(change.value) for change in changes) == 4 + 100


def test_what_came_and_went_between_saves_is_not_written(make: Make) -> None:
    """Nothing is left of events whose labels came before the state was saved."""
    waiting, saved = make(), Saved()
    for number in range(1_000):
        waiting.put(event(str(number)))
        waiting.take(str(number))
    saved.save(waiting)
    assert len(saved.log) == 1
    assert len(waiting._blocks) == 1


def test_events_of_earlier_releases(make: Make) -> None:
    """What was saved one by one goes on as it would have, and is saved anew in blocks."""
    former = [event(each, time_ms) for each, time_ms in (("1", 9), ("0", 7), ("n0", 8), ("0-", 7))]
    log = [Change(each.vector["event_id"], at, each) for at, each in enumerate(former, 1)]
    saved = Saved()
    saved.log = {each.key: each for each in log}
    waiting = saved.restore(make())
    assert [*waiting] == former
    saved.save(waiting)
    assert {*saved.log} == {"0"} | {f"n{number}" for number in range(7)}
    again = saved.restore(make())
    assert [*again] == former
    assert events_of(again.expired(9)) == [former[1], former[3], former[2]]


def test_pickles_of_earlier_releases() -> None:
    """An event that was pickled where its class was before is read."""
    now, before = (
        f"millrace.streams.operators.{each}".encode() for each in ("packing", "label_join")
    )
    pickled = pickle.dumps(event("a"), protocol=5)
    moved = pickled[:2] + pickled[11:].replace(
        b"\x8c%c%b" % (len(now), now), b"\x8c%c%b" % (len(before), before)
    )
    assert moved.count(before) == 1
    assert StateUnpickler(moved, (), RENAMED[2]).load() == event("a")


def cost(waiting: WaitingEvents, count: int) -> float:
    """Return the seconds of putting and taking 2,000 events while `count` others wait."""
    for number in range(count):
        waiting.put(event(str(number), number))
        waiting.pack()
    best = 9.0
    for at in range(4):
        events = [event(f"{at} {number}", count) for number in range(500)]
        started = time.process_time()
        for each in events:
            waiting.put(each)
            waiting.oldest_ms  # noqa: B018 - how long it takes counts
        for number in range(500):
            waiting.take(str(at * 500 + number))
        waiting.pack()
        best = min(best, time.process_time() - started)
    return best


def test_many_cost_what_few_cost(make: Make) -> None:
    """The cost of an event does not grow with how many wait."""
    assert cost(make(), 50_000) < 4 * cost(make(), 2_000)
