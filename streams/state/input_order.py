"""The order in which a task takes records from several topics.

One topic partition is a log, whose order never changes. Where a task with state reads more than
one (events, labels and commands, when ingest shares its agent), only the worker knows how they
interleaved, and a model depends on it. So the order is noted with each batch, as runs of one topic,
and followed when records are folded again (`streams.state.order_log`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from math import inf
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import structlog

from millrace.streams.operators.record import Origin

Run: TypeAlias = tuple[str, int]
"""A topic, and the offset of its last record before those of another topic."""

_MOST_WAITING = 5_000  # records of a topic, until no more of them are read for a while
_FEW_WAITING = 500

_NOTHING: Mapping[str, int] = MappingProxyType({})
_time_ms = attrgetter("timestamp_ms")

_log = structlog.get_logger(__name__)


class Note(NamedTuple):
    """The order of the records of a batch.

    Attributes
    ----------
    begins
        Topic to the first offset that had not been taken before.
    runs
        What was taken then, in order.
    offset
        Where the note is on its topic, if it was read there.
    is_second
        Whether records of it had been taken before, in an order that is not known.
    """

    begins: Mapping[str, int]
    runs: Sequence[Run]
    offset: int = 0
    is_second: bool = False


class InputOrder:
    """The order of one task's inputs: followed as far as it is noted, and noted from there on.

    Records that were taken when no order was noted yet, as earlier releases did, are taken as they
    come. Runs that the task is behind already are passed over, and so is what is not there any
    more: nothing is waited for that cannot come.

    Parameters
    ----------
    begins
        Topic to the first offset that will arrive.
    notes
        What is noted, oldest first; read as it is needed, for it may be long.
    ends
        Topic to the offset behind the last record that there is.
    folded
        Topic to the offset behind the last record that was folded before, now or by another worker.
    unkept
        The first of the notes, if it is not kept among them yet: it is to be written.

    Examples
    --------
    >>> def read(topic, offset):
    ...     return Origin(topic, 0, offset, 0, None, None)
    >>> begins = {"events": 0, "labels": 0}
    >>> order = InputOrder(begins, [Note(begins, [("labels", 0), ("events", 1)])])
    >>> [(o.topic, o.offset) for o in order.arrange([read("events", 0), read("events", 1)])]
    []
    >>> [(o.topic, o.offset) for o in order.arrange([read("labels", 0), read("labels", 1)])]
    [('labels', 0), ('events', 0), ('events', 1), ('labels', 1)]
    >>> order.note([read("labels", 1)], {"events": 2, "labels": 1})
    >>> order.take_notes()
    [Note(begins={'events': 2, 'labels': 1}, runs=[('labels', 1)], offset=0, is_second=False)]
    """

    def __init__(
        self,
        begins: Mapping[str, int],
        notes: Iterable[Note] = (),
        *,
        ends: Mapping[str, int] = _NOTHING,
        folded: Mapping[str, int] = _NOTHING,
        unkept: Note | None = None,
    ) -> None:
        self._ends = ends
        self._folded = folded
        self._next = dict(begins)
        self._waiting: dict[str, deque[Origin]] = {topic: deque() for topic in begins}
        self._ahead: frozenset[str] = frozenset()
        self._noted: dict[str, int] = {}
        self._unknown: set[str] = set()
        self._unkept = [] if unkept is None else [unkept]
        self._begins: Mapping[str, int] = {}
        self._runs: list[Run] = []
        self._is_second = False
        self._notes = chain(self._unkept, notes)
        self._followed: deque[Run] = deque()
        self._read_note()

    def arrange(self, arriving: list[Origin]) -> list[Origin]:
        """Return the records whose turn it is, in order; the others wait."""
        if self._note is None:
            return arriving
        for origin in arriving:
            self._waiting[origin.topic].append(origin)
        arranged = self._follow()
        if self._note is None:
            arranged += by_time(self._waiting)
            self._waiting = {topic: deque() for topic in self._waiting}
        return arranged

    def note(self, run: Sequence[Origin], begins: Mapping[str, int]) -> None:
        """Note that records of one topic are folded, unless the notes have them already.

        Parameters
        ----------
        run
            The records, in order.
        begins
            Topic to the next offset, before the run.
        """
        last, known = run[-1], self._noted.get(run[-1].topic, 0)
        if last.offset < known:
            return
        if max(run[0].offset, known) < self._folded.get(last.topic, 0):
            self._tell_unknown(last)
            self._is_second = True
        if not self._runs:
            self._begins = dict(begins)
        elif self._runs[-1][0] == last.topic:
            self._runs.pop()
        self._runs.append((last.topic, last.offset))

    def take_notes(self) -> list[Note]:
        """Return what is to be kept since the last call."""
        notes, self._unkept = self._unkept, []
        if self._runs:
            notes = [*notes, Note(self._begins, self._runs, is_second=self._is_second)]
            self._runs, self._is_second = [], False
        return notes

    @property
    def followed(self) -> Note | None:
        """The note that is followed now; None where the end has been reached."""
        return self._note

    @property
    def ahead(self) -> frozenset[str]:
        """The topics of which so many records wait that no more are to be read."""
        self._ahead = frozenset(
            topic
            for topic, waiting in self._waiting.items()
            if len(waiting) > (_FEW_WAITING if topic in self._ahead else _MOST_WAITING)
        )
        return self._ahead

    def _read_note(self) -> None:
        self._note = next(self._notes, None)
        if self._note is None:
            return
        runs = [
            (topic, last)
            for topic, last in self._note.runs
            if self._next.get(topic, inf) <= last < self._ends.get(topic, inf)
        ]
        self._followed.extend(runs)
        for topic, offset in (*self._note.begins.items(), *((topic, at + 1) for topic, at in runs)):
            self._noted[topic] = max(self._noted.get(topic, 0), offset)

    def _follow(self) -> list[Origin]:
        """Take what is noted, as far as the records have arrived."""
        arranged = self._take_unknown()
        while self._note is not None:
            if not self._followed:
                self._read_note()
                arranged += self._take_unknown()
                continue
            topic, last = self._followed[0]
            taken = self._take(topic, last + 1)
            arranged += taken
            if self._is_over(topic, last):
                self._followed.popleft()
            elif not taken:
                break
        return arranged

    def _take(self, topic: str, end: int) -> list[Origin]:
        """Take the records of a topic that wait and are before an offset."""
        waiting, taken = self._waiting[topic], list[Origin]()
        while waiting and waiting[0].offset < end:
            taken.append(waiting.popleft())
        if taken:
            self._next[topic] = max(self._next[topic], taken[-1].offset + 1)
        return taken

    def _take_unknown(self) -> list[Origin]:
        """Take what waits and was taken before all that is noted, as it comes."""
        if self._note is None:
            return []
        begins = self._note.begins
        taken = {topic: self._take(topic, begins.get(topic, 0)) for topic in self._waiting}
        for records in filter(None, taken.values()):
            self._tell_unknown(records[-1])
        return [*by_time(taken)]

    def _is_over(self, topic: str, last: int) -> bool:
        """Whether no more records of a run come: its last was taken, or the next is behind it."""
        waiting = self._waiting[topic]
        return self._next[topic] > last or bool(waiting and waiting[0].offset > last)

    def _tell_unknown(self, origin: Origin) -> None:
        """Say once that an order is not known, where there is one: between several topics."""
        is_said = len(self._unknown) > 1
        self._unknown.add(origin.full_topic or origin.topic)
        if len(self._unknown) > 1 and not is_said:
            _log.warning(
                "the order of records of several topics is not in the log: they are folded as they"
                " come, which need not be as they were before",
                topics=sorted(self._unknown),
                partition=origin.partition,
                up_to_offset=origin.offset,
            )


def by_time(topics: Mapping[str, Sequence[Origin]]) -> Iterable[Origin]:
    """Merge topics: of their next records the earliest is first, of equal times by topic.

    A record that is earlier than one before it in its topic follows that one at once. So each
    counts from the latest time that its topic has reached.
    """
    if len(topics) == 1:
        return next(iter(topics.values()))
    origins: list[Origin] = []
    reached: list[int] = []
    for _, topic in sorted(topics.items()):
        origins += topic
        reached += accumulate(map(_time_ms, topic), max)
    return map(origins.__getitem__, sorted(range(len(origins)), key=reached.__getitem__))
