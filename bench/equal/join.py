"""Where a label meets its event: what waits, and what has ended, up to a limit of each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from bench.equal.wire import Event, Predicted

_LIMIT = 100_000
_TTL_MS = 7 * 24 * 3_600_000


class LabelJoin:
    """Keeps events until their labels come, labels until their events come, and the ids of both.

    Attributes
    ----------
    waiting
        Event id to an event without a label, and what was predicted for it.
    early
        Event id to a label whose event has not come.
    ended
        Event id to the label that was learned; None if the event got none.
    """

    def __init__(self) -> None:
        self.waiting: OrderedDict[str, tuple[Event, Predicted]] = OrderedDict()
        self.early: OrderedDict[str, bool] = OrderedDict()
        self.ended: OrderedDict[str, bool | None] = OrderedDict()

    def knows(self, event_id: str) -> bool:
        """Whether an event with this id has come before."""
        return event_id in self.ended or event_id in self.waiting

    def end(self, event_id: str, label: bool | None) -> None:
        self.ended[event_id] = label
        if len(self.ended) > _LIMIT:
            self.ended.popitem(last=False)

    def surplus(self, now_ms: int) -> Iterator[tuple[Event, str]]:
        """End the events that have waited for too long, and those that are too many."""
        while self.waiting:
            event, _ = self.waiting[next(iter(self.waiting))]
            if event.time_ms < now_ms - _TTL_MS:
                fate = "expired"
            elif len(self.waiting) > _LIMIT:
                fate = "evicted"
            else:
                return
            self.waiting.popitem(last=False)
            self.end(event.event_id, None)
            yield event, fate

    def orphans(self) -> Iterator[tuple[str, bool]]:
        """Drop the labels that are too many."""
        while len(self.early) > _LIMIT:
            yield self.early.popitem(last=False)
