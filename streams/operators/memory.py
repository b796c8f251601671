"""A bounded memory of what became of events gone by, by which repeats are told apart."""

from __future__ import annotations

from functools import cached_property

from millrace.schemas.records import LabelValue
from millrace.streams.operators.keyed_state import KeyedState

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
        self._number = ""
        self._newest: dict[str, LabelValue | None] = {}

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._index or event_id in self._newest

    def __getitem__(self, event_id: str) -> LabelValue | None:
        segment = self.segments[self._index.get(event_id, self._number)]
        end: LabelValue | None = segment[event_id]
        return end

    def remember(self, event_id: str, end: LabelValue | None) -> None:
        if not self._number or len(self._newest) >= _SEGMENT_SIZE:
            self._begin_segment()
        self._newest[event_id] = end
        self.segments.touch(self._number)

    @cached_property
    def _index(self) -> dict[str, str]:
        """In which segment before the newest an id is; derived once segments are restored."""
        *older, self._number = self.segments or [""]
        self._newest = self.segments.get(self._number, {})
        return {event_id: number for number in older for event_id in self.segments[number]}

    def _begin_segment(self) -> None:
        index = self._index
        if self._number and len(self._newest) < _SEGMENT_SIZE:
            return  # it was just restored
        index.update(dict.fromkeys(self._newest, self._number))
        self._number, self._newest = str(int(self._number or -1) + 1), {}
        self.segments[self._number] = self._newest
        if len(self.segments) > self._most:
            number, forgotten = self.segments.oldest()
            del self.segments[number]
            for event_id in forgotten:
                index.pop(event_id, None)
