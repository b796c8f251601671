"""Keyed state that knows what has changed.

An operator uses a store as a dictionary. The engine asks it for the changes since the last time
and writes only those, so that a large model costs nothing while it does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Change(NamedTuple):
    """A key that was set (`value`) or removed (`value` is None) since the last flush.

    `sequence` grows with every change: entries restored in its order are in the order in which
    they were last set, which is the order in which they give way.
    """

    key: str
    sequence: int
    value: Any | None


class KeyedState(dict[str, Any]):
    """A dictionary with text keys that tracks changes and may be bounded.

    It is in the order in which its keys were last set. Only `state[key] = value`, `touch`,
    `changing`, `del state[key]` and `pop` change it.

    Parameters
    ----------
    limit
        Entries that it holds at the most; the one least recently set gives way. None: no limit.

    Examples
    --------
    >>> state = KeyedState(limit=2)
    >>> state["a"], state["b"], state["c"] = 1, 2, 3
    >>> list(state), state.evicted
    (['b', 'c'], 1)
    >>> [(change.key, change.value) for change in state.take_changes()]
    [('b', 2), ('c', 3)]
    """

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.limit = limit
        self.evicted = 0
        self._sequence = 0
        self._changed: dict[str, int] = {}
        self._persisted: set[str] = set()
        self._newest: str | None = None  # the last of the entries, and known to have changed

    def __setitem__(self, key: str, value: Any) -> None:
        if key == self._newest:
            super().__setitem__(key, value)
            return
        if key in self:
            super().__delitem__(key)
        super().__setitem__(key, value)
        self._sequence += 1
        self._changed[key] = self._sequence
        self._newest = key
        while self.limit is not None and len(self) > self.limit:
            del self[next(iter(self))]
            self.evicted += 1

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._newest = None
        if key in self._persisted:
            self._sequence += 1
            self._changed[key] = self._sequence
        else:
            self._changed.pop(key, None)

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove a key and return its value, or `default` where there is none."""
        if key not in self:
            return default
        value = self[key]
        del self[key]
        return value

    def changing(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the value of `key`, made where there is none, to be changed in place."""
        value = self.get(key)
        if value is None:
            value = self[key] = make()
        elif key != self._newest:
            self[key] = value
        return value

    def touch(self, key: str) -> None:
        """Say that the value of `key` was changed in place."""
        if key != self._newest:
            self[key] = self[key]

    def oldest(self) -> tuple[str, Any]:
        """Return the entry least recently set, of a store that has one."""
        key = next(iter(self))
        return key, self[key]

    def take_changes(self) -> list[Change]:
        """Return what has changed since the last call, in order, and forget that it has."""
        changes = []
        for key, sequence in sorted(self._changed.items(), key=lambda item: item[1]):
            if key in self:
                self._persisted.add(key)
                changes.append(Change(key, sequence, self[key]))
            else:
                self._persisted.discard(key)
                changes.append(Change(key, sequence, None))
        self._changed.clear()
        self._newest = None
        return changes

    def restore(self, changes: list[Change]) -> None:
        """Fill an empty store from the latest change of each key."""
        for change in sorted(changes, key=lambda each: each.sequence):
            self._sequence = max(self._sequence, change.sequence)
            if change.value is not None:
                super().__setitem__(change.key, change.value)
                self._persisted.add(change.key)
