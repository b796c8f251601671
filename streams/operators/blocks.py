"""Waiting events in blocks, in the order in which they came: each finds its earliest event.

Memory and saved state have events in blocks of 256, so that what is kept of each event beside its
bytes is a few bytes, and a save writes few records.
"""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Iterator

BLOCK_EVENTS = 256


class Block:
    """Up to 256 events: by place, in order of arrival, and in order of time.

    Attributes
    ----------
    ids
        Place to event id; None where an event is gone.
    times_ms
        Place to event time.
    living
        How many are not gone.
    listed_ms
        What the heap of blocks has as the earliest time of this one; it may have gone.

    Examples
    --------
    >>> block = Block()
    >>> for event_id, time_ms in (("late", 7), ("early", 5), ("later", 9)):
    ...     block.add(event_id, time_ms)
    >>> block.earliest(), block.oldest()
    ('early', 'late')
    >>> block.remove(1)
    >>> block.earliest_ms, [*block]
    (7, [(0, 'late'), (2, 'later')])
    """

    __slots__ = ("_by_time", "_first", "_soonest", "ids", "listed_ms", "living", "times_ms")

    def __init__(self) -> None:
        self.ids: list[str | None] = []
        self.times_ms = array("q")
        self.living = 0
        self.listed_ms: int | None = None
        self._by_time = bytearray()  # places
        self._soonest = self._first = 0  # before them, in order of time and of arrival, all is gone

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield the place and the id of each event, in order of arrival."""
        return ((place, each) for place, each in enumerate(self.ids) if each is not None)

    def add(self, event_id: str, time_ms: int) -> None:
        """Take the next event."""
        times_ms, by_time = self.times_ms, self._by_time
        place = len(times_ms)
        self.ids.append(event_id)
        times_ms.append(time_ms)
        self.living += 1
        if not by_time or time_ms >= times_ms[by_time[-1]]:
            by_time.append(place)
        else:
            insort(by_time, place, lo=self._soonest, key=times_ms.__getitem__)

    def remove(self, place: int) -> None:
        """Let an event go."""
        self.ids[place] = None
        self.living -= 1

    def skip(self) -> None:
        """Take no event for the next place."""
        self.ids.append(None)
        self.times_ms.append(0)

    @property
    def earliest_ms(self) -> int:
        """The earliest time of the events that are there; there must be one."""
        return self.times_ms[self._earliest_place()]

    def earliest(self) -> str:
        """Return the id of the event of the earliest time; of equal times, the first to come."""
        return self._id(self._earliest_place())

    def oldest(self) -> str:
        """Return the id of the event that came first of those that are there."""
        while self.ids[self._first] is None:
            self._first += 1
        return self._id(self._first)

    def _earliest_place(self) -> int:
        ids, by_time, at = self.ids, self._by_time, self._soonest
        while ids[by_time[at]] is None:
            at += 1
        self._soonest = at
        return by_time[at]

    def _id(self, place: int) -> str:
        event_id = self.ids[place]
        assert event_id is not None
        return event_id
