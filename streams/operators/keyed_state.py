"""Keyed state that knows what has changed.

An operator uses a store as a dictionary. The engine asks it for the changes since the last time
and writes only those, so that a large model costs nothing while it does not change. Only what was
committed is marked as saved: where a broker refuses it, it is a change still.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeVar, cast

V = TypeVar("V")


class Change(NamedTuple):
    """A key that was set (`value`) or removed (`value` is None) since the last flush.

    `sequence` grows with every change: entries restored in its order are in the order in which
    they were last set, which is the order in which they are evicted.
    """

    key: str
    sequence: int
    value: object | None


class StateStore(Protocol):
    """What saving state needs of a store, whatever it holds."""

    def __len__(self) -> int: ...

    def changes(self) -> list[Change]: ...

    def mark_saved(self) -> None: ...

    def restore(self, changes: Iterable[Change]) -> None: ...


class KeyedState(OrderedDict[str, V]):
    """A dictionary with text keys that tracks changes and may be bounded.

    It is in the order in which its keys were last set; the oldest is found at once, however many
    have gone before it. Only `state[key] = value`, `touch`, `mark`, `changing`, `del state[key]`
    and `take` change it.

    Parameters
    ----------
    limit
        Most entries that it holds; the one least recently set is evicted. None: no limit.
    on_eviction
        Called with the key of each entry that is evicted.

    Attributes
    ----------
    unsaved
        Key of each change to its sequence.

    Examples
    --------
    >>> state: KeyedState[int] = KeyedState(limit=2)
    >>> state["a"], state["b"], state["c"] = 1, 2, 3
    >>> list(state), state.evicted
    (['b', 'c'], 1)
    >>> [(change.key, change.value) for change in state.take_changes()]
    [('b', 2), ('c', 3)]
    """

    def __init__(
        self, limit: int | None = None, on_eviction: Callable[[str], None] | None = None
    ) -> None:
        super().__init__()
        self.limit = limit
        self.evicted = 0
        self._on_eviction = on_eviction
        self._sequence = 0
        self.unsaved: dict[str, int] = {}
        self._persisted: dict[str, int] = {}  # key to its last change that was taken
        self._newest: str | None = None  # the last entry, and known to have changed

    def __setitem__(self, key: str, value: V) -> None:
        if key == self._newest:
            super().__setitem__(key, value)
            return
        super().__setitem__(key, value)
        self.move_to_end(key)
        self._sequence += 1
        self.unsaved[key] = self._sequence
        self._newest = key
        while self.limit is not None and len(self) > self.limit:
            self._evict()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._newest = None
        if key in self._persisted:
            self._sequence += 1
            self.unsaved[key] = self._sequence
        else:
            self.unsaved.pop(key, None)

    def take(self, key: str) -> V | None:
        """Remove a key and return its value, or None where there is none."""
        value = self.get(key)
        if value is not None:
            del self[key]
        return value

    def changing(self, key: str, make: Callable[[], V]) -> V:
        """Return the value of `key`, made where there is none, to be changed in place."""
        value = self.get(key)
        if value is None:
            value = self[key] = make()
        elif key != self._newest:
            self[key] = value
        return value

    def touch(self, key: str) -> None:
        """Mark the value of `key` as changed in place."""
        if key != self._newest:
            self[key] = self[key]

    def mark(self, key: str) -> None:
        """Mark the value of `key` as changed in place, without making it the newest."""
        if key in self and key not in self.unsaved:
            self.unsaved[key] = self._persisted[key]

    def replace(self, key: str, value: V) -> None:
        """Hold another object that stands for the same value: this is no change."""
        super().__setitem__(key, value)

    def _saved(self, key: str) -> object:
        value = self.get(key)
        return None if value is None else self.saved_form(value)

    def _evict(self) -> None:
        key = next(iter(self))
        del self[key]
        self.evicted += 1
        if self._on_eviction is not None:
            self._on_eviction(key)

    def oldest(self) -> tuple[str, V]:
        """Return the entry least recently set, of a store that has any."""
        key = next(iter(self))
        return key, self[key]

    def changes(self) -> list[Change]:
        """Return what has changed since it was last saved, in order."""
        ordered = sorted(self.unsaved.items(), key=lambda item: item[1])
        return [Change(key, sequence, self._saved(key)) for key, sequence in ordered]

    def saved_form(self, value: V) -> object:
        """Return what is written of a value."""
        return value

    def mark_saved(self) -> None:
        """Mark everything as unchanged."""
        for key, sequence in self.unsaved.items():
            if key in self:
                self._persisted[key] = sequence
            else:
                self._persisted.pop(key, None)
        self.unsaved.clear()
        self._newest = None

    def take_changes(self) -> list[Change]:
        """Return what has changed, and mark it as saved."""
        changes = self.changes()
        self.mark_saved()
        return changes

    def restore(self, changes: Iterable[Change]) -> None:
        """Fill an empty store from the latest change of each key."""
        for change in sorted(changes, key=lambda each: each.sequence):
            self._sequence = max(self._sequence, change.sequence)
            if change.value is not None:
                super().__setitem__(change.key, cast(V, change.value))
                self._persisted[change.key] = change.sequence
