"""A bounded memory of what became of events gone by, by which repeats are told apart."""

from __future__ import annotations

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
        self._segment_of: dict[str, str] | None = None

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._index

    def __getitem__(self, event_id: str) -> LabelValue | None:
        end: LabelValue | None = self.segments[self._index[event_id]][event_id]
        return end

    def remember(self, event_id: str, end: LabelValue | None) -> None:
        index, number = self._index, self._current()
        self.segments[number][event_id] = end
        self.segments.touch(number)
        index[event_id] = number

    @property
    def _index(self) -> dict[str, str]:
        """Where each id is; derived from the segments once they are restored."""
        if self._segment_of is None:
            self._segment_of = {
                event_id: number for number in self.segments for event_id in self.segments[number]
            }
        return self._segment_of

    def _current(self) -> str:
        """Return the number of the segment that has room."""
        numbers = [*self.segments][-1:]
        if numbers and len(self.segments[numbers[0]]) < _SEGMENT_SIZE:
            return str(numbers[0])
        number = str(int(numbers[0]) + 1) if numbers else "0"
        self.segments[number] = {}
        oldest = self.segments.oldest()
        if oldest is not None and len(self.segments) > self._most:
            del self.segments[oldest[0]]
            for event_id in oldest[1]:
                self._index.pop(event_id, None)
        return number
