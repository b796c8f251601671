"""Keyed state whose entries wait, each until a time of its own, bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from heapq import heapify, heappop, heappush
from math import inf
from typing import Generic, NamedTuple, TypeVar

from millrace.streams.operators.keyed_state import KeyedState

V = TypeVar("V")

_SLACK = 1_024


class Bounds(NamedTuple):
    """The most that may wait: in number, and in bytes by a rough count."""

    entries: int
    size_bytes: int


class Expiring(Generic[V]):
    """Entries in the order in which they came, which are also found by time.

    An entry's time and size are functions of the entry, so that what is restored expires and is
    evicted as it would have been without a restart.

    Parameters
    ----------
    bounds
        What may wait at most.
    time_of
        Time of an entry in milliseconds; None for one that does not expire yet.
    size_of
        Rough size of an entry in bytes, its key included.

    Attributes
    ----------
    bounds
        See above.
    entries
        The state, to be read only.

    Examples
    --------
    >>> waiting = Expiring(Bounds(2, 10_000), time_of=int, size_of=lambda key, _: len(key))
    >>> waiting.put("late", 5)
    >>> waiting.put("early", 3)
    >>> waiting.expired(before_ms=5), waiting.surplus(), len(waiting)
    ([('early', 3)], [], 1)
    """

    def __init__(
        self,
        bounds: Bounds,
        time_of: Callable[[V], int | None],
        size_of: Callable[[str, V], int],
    ) -> None:
        self.entries: KeyedState[V] = KeyedState()
        self.bounds = bounds
        self._time_of = time_of
        self._size_of = size_of
        self._number = 0  # of entries that came at all: of equal times, the first goes first
        self._numbers: dict[str, int] = {}  # of those that wait
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def oldest_ms(self) -> float:
        """A time before which nothing expires; infinite if nothing waits."""
        return self._heap[0][0] if self.entries and self._heap else inf

    def put(self, key: str, value: V) -> None:
        """Let an entry wait, in place of one with the same key."""
        sizes, heap = self._sizes, self._heap
        size = self._size_of(key, value)
        self._size_bytes += size - sizes.get(key, 0)
        sizes[key] = size
        self.entries[key] = value
        self._number += 1
        self._numbers[key] = self._number
        time_ms = self._time_of(value)
        if time_ms is not None:
            heappush(heap, (time_ms, self._number, key))
        if len(heap) > 2 * len(self.entries) + _SLACK:  # most are of entries that are gone
            del self._heap

    def take(self, key: str) -> V | None:
        """Remove an entry and return it, or None where there is none."""
        entries = self.entries
        if key not in entries:
            return None
        size = self._sizes.pop(key)  # before the sum is read, which may be made only here
        self._size_bytes -= size
        self._numbers.pop(key, None)
        value = entries[key]
        del entries[key]
        return value

    def expired(self, before_ms: int) -> list[tuple[str, V]]:
        """Remove and return the entries of earlier times, in order of time."""
        found: list[tuple[str, V]] = []
        heap = self._heap
        while heap and heap[0][0] < before_ms:
            _, number, key = heappop(heap)
            value = self.take(key) if self._numbers.get(key) == number else None
            if value is not None:
                found.append((key, value))
        return found

    def surplus(self) -> list[tuple[str, V]]:
        """Remove and return the oldest to come, as long as more wait than the bounds allow."""
        found: list[tuple[str, V]] = []
        most, most_bytes = self.bounds
        while len(self.entries) > most or (self.entries and self._size_bytes > most_bytes):
            key, value = self.entries.oldest()
            self.take(key)
            found.append((key, value))
        return found

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """The size of each entry; made when first needed, once entries are restored."""
        sizes = {key: self._size_of(key, value) for key, value in self.entries.items()}
        self._size_bytes = sum(sizes.values())
        return sizes

    @cached_property
    def _heap(self) -> list[tuple[int, int, str]]:
        """Time, number and key of each entry that can expire, and of some that are gone."""
        heap = []
        for key, value in self.entries.items():
            self._number += 1
            self._numbers[key] = self._number
            time_ms = self._time_of(value)
            if time_ms is not None:
                heap.append((time_ms, self._number, key))
        heapify(heap)
        return heap
