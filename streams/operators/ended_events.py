"""A bounded memory of events that have ended, by which duplicates are recognised."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from millrace.models.pipeline.limits import ENDED_BYTES
from millrace.schemas.records import LabelValue
from millrace.streams.operators.keyed_state import KeyedState

_SEGMENT_SIZE = 1_000
_SEGMENT_BYTES = 1_000_000


class EndedEvents:
    """Event id to the label that was learned, or to None where the event ended without one.

    Ids are kept in segments of a thousand, or of a megabyte, each one entry of the state, so that
    remembering an event costs no write of its own; the oldest segment is evicted as a whole.

    Parameters
    ----------
    limit
        Newest ids that are always remembered, where `limit_bytes` allows it; up to two segments
        more may be.
    limit_bytes
        Most bytes that they take, by a rough count; the segment of the newest id is kept.

    Attributes
    ----------
    limit, limit_bytes
        See above.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self.segments: KeyedState[dict[str, LabelValue | None]] = KeyedState()
        self.limit = limit
        self.limit_bytes = limit_bytes
        self._number = ""
        self._newest: dict[str, LabelValue | None] = {}
        self._newest_bytes = 0
        self._sizes_bytes: dict[str, int] = {}  # of the older segments
        self._older_bytes = 0

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._index or event_id in self._newest

    def has_none(self, ids: set[str]) -> bool:
        """Whether it knows none of these events."""
        return self._index.keys().isdisjoint(ids) and self._newest.keys().isdisjoint(ids)

    def __getitem__(self, event_id: str) -> LabelValue | None:
        return self.segments[self._index.get(event_id, self._number)][event_id]

    def add(self, event_id: str, label: LabelValue | None) -> None:
        """Remember an event, which is not known yet."""
        newest = self._with_room()
        self.segments.touch(self._number)
        newest[event_id] = label
        self._newest_bytes += _size_bytes(event_id, label)

    def add_all(self, events: Sequence[tuple[str, LabelValue | None]]) -> None:
        """Remember events, of which none is known yet; equivalent to one `add` after the other."""
        left = events
        while left:
            room = _SEGMENT_SIZE - len(self._with_room())
            part, left = left[:room], left[room:]
            size_bytes = sum(_size_bytes(*each) for each in part)
            if self._newest_bytes + size_bytes >= _SEGMENT_BYTES:
                for event_id, label in part:
                    self.add(event_id, label)
            else:
                self.segments.touch(self._number)
                self._newest.update(part)
                self._newest_bytes += size_bytes

    def _with_room(self) -> dict[str, LabelValue | None]:
        """Return the segment that the next event comes to."""
        index, newest = self._index, self._newest
        if len(newest) >= _SEGMENT_SIZE or self._newest_bytes >= _SEGMENT_BYTES or not self._number:
            return self._start_segment(index)
        return newest

    @cached_property
    def _index(self) -> dict[str, str]:
        """The segment of each id that is not in the newest; made once segments are restored."""
        *older, self._number = self.segments or [""]
        self._newest = self.segments.get(self._number, {})
        self._sizes_bytes = {
            number: sum(_size_bytes(*each) for each in segment.items())
            for number, segment in self.segments.items()
        }
        self._newest_bytes = self._sizes_bytes.pop(self._number, 0)
        self._older_bytes = sum(self._sizes_bytes.values())
        return {event_id: number for number in older for event_id in self.segments[number]}

    def _start_segment(self, index: dict[str, str]) -> dict[str, LabelValue | None]:
        if self._number:
            index.update(dict.fromkeys(self._newest, self._number))
            self._sizes_bytes[self._number] = self._newest_bytes
            self._older_bytes += self._newest_bytes
        self._number = str(int(self._number or -1) + 1)
        self._newest = self.segments[self._number] = {}
        self._newest_bytes = 0
        while self._sizes_bytes and self._has_surplus(len(index)):
            number, evicted = self.segments.oldest()
            del self.segments[number]
            self._older_bytes -= self._sizes_bytes.pop(number)
            for event_id in evicted:
                index.pop(event_id, None)
        return self._newest

    def _has_surplus(self, count: int) -> bool:
        """Whether the oldest segment is not needed, or there is no room for it."""
        _, oldest = self.segments.oldest()
        is_too_much = self._older_bytes > self.limit_bytes
        return is_too_much or count - len(oldest) >= self.limit


def _size_bytes(event_id: str, label: LabelValue | None) -> int:
    return ENDED_BYTES + len(event_id) + (len(label) if isinstance(label, str) else 0)
