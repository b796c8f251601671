"""Events in the order in which they came, each given back once it and all before it have ended.

An event that has waited for long enough holds up none of those behind it: its own label comes too
late for what is learned in this order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    wanted
        In which share of events labels were to be inside.
    threshold
        That was in force; None where none was.
    scores
        Once it has met its label; empty where it ended without one, None while it waits.
    is_passed
        Whether it has waited for long enough.

    Attributes
    ----------
    name
        By which it is kept: its id, or another one once a later event has the same.
    """

    __slots__ = (
        *("block", "time_ms", "key", "champion", "wanted", "threshold", "scores", "is_passed"),
        "name",
    )

    def __init__(
        self,
        block: int,
        time_ms: int,
        key: str,
        champion: str,
        wanted: float,
        threshold: float | None,
        scores: Scores | None = None,
        is_passed: bool = False,
    ) -> None:
        self.block = block
        self.time_ms = time_ms
        self.key = key
        self.champion = champion
        self.wanted = wanted
        self.threshold = threshold
        self.scores = scores
        self.is_passed = is_passed
        self.name = ""

    def to_fields(self) -> list[object]:
        """Return what is saved of it, but for the block."""
        served = self.time_ms, self.key, self.champion, self.wanted, self.threshold
        return [*served, self.scores, self.is_passed]


class ServedByBlock(KeyedState[dict[str, Served]]):
    """By number of a block, the events of that block by name, in order."""

    def saved_form(self, value: dict[str, Served]) -> object:
        return {event_id: each.to_fields() for event_id, each in value.items()}

    def restore(self, changes: Iterable[Change]) -> None:
        super().restore(changes)
        for number, saved in self.items():
            events = cast(Mapping[str, Any], saved).items()
            self.replace(number, {name: _named(name, int(number), each) for name, each in events})


class EventOrder:
    """The events of one partition that wait, or that follow one that does.

    An id is known for as long as its event waits. An event that has ended, and follows one that
    waits, may be here for longer than the label join remembers it. Then its id may come again.

    Attributes
    ----------
    store
        Its state.
    """

    def __init__(self) -> None:
        self.store = ServedByBlock()
        self._by_name: dict[str, Served] | None = None  # made once the state is restored
        self._in_order: deque[Served] = deque()  # without those that were passed

    @property
    def is_empty(self) -> bool:
        """Whether no event is there that holds up those behind it."""
        return not (self._known and self._in_order)

    def add(self, event_id: str, served: Served) -> None:
        """Add the event that came last."""
        if event_id in self._known:
            self._rename(event_id)
        served.name = event_id
        self._known[event_id] = served
        self._in_order.append(served)
        self.store.changing(str(served.block), dict)[event_id] = served

    def end(self, event_id: str, scores: Scores) -> Served | None:
        """Note that an event has ended; return it, or None where it is not known."""
        served = self._known.get(event_id)
        if served is None:
            return None
        if served.is_passed:
            self._forget(served)
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
            served = in_order[0]
            if served.scores is not None:
                in_order.popleft()
                self._forget(served)
                yield served
            elif served.time_ms < passed_ms:
                in_order.popleft()
                self.store.mark(str(served.block))
                served.is_passed = True
            else:
                return

    def clear(self) -> None:
        """Forget all."""
        for served in [*self._known.values()]:
            self._forget(served)
        self._in_order.clear()

    @property
    def _known(self) -> dict[str, Served]:
        if self._by_name is None:
            self._by_name = {}
            for _, events in sorted(self.store.items(), key=lambda each: int(each[0])):
                self._by_name.update(events)
            self._in_order.extend(each for each in self._by_name.values() if not each.is_passed)
        return self._by_name

    def _rename(self, event_id: str) -> None:
        """Keep an event that has ended under another name, in its place."""
        served = self._known.pop(event_id)
        name = f"{event_id}'"
        while name in self._known:
            name += "'"
        served.name = name
        self._known[name] = served
        number = str(served.block)
        self.store.mark(number)
        self.store.replace(number, {each.name: each for each in self.store[number].values()})

    def _forget(self, served: Served) -> None:
        number = str(served.block)
        self.store.mark(number)
        del self._known[served.name]
        events = self.store[number]
        del events[served.name]
        if not events:
            del self.store[number]


def _named(name: str, block: int, saved: Sequence[Any]) -> Served:
    served = Served(block, *saved)
    served.name = name
    return served
