"""A bounded memory of events that have ended, by which duplicates are recognised."""

from __future__ import annotations

from functools import cached_property

from millrace.schemas.records import LabelValue
from millrace.streams.operators.keyed_state import KeyedState

_SEGMENT_SIZE = 1_000


class EndedEvents:
    """Event id to the label that was learned, or to None where the event ended without one.

    Ids are kept in segments of a thousand, each one entry of the state, so that remembering an
    event costs no write of its own; the oldest segment is evicted as a whole.

    Parameters
    ----------
    limit
        Newest ids that are always remembered; up to two segments more may be.
    """

    def __init__(self, limit: int) -> None:
        self.segments: KeyedState[dict[str, LabelValue | None]] = KeyedState()
        self._most_segments = -(-limit // _SEGMENT_SIZE) + 1
        self._number = ""
        self._newest: dict[str, LabelValue | None] = {}

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._index or event_id in self._newest

    def __getitem__(self, event_id: str) -> LabelValue | None:
        return self.segments[self._index.get(event_id, self._number)][event_id]

    def add(self, event_id: str, label: LabelValue | None) -> None:
        """Remember an event, which is not known yet."""
        if not self._number or len(self._newest) >= _SEGMENT_SIZE:
            self._start_segment()
        self._newest[event_id] = label
        self.segments.touch(self._number)

    @cached_property
    def _index(self) -> dict[str, str]:
        """The segment of each id that is not in the newest; made once segments are restored."""
        *older, self._number = self.segments or [""]
        self._newest = self.segments.get(self._number, {})
        return {event_id: number for number in older for event_id in self.segments[number]}

    def _start_segment(self) -> None:
        index = self._index
        if self._number and len(self._newest) < _SEGMENT_SIZE:
            return  # it was just restored, and is not full
        index.update(dict.fromkeys(self._newest, self._number))
        self._number, self._newest = str(int(self._number or -1) + 1), {}
        self.segments[self._number] = self._newest
        if len(self.segments) > self._most_segments:
            number, evicted = self.segments.oldest()
            del self.segments[number]
            for event_id in evicted:
                index.pop(event_id, None)
