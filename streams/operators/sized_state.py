"""Keyed state that is bounded in bytes, too, by a rough count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from millrace.streams.operators.keyed_state import Change, KeyedState

V = TypeVar("V")


class SizedState(KeyedState[V]):
    """Keyed state of which the entries least recently set are evicted where all are too large.

    Parameters
    ----------
    limit
        Most entries that it holds.
    limit_bytes
        Most bytes that they take; the newest entry is kept.
    size_of
        Rough size of an entry in bytes, its key included.
    on_eviction
        Called with the key of each entry that is evicted.

    Examples
    --------
    >>> state = SizedState(9, limit_bytes=10, size_of=lambda key, value: len(key) + len(value))
    >>> state["a"], state["b"], state["c"] = "1234", "5678", "9"
    >>> [*state], state.evicted
    (['b', 'c'], 1)
    """

    def __init__(
        self,
        limit: int,
        limit_bytes: int,
        size_of: Callable[[str, V], int],
        on_eviction: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(limit, on_eviction)
        self._limit_bytes = limit_bytes
        self._size_of = size_of
        self._sizes_bytes: dict[str, int] = {}
        self._held_bytes = 0

    def __getitem__(self, key: str) -> V:
        self.before_change(key)  # a feature of the user's may change it in place
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: V) -> None:
        size = self._size_of(key, value)
        self._held_bytes += size - self._sizes_bytes.get(key, 0)
        self._sizes_bytes[key] = size
        super().__setitem__(key, value)
        while self._held_bytes > self._limit_bytes and len(self) > 1:
            self._evict()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._held_bytes -= self._sizes_bytes.pop(key)

    def restore(self, changes: Iterable[Change]) -> None:
        super().restore(changes)
        self._sizes_bytes = {key: self._size_of(key, value) for key, value in self.items()}
        self._held_bytes = sum(self._sizes_bytes.values())
