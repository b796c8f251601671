"""Blocks of consecutive events, and what each candidate lost by them: the records `evaluations`.

A block is a hundred events in the order in which they came, all of one champion. It is published
once each of its events has ended, or has waited long enough for its label; blocks are published in
order, too. So no candidate is judged by the labels that happen to come first: where positives are
known within a day, and negatives by silence after a month, a test in the order of labels prefers
whoever predicts too many positives.

How long is enough: `label_default.after` where silence is a label; else four times as long as 95 %
of the labels took so far, at most `pending.ttl`. A label that comes after that is counted, and is
evidence for no candidate. An event without a prediction counts as the worst.

What decides is done record by record; what was lost is added at the end of a slice, in columns.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import accumulate
from math import inf
from typing import NamedTuple, TypedDict, cast

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.incumbents import incumbent_of
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import BlockLosses, Evaluation
from millrace.streams.operators.block_losses import Losses, add, add_whole, compare, nothing_lost
from millrace.streams.operators.joined import JoinedColumns
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import EvaluationRecord, Origin
from millrace.streams.operators.waiting import WaitingEvents, wait_ms

EVENTS = 100
"""How many events a block has, unless the champion or the definition changes on the way."""

LATE = -1
"""In place of a block's number: that block has been published."""

_PROGRESS = "progress"
_DOUBLINGS = 64  # of a millisecond: how finely delays are remembered
_QUANTILE, _TIMES_DELAY = 0.95, 4
_MOST_DELAYS = 10_000  # then each counts half
_KEPT, _TIMES_LOSS = 0.9, 5.0


class Block(TypedDict):
    """A block that is not published.

    Attributes
    ----------
    definition, champion
        What is in force, and who serves.
    first_chunk
        In which chunk of the events that wait its first one is.
    events, waiting
        How many events it has, and how many of them wait.
    first_time_ms, last_time_ms
        The earliest and the latest event time.
    closed_ms
        The latest event time, of it and of those before it; None while events are added.
    loss_bound
        The loss that counts as 1; None where it is not known.
    drifted
        Candidates whose loss drifted while its events came.
    candidates
        Candidate to its losses.
    """

    definition: str
    champion: str
    first_chunk: int
    events: int
    waiting: int
    first_time_ms: int
    last_time_ms: int
    closed_ms: int | None
    loss_bound: float | None
    drifted: list[str]
    candidates: dict[str, BlockLosses]


class Progress(TypedDict):
    """What is remembered of blocks and labels before.

    Attributes
    ----------
    delays
        How many labels took less than 2^n milliseconds of event time, and at least half as long.
    wait_ms
        How long after that labels are waited for.
    late_labels
        Labels of published blocks that came since the last block was published.
    scale
        About how large losses are; None before the first block, and where they are bounded.
    """

    delays: list[float]
    wait_ms: int
    late_labels: int
    scale: float | None


class _Lost(NamedTuple):
    """What a candidate, and its rival, lost by events of a block."""

    block: Block
    losses: BlockLosses
    own: Losses
    rival: Losses


class _Published(NamedTuple):
    """A block to publish, the record that led to it, and the labels that came too late since."""

    number: int
    origin: Origin
    late_labels: int


class EventBlocks:
    """The blocks of one partition that are not published.

    Parameters
    ----------
    pipeline
        The definition.
    definition
        Its reference.
    waiting
        The events that wait.

    Attributes
    ----------
    store
        Number of a block to the block, in order; the last one is being filled.
    progress
        What is remembered of earlier blocks: how long labels took, how many of them were late, and
        how large losses are.
    """

    def __init__(self, pipeline: Pipeline, definition: str, waiting: WaitingEvents) -> None:
        self.store: KeyedState[Block] = KeyedState()
        self.progress: KeyedState[Progress] = KeyedState()
        self._champion = pipeline.champion
        self._definition = definition
        self._waiting = waiting
        self._loss = pipeline.comparison_loss
        self._terms = pipeline.comparison.terms(self._loss.name)
        self._longest_ms = wait_ms(pipeline)
        self._learns_wait = pipeline.label_default is None
        if (wait := pipeline.comparison.wait) is not None:
            self._longest_ms, self._learns_wait = wait // timedelta(milliseconds=1), False
        self._names = frozenset((*pipeline.models, *baselines(Task(pipeline.task))))
        self._first_chunks: list[int] = []  # of each block
        self._oldest = 0
        self._forget_slice()

    def inherit(self, before: EventBlocks) -> None:
        """Go on with what another one keeps; what comes is of another block."""
        self.store, self.progress = before.store, before.progress
        self._waiting = before._waiting
        self._first_chunks, self._oldest = before._first_chunks, before._oldest
        self._cut()
        if self._loss.name != before._loss.name:  # and how large that is, is not known
            self._progress()["scale"] = None
            number, _ = self._filling()
            self._changing(number)["loss_bound"] = self._known_bound

    def serve_by(self, champion: str) -> None:
        """Let a candidate serve; with another one, another block begins."""
        self._champion = champion
        if self._filling()[1]["champion"] != champion:
            self._cut()

    @property
    def room(self) -> int:
        """How many events may come in a run; the one that fills the block comes by itself."""
        return EVENTS - 1 - self._filling()[1]["events"]

    @property
    def deadline_ms(self) -> float:
        """The watermark at which the oldest block is published; infinite if it is being filled."""
        self._filling()
        return self._deadline_ms(self.store[str(self._oldest)])

    def add(self, times_ms: Sequence[int]) -> int:
        """Take events of these times; return the number of their block."""
        number, block = self._filling()
        self.store.mark(str(number))
        if not block["events"]:
            block["first_time_ms"] = block["last_time_ms"] = times_ms[0]
        block["events"] += len(times_ms)
        block["first_time_ms"] = min(block["first_time_ms"], *times_ms)
        block["last_time_ms"] = max(block["last_time_ms"], *times_ms)
        return number

    def add_waiting(self, events: int) -> None:
        """Let so many of the events wait that were added last."""
        number, _ = self._filling()
        self._changing(number)["waiting"] += events

    def close_full(self, origin: Origin) -> None:
        """Let another block begin where this one is full."""
        if self._filling()[1]["events"] >= EVENTS:
            self._close()
            self._publish(-inf, origin)
            self._open()

    def leave(self, chunk: int, origin: Origin, *, is_labelled: bool) -> int:
        """Let an event wait no longer that was in a chunk; return the number of its block."""
        self._filling()
        place = bisect_right(self._first_chunks, chunk) - 1
        if place < 0:
            self._progress()["late_labels"] += is_labelled
            return LATE
        number = self._oldest + place
        block = self._changing(number)
        block["waiting"] -= 1
        if not (place or block["waiting"]):
            self._publish(-inf, origin)
        return number

    def note_joined(self, numbers: Sequence[int], delays_ms: Iterable[int]) -> None:
        """Note the blocks of events that have met their labels, and how long those took."""
        self._numbers += numbers
        self._newest += [self._filling()[0]] * len(numbers)
        if self._learns_wait:
            delays = self._progress()["delays"]
            for doublings, labels in Counter(map(int.bit_length, delays_ms)).items():
                delays[min(doublings, _DOUBLINGS - 1)] += labels
            if sum(delays) > _MOST_DELAYS:
                delays[:] = [each / 2 for each in delays]

    def publish_due(self, watermark_ms: int, origin: Origin) -> None:
        """Publish the blocks that have waited for long enough."""
        self._filling()
        self._publish(watermark_ms, origin)

    def settle(
        self, columns: JoinedColumns | None, drifted: Iterable[tuple[int, str]]
    ) -> list[EvaluationRecord]:
        """Add what was lost in a slice, and return what is published.

        Parameters
        ----------
        columns
            What was joined; None for nothing.
        drifted
            Candidates whose loss drifted, each with the joined event at which that was found.
        """
        for place, name in drifted:
            block = self._changing(self._newest[place])
            block["drifted"] = sorted({*block["drifted"], name})
        lost = [] if columns is None else [*self._lost(columns)]
        if self._loss.is_whole:
            lost = [each for each in lost if not _added(each)]
        for each in lost:
            add(each.losses, each.own)
        if not self._loss.is_bounded:
            self._bound()
        for each in lost:
            if (bound := each.block["loss_bound"]) is not None:
                compare(each.losses, each.own, each.rival, bound)
        made = [*self._evaluations()]
        self._forget_slice()
        return made

    def _forget_slice(self) -> None:
        self._numbers: list[int] = []  # the block of each joined event
        self._newest: list[int] = []  # the block that was being filled then
        self._opened: list[tuple[int, int]] = []  # a block, and how many were published before
        self._published: list[_Published] = []

    def _filling(self) -> tuple[int, Block]:
        """Return the block that is being filled, and its number."""
        if not self._first_chunks:
            self._go_on()
        number = self._oldest + len(self._first_chunks) - 1
        return number, self.store[str(number)]

    def _go_on(self) -> None:
        """Go on with what was restored, or begin."""
        if not self.store:
            self._open()
            return
        self._oldest = int(next(iter(self.store)))
        self._first_chunks = [each["first_chunk"] for each in self.store.values()]
        self._waiting.go_past(self._first_chunks[-1])

    def _publish(self, watermark_ms: float, origin: Origin) -> None:
        """Publish the oldest blocks, as long as each waits for nothing more."""
        while self._first_chunks:
            block = self.store[str(self._oldest)]
            is_open = block["closed_ms"] is None
            if is_open or (block["waiting"] and watermark_ms < self._deadline_ms(block)):
                return
            progress = self._progress()
            late_labels, progress["late_labels"] = progress["late_labels"], 0
            self._published.append(_Published(self._oldest, origin, late_labels))
            self._oldest += 1
            del self._first_chunks[0]

    def _changing(self, number: int) -> Block:
        self.store.mark(str(number))
        return self.store[str(number)]

    def _open(self) -> None:
        number = self._oldest + len(self._first_chunks)
        first_chunk = self._waiting.begin_chunk()
        self._first_chunks.append(first_chunk)
        self._opened.append((number, len(self._published)))
        self.store[str(number)] = {
            "definition": self._definition,
            "champion": self._champion,
            "first_chunk": first_chunk,
            "events": 0,
            "waiting": 0,
            "first_time_ms": 0,
            "last_time_ms": 0,
            "closed_ms": None,
            "loss_bound": self._known_bound,
            "drifted": [],
            "candidates": {},
        }

    def _cut(self) -> None:
        """Let another block begin, unless nothing is in this one."""
        number, block = self._filling()
        if block["events"]:
            self._close()
            self._open()
        else:
            block = self._changing(number)
            block["definition"], block["champion"] = self._definition, self._champion

    def _close(self) -> None:
        """Let no more events come to the block that is being filled."""
        number, block = self._filling()
        closed_ms = block["last_time_ms"]
        if len(self._first_chunks) > 1:
            closed_ms = max(closed_ms, self.store[str(number - 1)]["closed_ms"] or 0)
        self._changing(number)["closed_ms"] = closed_ms
        self._progress()["wait_ms"] = self._enough_ms()

    def _enough_ms(self) -> int:
        """Return how long it is enough to wait for labels, by those that have come."""
        delays = self._progress()["delays"]
        if not (self._learns_wait and any(delays)):
            return self._longest_ms
        reached = [each >= _QUANTILE * sum(delays) for each in accumulate(delays)]
        return min(self._longest_ms, _TIMES_DELAY << reached.index(True))

    def _deadline_ms(self, block: Block) -> float:
        """Return the watermark at which a block is published; infinite if it is being filled.

        No block is due before an older one. What is due changes only where a block is closed.
        """
        closed_ms = block["closed_ms"]
        return inf if closed_ms is None else closed_ms + self._progress()["wait_ms"] + 1

    def _lost(self, columns: JoinedColumns) -> Iterator[_Lost]:
        """Yield what each candidate lost by the events of each block."""
        by_number: dict[int, list[int]] = {}
        for place, number in enumerate(self._numbers):
            by_number.setdefault(number, []).append(place)
        by_number.pop(LATE, None)
        for number, places in by_number.items():
            block = self._changing(number)
            always = self._names if block["definition"] == self._definition else frozenset()
            for name, column in columns.comparison.items():
                asked = places
                if name not in always:
                    asked = [at for at in places if name in columns.joined[at].predicted]
                if asked:
                    losses = _losses_of(name, block)
                    own, rival = _at(asked, column), losses["rival"]
                    others = own if rival == name else _at(asked, columns.comparison[rival])
                    yield _Lost(block, losses, own, others)

    def _progress(self) -> Progress:
        return self.progress.changing(
            _PROGRESS,
            lambda: Progress(
                delays=[0.0] * _DOUBLINGS, wait_ms=self._longest_ms, late_labels=0, scale=None
            ),
        )

    @property
    def _known_bound(self) -> float | None:
        return 1.0 if self._loss.is_bounded else None

    def _bound(self) -> None:
        """Bound the losses of the blocks that have begun, by what was published before each."""
        progress = self._progress()
        opened = iter([*self._opened, (LATE, len(self._published))])
        number, before = next(opened)
        for at, published in enumerate([*(each.number for each in self._published), LATE]):
            while number != LATE and before <= at:
                if scale := progress["scale"]:
                    self._changing(number)["loss_bound"] = _TIMES_LOSS * scale
                number, before = next(opened)
            if published != LATE and (mean := self._mean_loss(published)) is not None:
                scale = progress["scale"]
                progress["scale"] = mean if scale is None else _KEPT * scale + (1 - _KEPT) * mean

    def _mean_loss(self, number: int) -> float | None:
        """Return the mean loss of the best candidate in a block; None where that tells nothing."""
        block = self.store[str(number)]
        return _least_mean(block) if block["definition"] == self._definition else None

    def _evaluations(self) -> Iterator[EvaluationRecord]:
        """Yield what is published, where there are labels."""
        for number, origin, late_labels in self._published:
            block = self.store[str(number)]
            del self.store[str(number)]
            if not block["candidates"]:
                continue
            value: Evaluation = {
                "partition": origin.partition,
                "number": number,
                "definition": block["definition"],
                "champion": block["champion"],
                "first_time_ms": block["first_time_ms"],
                "last_time_ms": block["last_time_ms"],
                "events": block["events"],
                "late_labels": late_labels,
                "failures": 0,
                "loss_bound": block["loss_bound"],
                "drifted": block["drifted"],
                "terms": self._terms,
                "candidates": block["candidates"],
            }
            yield EvaluationRecord(value, origin)


def _at(places: Sequence[int], column: Losses) -> Losses:
    """Return the values at places of a column, which are in order."""
    first, last = places[0], places[-1]
    if last - first < len(places):
        return column[first : last + 1]
    return [column[each] for each in places]


def _added(lost: _Lost) -> bool:
    """Add losses that are 0 or 1; return whether each is there."""
    if None in lost.own or None in lost.rival:
        return False
    add_whole(lost.losses, cast(Sequence[float], lost.own), cast(Sequence[float], lost.rival))
    return True


def _losses_of(name: str, block: Block) -> BlockLosses:
    """Return the losses of a candidate, which are kept in the order of the names."""
    known = block["candidates"]
    if name not in known:
        incumbent = incumbent_of(name)
        rival = block["champion"] if incumbent == name else incumbent
        block["candidates"] = known = dict(sorted({**known, name: nothing_lost(rival)}.items()))
    return known[name]


def _least_mean(block: Block) -> float | None:
    """Return the mean loss of the candidate that lost least; None where none made a prediction."""
    means = [
        each["loss"] / count
        for each in block["candidates"].values()
        if (count := each["events"] - each["missing"])
    ]
    return min(means, default=None)
