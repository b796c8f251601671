"""What features had to leave out, since state is bounded: counted in state, and said once.

A window with more values than are aggregated is cut: each event that sees one is counted under the
feature's first name. Entries of a store that had to go, since there were too many or they were too
large, are counted under the store's name.
"""

from __future__ import annotations

from collections.abc import Iterator

from millrace.schemas.records import Alert, Event
from millrace.streams.operators.base import Reading
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import AlertRecord, Origin


class LeftOut:
    """Counts what is left out, and makes an alert when a count begins.

    Attributes
    ----------
    cut
        First name of a feature to how many events saw a window that was cut.
    evicted
        Name of a store to how many of its entries were evicted.
    """

    def __init__(self) -> None:
        self.cut: KeyedState[int] = KeyedState()
        self.evicted: KeyedState[int] = KeyedState()
        self._counts = {"cut": self.cut, "evicted": self.evicted}
        self._said: set[tuple[str, str]] | None = None

    def count_evicted(self, store: str, _key: str) -> None:
        """Count an entry of a store that was evicted."""
        self.evicted[store] = self.evicted.get(store, 0) + 1

    def begin(self) -> None:
        """Note what had been counted when state was restored: it was said then."""
        if self._said is None:
            self._said = {*self._begun()}

    def alerts(self, event: Event, origin: Origin) -> list[AlertRecord]:
        """Return an alert of each count that has begun since the last call."""
        assert self._said is not None
        if len(self.cut) + len(self.evicted) == len(self._said):
            return []
        begun = [each for each in self._begun() if each not in self._said]
        self._said.update(begun)
        return [AlertRecord(_alert(*each, event), origin) for each in begun]

    def readings(self) -> Iterator[Reading]:
        """Return each count."""
        for what, counts in self._counts.items():
            for which, count in [*counts.items()]:
                yield Reading(f"windows_{what}", (which,), count)

    def _begun(self) -> Iterator[tuple[str, str]]:
        for what, counts in self._counts.items():
            yield from ((what, which) for which in counts)


def _alert(what: str, which: str, event: Event) -> Alert:
    """Return an alert whose value is 1 for an event that something was left out at, else 0."""
    return Alert(
        source=f"{what}:{which}",
        detector="bounds",
        event_id=event["event_id"],
        event_time_ms=event["event_time_ms"],
        position=1,
        mean_before=0.0,
        mean_after=1.0,
        action="alert",
        model="",
        model_version=0,
        detail="",
        reasons=[],
    )
