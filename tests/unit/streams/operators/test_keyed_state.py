"""Keyed state is a dictionary, in the order of its last changes, that can be written as a log."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from millrace.streams.operators.keyed_state import Change, KeyedState

KEYS = st.sampled_from("abcdefg")


class KeyedStateMachine(RuleBasedStateMachine):
    """Drives a store and a plain dictionary side by side, with flushes to a compacted log."""

    def __init__(self) -> None:
        super().__init__()
        self.plain: dict[str, Any] = {}
        self.store = KeyedState()
        self.log: dict[str, Change] = {}
        self.flushed: list[dict[str, Any]] = [{}]
        self.logs: list[dict[str, Change]] = [{}]
        self.evicted = 0

    @initialize(limit=st.none() | st.integers(min_value=1, max_value=5))
    def begin(self, limit: int | None) -> None:
        self.limit = limit
        self.store = KeyedState(limit)

    @rule(key=KEYS, value=st.integers())
    def put(self, key: str, value: int) -> None:
        self.store[key] = [value]
        self._put(key, [value])

    @rule(key=KEYS)
    def take_away(self, key: str) -> None:
        if key in self.plain:
            del self.store[key]
            del self.plain[key]
        else:
            with pytest.raises(KeyError):
                del self.store[key]

    @rule(key=KEYS)
    def pop(self, key: str) -> None:
        assert self.store.take(key) == self.plain.pop(key, None)

    @precondition(lambda self: self.plain)
    @rule(data=st.data(), value=st.integers())
    def change_in_place(self, data: Any, value: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.plain)))
        self.store[key].append(value)
        self.store.touch(key)
        self._put(key, self.store[key])

    @precondition(lambda self: self.plain)
    @rule(data=st.data(), value=st.integers())
    def mark(self, data: Any, value: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.plain)))
        self.store[key].append(value)
        self.store.mark(key)
        if self.plain[key] is not self.store[key]:
            self.plain[key] = [*self.store[key]]

    @rule()
    def flush(self) -> None:
        changes = self.store.take_changes()
        assert len({change.key for change in changes}) == len(changes)
        for change in changes:
            value = None if change.value is None else [*change.value]
            self.log[change.key] = change._replace(value=value)
        self.flushed.append({key: [*value] for key, value in self.plain.items()})
        self.logs.append(dict(self.log))
        assert self.store.take_changes() == []

    @rule(data=st.data(), compacted=st.booleans())
    def restore_from_any_flush(self, data: Any, compacted: bool) -> None:
        at = data.draw(st.integers(min_value=0, max_value=len(self.flushed) - 1))
        restored = KeyedState(self.limit)
        log = [
            change for change in self.logs[at].values() if not compacted or change.value is not None
        ]
        restored.restore(data.draw(st.permutations(log)))
        assert [*restored.items()] == [*self.flushed[at].items()]
        assert restored.take_changes() == []

    @rule()
    def go_on_from_the_log(self) -> None:
        self.flush()
        self.store = KeyedState(self.limit)
        self.store.restore(
            [each._replace(value=each.value and [*each.value]) for each in self.log.values()]
        )
        self.evicted = 0

    @invariant()
    def same_as_plain(self) -> None:
        assert [*self.store.items()] == [*self.plain.items()]
        assert len(self.store) == len(self.plain)
        assert self.store.evicted == self.evicted
        if self.plain:
            assert self.store.oldest() == next(iter(self.plain.items()))

    def _put(self, key: str, value: list[int]) -> None:
        self.plain.pop(key, None)
        self.plain[key] = value
        if self.limit is not None and len(self.plain) > self.limit:
            del self.plain[next(iter(self.plain))]
            self.evicted += 1


KeyedStateMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None
)
test_is_a_dictionary_with_a_log = KeyedStateMachine.TestCase


def test_only_what_changed_is_written() -> None:
    """A flush holds each changed key once, oldest change first, and nothing that has not."""
    state = KeyedState()
    state["a"], state["b"], state["c"] = 1, 2, 3
    assert [change.key for change in state.take_changes()] == ["a", "b", "c"]
    state["b"] = 4
    state["a"] = 5
    state["b"] = 6
    del state["c"]
    changes = state.take_changes()
    assert {change.key: change.value for change in changes} == {"a": 5, "b": 6, "c": None}
    assert [change.sequence for change in changes] == sorted(each.sequence for each in changes)


def test_what_came_and_went_between_flushes_is_not_written() -> None:
    """A key that was never saved needs no tombstone; one that was does."""
    state = KeyedState()
    state["saved"] = 1
    state.take_changes()
    state["brief"] = 1
    del state["brief"]
    del state["saved"]
    assert [(each.key, each.value) for each in state.take_changes()] == [("saved", None)]


def test_sequence_goes_on_after_a_restore() -> None:
    """What changes after a restore counts as newer than all that was restored."""
    state = KeyedState()
    state.restore([Change("new", 9, "n"), Change("old", 3, "o"), Change("gone", 12, None)])
    assert [*state] == ["old", "new"]
    state["old"] = "changed"
    (change,) = state.take_changes()
    assert change.sequence > 12


def test_a_tombstone_follows_what_was_restored() -> None:
    """A restored key that is deleted leaves a tombstone, as it is in the log."""
    state = KeyedState()
    state.restore([Change("a", 1, "x")])
    del state["a"]
    assert [(each.key, each.value) for each in state.take_changes()] == [("a", None)]


def test_a_lower_limit_holds_from_the_next_change() -> None:
    """A store restored under a lower limit shrinks to it."""
    state = KeyedState(limit=2)
    state.restore([Change(str(i), i, i) for i in range(1, 7)])
    state["x"] = 0
    assert [*state] == ["6", "x"]
    assert state.evicted == 5


def test_falsy_values_are_values() -> None:
    """0, False, an empty text and an empty dictionary survive; only None is a tombstone."""
    state = KeyedState()
    state["zero"], state["no"], state["text"], state["empty"] = 0, False, "", {}
    restored = KeyedState()
    restored.restore(state.take_changes())
    assert restored == {"zero": 0, "no": False, "text": "", "empty": {}}


def test_evictions_are_told() -> None:
    """Each key that is evicted is told, once it is gone; one that is deleted is not."""
    told: list[tuple[str, bool]] = []
    state: KeyedState[int] = KeyedState(2, lambda key: told.append((key, key in state)))
    for key in "abcb":
        state[key] = 1
    del state["c"]
    state["d"] = state["e"] = 1
    assert told == [("a", False), ("b", False)]


def test_the_oldest_is_found_at_once() -> None:
    """However many entries have gone before it, finding and evicting the oldest costs the same."""

    def cost(count: int) -> float:
        state: KeyedState[int] = KeyedState(limit=count)
        for number in range(count):
            state[str(number)] = number
        for number in range(count - 1_000):
            del state[str(number)]
        best = 9.0
        for _ in range(5):
            started = time.process_time()
            for _ in range(500):
                key, value = state.oldest()
                del state[key]
                state[key] = value
            best = min(best, time.process_time() - started)
        return best

    assert cost(100_000) < 5 * cost(1_100)
