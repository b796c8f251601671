"""A bounded memory of what became of events gone by, by which repeats are told apart."""

from __future__ import annotations

from functools import cached_property

from schemas.records import LabelValue
from streams.operators.state import KeyedState

_SEGMENT_SIZE = 1_000


class Memory:
    """Event ids and their ends: the label that was learned, or None for a label not in time.

    Ids are kept in segments of a thousand, each one entry of the state, so that remembering an
    event costs no write of its own; the oldest segment gives way as a whole.

    Parameters
    ----------
    limit
        Ids that it remembers at the least.
    """

    def __init__(self, limit: int) -> None:
        self.segments = KeyedState()
        self._most = -(-limit // _SEGMENT_SIZE) + 1
        self._current = ""

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._index

    def __getitem__(self, event_id: str) -> LabelValue | None:
        end: LabelValue | None = self.segments[self._index[event_id]][event_id]
        return end

    def remember(self, event_id: str, end: LabelValue | None) -> None:
        index = self._index
        segment = self.segments.get(self._current)
        if segment is None or len(segment) >= _SEGMENT_SIZE:
            segment = self._begin_segment()
        segment[event_id] = end
        self.segments.touch(self._current)
        index[event_id] = self._current

    @cached_property
    def _index(self) -> dict[str, str]:
        """In which segment each id is; derived from the segments once they are restored."""
        self._current = next(reversed(self.segments), "")
        return {event_id: number for number in self.segments for event_id in self.segments[number]}

    def _begin_segment(self) -> dict[str, LabelValue | None]:
        self._current = str(int(self._current or -1) + 1)
        segment: dict[str, LabelValue | None] = {}
        self.segments[self._current] = segment
        if len(self.segments) > self._most:
            number, forgotten = self.segments.oldest()
            del self.segments[number]
            for event_id in forgotten:
                self._index.pop(event_id, None)
        return segment
