"""Events in the order in which they came, each given back once it and all before it have ended.

An event that has waited for long enough holds up none of those behind it: its own label comes too
late for what is learned in this order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from millrace.streams.operators.keyed_state import Change, KeyedState

Scores: TypeAlias = dict[str, float | None]
"""Candidate to how wrong it was about an event; None where it made no prediction."""


class Served:
    """What an event was served with.

    Parameters
    ----------
    block
        Number of its block.
    time_ms
        Its time.
    key
        By which thresholds are kept apart.
    champion
        Whose prediction was published.
    threshold
        That was in force; None where none was.
    scores
        Once it has met its label; empty where it ended without one, None while it waits.
    is_passed
        Whether it has waited for long enough.
    """

    __slots__ = ("block", "champion", "is_passed", "key", "scores", "threshold", "time_ms")

    def __init__(
        self,
        block: int,
        time_ms: int,
        key: str,
        champion: str,
        threshold: float | None,
        scores: Scores | None = None,
        is_passed: bool = False,
    ) -> None:
        self.block = block
        self.time_ms = time_ms
        self.key = key
        self.champion = champion
        self.threshold = threshold
        self.scores = scores
        self.is_passed = is_passed

    def to_fields(self) -> list[object]:
        """Return what is saved of it, but for the block."""
        what = self.time_ms, self.key, self.champion, self.threshold, self.scores, self.is_passed
        return [*what]


class ServedByBlock(KeyedState[dict[str, Served]]):
    """By number of a block, the events of that block by id."""

    def saved_form(self, value: dict[str, Served]) -> object:
        return {event_id: each.to_fields() for event_id, each in value.items()}

    def restore(self, changes: Iterable[Change]) -> None:
        super().restore(changes)
        for number, saved in self.items():
            events = cast(Mapping[str, Any], saved).items()
            self.replace(number, {name: Served(int(number), *each) for name, each in events})


class EventOrder:
    """The events of one partition that wait, or that follow one that does.

    Attributes
    ----------
    store
        Its state.
    """

    def __init__(self) -> None:
        self.store = ServedByBlock()
        self._by_id: dict[str, Served] | None = None  # made once the state is restored
        self._in_order: deque[tuple[str, Served]] = deque()  # without those that were passed

    @property
    def is_empty(self) -> bool:
        """Whether no event is there that holds up those behind it."""
        return not (self._known and self._in_order)

    def add(self, event_id: str, served: Served) -> None:
        """Add the event that came last."""
        self._known[event_id] = served
        self._in_order.append((event_id, served))
        self.store.changing(str(served.block), dict)[event_id] = served

    def end(self, event_id: str, scores: Scores) -> Served | None:
        """Note that an event has ended; return it, or None where it is not known."""
        served = self._known.get(event_id)
        if served is None:
            return None
        if served.is_passed:
            self._forget(event_id, served)
        else:
            self.store.mark(str(served.block))
            served.scores = scores
        return served

    def take(self, passed_ms: float) -> Iterator[Served]:
        """Remove and yield the first events that have ended, in order.

        Parameters
        ----------
        passed_ms
            Events of earlier times have waited for long enough.
        """
        in_order = self._in_order
        while in_order:
            event_id, served = in_order[0]
            if served.scores is not None:
                in_order.popleft()
                self._forget(event_id, served)
                yield served
            elif served.time_ms < passed_ms:
                in_order.popleft()
                self.store.mark(str(served.block))
                served.is_passed = True
            else:
                return

    def clear(self) -> None:
        """Forget all."""
        for event_id, served in [*self._known.items()]:
            self._forget(event_id, served)
        self._in_order.clear()

    @property
    def _known(self) -> dict[str, Served]:
        known = self._by_id
        if known is None:
            known = self._by_id = {}
            for _, events in sorted(self.store.items(), key=lambda each: int(each[0])):
                known.update(events)
            self._in_order.extend((name, e) for name, e in known.items() if not e.is_passed)
        return known

    def _forget(self, event_id: str, served: Served) -> None:
        number = str(served.block)
        self.store.mark(number)
        del self._known[event_id]
        events = self.store[number]
        del events[event_id]
        if not events:
            del self.store[number]
