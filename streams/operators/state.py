"""Keyed state that knows what has changed.

An operator uses a store as a dictionary. The engine asks it for the changes since the last time
and writes only those, so that a large model costs nothing while it does not change.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple


class Change(NamedTuple):
    """A key that was set (`value`) or removed (`value` is None) since the last flush.

    `sequence` grows with every change: entries restored in its order are in the order in which
    they were last set, which is the order in which they give way.
    """

    key: str
    sequence: int
    value: Any | None


class KeyedState(MutableMapping[str, Any]):
    """A dictionary with text keys that tracks changes and may be bounded.

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
        self.limit = limit
        self.evicted = 0
        self._entries: dict[str, Any] = {}
        self._sequence = 0
        self._changed: dict[str, int] = {}
        self._persisted: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._entries.pop(key, None)
        self._entries[key] = value
        self._mark(key)
        if self.limit is not None and len(self._entries) > self.limit:
            del self[next(iter(self._entries))]
            self.evicted += 1

    def __delitem__(self, key: str) -> None:
        del self._entries[key]
        self._mark(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def touch(self, key: str) -> None:
        """Say that the value of `key` was changed in place."""
        self[key] = self._entries[key]

    def oldest(self) -> tuple[str, Any] | None:
        """Return the entry least recently set, if there is one."""
        key = next(iter(self._entries), None)
        return None if key is None else (key, self._entries[key])

    def take_changes(self) -> list[Change]:
        """Return what has changed since the last call, in order, and forget that it has."""
        changes = []
        for key, sequence in sorted(self._changed.items(), key=lambda item: item[1]):
            if key in self._entries:
                self._persisted.add(key)
                changes.append(Change(key, sequence, self._entries[key]))
            elif key in self._persisted:
                self._persisted.discard(key)
                changes.append(Change(key, sequence, None))
        self._changed.clear()
        return changes

    def restore(self, changes: list[Change]) -> None:
        """Fill an empty store from the latest change of each key."""
        for change in sorted(changes, key=lambda each: each.sequence):
            self._sequence = max(self._sequence, change.sequence)
            if change.value is not None:
                self._entries[change.key] = change.value
                self._persisted.add(change.key)

    def _mark(self, key: str) -> None:
        self._sequence += 1
        self._changed[key] = self._sequence
