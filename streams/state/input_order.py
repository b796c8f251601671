"""The order in which a task took records from several topics.

One topic partition is a log, whose order never changes. Where a task with state reads more than
one (events and labels, when ingest shares its agent), only the worker knows how they interleaved,
and a model depends on it. So the order is written with the batch, as runs of one topic, and
followed when records are replayed after a crash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

from millrace.streams.operators.record import Origin

Run: TypeAlias = tuple[str, int]
"""A topic, and the offset of its last record before those of another topic."""


class InputOrder:
    """The order of one task's inputs: followed as far as it is recorded, then recorded.

    Parameters
    ----------
    recorded
        Runs to follow first.
    begins
        Topic to the first offset that will arrive: runs that end before it are not waited for.

    Examples
    --------
    >>> def read(topic, offset):
    ...     return Origin(topic, 0, offset, 0, None, None)
    >>> order = InputOrder([("labels", 0), ("events", 1)])
    >>> [(o.topic, o.offset) for o in order.arrange([read("events", 0), read("events", 1)])]
    []
    >>> [(o.topic, o.offset) for o in order.arrange([read("labels", 0), read("labels", 1)])]
    [('labels', 0), ('events', 0), ('events', 1), ('labels', 1)]
    >>> order.take_runs()
    [('labels', 1)]
    """

    def __init__(
        self, recorded: Iterable[Run] = (), begins: Mapping[str, int] | None = None
    ) -> None:
        first = begins or {}
        self._recorded = deque(run for run in recorded if run[1] >= first.get(run[0], 0))
        self._waiting: dict[str, deque[Origin]] = {}
        self._runs: list[Run] = []

    def arrange(self, arriving: list[Origin]) -> list[Origin]:
        """Return the records whose turn it is, in order; the others wait."""
        if not self._recorded:
            self._record(arriving)
            return arriving
        for origin in arriving:
            self._waiting.setdefault(origin.topic, deque()).append(origin)
        arranged = self._follow()
        if not self._recorded:
            rest = [each for waiting in self._waiting.values() for each in waiting]
            self._waiting.clear()
            self._record(rest)
            arranged += rest
        return arranged

    def runs_to_follow(self) -> list[Run]:
        """Return the recorded runs whose records have not all arrived yet."""
        return [*self._recorded]

    def take_runs(self) -> list[Run]:
        """Return the runs recorded since the last call."""
        runs, self._runs = self._runs, []
        return runs

    def _follow(self) -> list[Origin]:
        """Take the recorded runs, as far as their records have arrived."""
        arranged = []
        while self._recorded:
            topic, last = self._recorded[0]
            waiting = self._waiting.get(topic, deque())
            while waiting and waiting[0].offset <= last:
                arranged.append(waiting.popleft())
                if arranged[-1].offset == last:
                    self._recorded.popleft()
                    break
            else:
                break  # the run's last record has not arrived yet
        return arranged

    def _record(self, origins: list[Origin]) -> None:
        for topic, run in groupby(origins, attrgetter("topic")):
            if self._runs and self._runs[-1][0] == topic:
                self._runs.pop()
            self._runs.append((topic, [*run][-1].offset))
