"""The blocks of events that are not published: when one is full, and when it is published.

Blocks are published in order, each once none of its events waits for its label any more, or they
have waited long enough. How long is enough is a function of the log, and changes only where a block
is closed: `promotion.wait`; else `label_default.after` where silence is a label; else four times as
long as 95 % of the labels took so far (`label_delays`), at most `pending.ttl`. It counts from the
latest event of the block, and of those before it, so that no block is due before an older one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta
from math import inf
from operator import attrgetter
from typing import NamedTuple

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import BlockCertainty
from millrace.streams.operators import label_delays
from millrace.streams.operators.block_state import EVENTS, LATE, Block, Progress
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import Origin
from millrace.streams.operators.waiting import WaitingEvents, wait_ms

AT_ONCE_MS = -(2**63)
"""A watermark at which only blocks are published of which no event waits."""

_PROGRESS = "progress"


class Opened(NamedTuple):
    """A block that began in a slice, and how many were published and labels noted by then."""

    number: int
    published: int
    labels: int


class Published(NamedTuple):
    """A block to publish, or a report of a failure while it was being filled.

    Attributes
    ----------
    number
        Of the block.
    origin
        The record that led to it.
    labels
        How many labels of the slice had been noted by then: at least those before that record.
    late_labels, failures
        Labels that came too late, and events without a prediction of the champion's, since the last
        one.
    failed_ms
        Of a report, the time of the event; None for a block.
    """

    number: int
    origin: Origin
    labels: int
    late_labels: int
    failures: int
    failed_ms: int | None = None


class BlockQueue:
    """The blocks of one partition that are not published, in order.

    Parameters
    ----------
    pipeline
        The definition.
    definition
        Its reference.
    waiting
        The events that wait. Those of a block are in chunks of their own, by which it is known.

    Attributes
    ----------
    store
        Number of a block to the block, in order; the last one is being filled.
    progress
        What is remembered of earlier blocks: how long labels took, how many of them were late, and
        how large losses are.
    waiting
        The events that wait.
    opened, published
        What has begun in a slice, and what is to be published.
    labels
        How many labels have been noted in a slice.
    terms
        By what the candidates of the next block are judged.
    oldest
        Number of the oldest block that is not published.
    longest_ms
        The longest that is waited for labels.
    """

    def __init__(self, pipeline: Pipeline, definition: str, waiting: WaitingEvents) -> None:
        self.store: KeyedState[Block] = KeyedState()
        self.progress: KeyedState[Progress] = KeyedState()
        self._champion, self._command = pipeline.champion, 0
        self._definition = definition
        self.waiting = waiting
        loss, wait = pipeline.comparison_loss, pipeline.comparison.wait
        self.terms = pipeline.comparison.terms(loss.name)
        self._first_bound = 1.0 if loss.is_bounded else None
        self._conformal = pipeline.certainty
        self._learns_wait = wait is None and pipeline.label_default is None
        self.longest_ms = wait_ms(pipeline)
        if wait is not None:
            self.longest_ms = wait // timedelta(milliseconds=1)
        self._first_chunks: list[int] = []  # of each block
        self.oldest = 0
        self.forget_slice()

    def forget_slice(self) -> None:
        """Begin another slice."""
        self.opened: list[Opened] = []
        self.published: list[Published] = []
        self.labels = 0

    def inherit(self, before: BlockQueue) -> None:
        """Go on with what another one keeps; what comes is of another block."""
        self.store, self.progress = before.store, before.progress
        self.waiting = before.waiting
        self._first_chunks, self.oldest = before._first_chunks, before.oldest
        self._cut()
        if self.terms["metric"] != before.terms["metric"]:  # and how large losses are, is not known
            self.changing_progress()["scale"] = None
            self.changing(self.filling()[0])["loss_bound"] = self._first_bound

    def serve_by(self, champion: str, command: int) -> None:
        """Let a candidate serve, as of a command; with another one, another block begins."""
        self._champion, self._command = champion, command
        _, block = self.filling()
        if block["champion"] != champion:
            self._cut()
            self.changing_progress()["is_told"] = False
        elif not block["events"] and block["command"] != command:
            self._cut()

    def __getitem__(self, number: int) -> Block:
        return self.store[str(number)]

    def changing(self, number: int) -> Block:
        """Return a block, to be changed in place."""
        self.store.mark(str(number))
        return self.store[str(number)]

    def changing_progress(self) -> Progress:
        """Return what is remembered, to be changed in place."""
        return self.progress.changing(
            _PROGRESS,
            lambda: Progress(
                delays=label_delays.no_delays(),
                wait_ms=self.longest_ms,
                late_labels=0,
                failures=0,
                is_told=False,
                scale=None,
            ),
        )

    def filling(self) -> tuple[int, Block]:
        """Return the number of the block that is being filled, and the block."""
        if not self._first_chunks:
            self._go_on()
        number = self.oldest + len(self._first_chunks) - 1
        return number, self.store[str(number)]

    def number_of(self, chunk: int) -> int:
        """Return the number of the block whose events wait in a chunk."""
        self.filling()
        place = bisect_right(self._first_chunks, chunk) - 1
        return LATE if place < 0 else self.oldest + place

    def filled_at(self, label: int) -> int:
        """Return the number of the block that was being filled when a label of a slice came."""
        begun = bisect_right(self.opened, label, key=attrgetter("labels"))
        if begun:
            return self.opened[begun - 1].number
        return self.opened[0].number - 1 if self.opened else self.filling()[0]

    @property
    def due_ms(self) -> float:
        """The watermark at which the oldest block is published; infinite if it is being filled."""
        self.filling()
        block = self[self.oldest]
        if block["closed_ms"] is None:
            return inf
        if not block["waiting"]:
            return AT_ONCE_MS
        return block["closed_ms"] + self.changing_progress()["wait_ms"] + 1

    def add(self, times_ms: Sequence[int], waiting: int = 0) -> int:
        """Take events of these times, of which so many wait; return the number of their block."""
        number, _ = self.filling()
        block = self.changing(number)
        if not block["events"]:
            block["first_time_ms"] = block["last_time_ms"] = times_ms[0]
        block["events"] += len(times_ms)
        block["waiting"] += waiting
        block["first_time_ms"] = min(block["first_time_ms"], *times_ms)
        block["last_time_ms"] = max(block["last_time_ms"], *times_ms)
        return number

    def note_delays(self, doublings: Sequence[int]) -> None:
        """Note how long labels took that have met their events (`label_delays`)."""
        if self._learns_wait:
            label_delays.note(self.changing_progress()["delays"], doublings)

    def close_full(self, origin: Origin) -> None:
        """Let another block begin where this one is full."""
        if self.filling()[1]["events"] >= EVENTS:
            self._close()
            self.publish(AT_ONCE_MS, origin)
            self._open()

    def leave(self, number: int, origin: Origin, *, is_labelled: bool, events: int = 1) -> int:
        """Let events of a block wait no longer; return the number of the block, or `LATE`.

        Parameters
        ----------
        origin
            Of the record that ends the last of them.
        """
        if number < self.oldest:
            self.changing_progress()["late_labels"] += events if is_labelled else 0
            return LATE
        block = self.changing(number)
        block["waiting"] -= events
        if number == self.oldest and not block["waiting"]:
            self.publish(AT_ONCE_MS, origin)
        return number

    def publish(self, watermark_ms: float, origin: Origin) -> None:
        """Publish the oldest blocks, as long as each waits for nothing more, or long enough."""
        while self._first_chunks and watermark_ms >= self.due_ms:
            progress = self.changing_progress()
            late_labels, progress["late_labels"] = progress["late_labels"], 0
            self._note(self.oldest, origin, late_labels)
            self.oldest += 1
            del self._first_chunks[0]

    def note_failure(self, time_ms: int, origin: Origin) -> None:
        """Note an event of this time without a prediction; of the first one tell at once."""
        progress, (number, _) = self.changing_progress(), self.filling()
        progress["failures"] += 1
        if not progress["is_told"]:
            progress["is_told"] = True
            self._note(number, origin, 0, time_ms)

    def _note(
        self, number: int, origin: Origin, late_labels: int, failed_ms: int | None = None
    ) -> None:
        """Let a block be published, or a report."""
        failures = self._failures()
        each = Published(number, origin, self.labels, late_labels, failures, failed_ms)
        self.published.append(each)

    def _failures(self) -> int:
        """Return how many there have been since the last record; from now on, others count."""
        progress = self.changing_progress()
        failures, progress["failures"] = progress["failures"], 0
        return failures

    def _go_on(self) -> None:
        """Go on with what was restored, or begin."""
        if not self.store:
            self._open()
            return
        self.oldest = int(next(iter(self.store)))
        self._first_chunks = [each["first_chunk"] for each in self.store.values()]
        self.waiting.go_past(self._first_chunks[-1])

    def _open(self) -> None:
        number = self.oldest + len(self._first_chunks)
        first_chunk = self.waiting.begin_chunk()
        self._first_chunks.append(first_chunk)
        self.opened.append(Opened(number, len(self.published), self.labels))
        self.store[str(number)] = {
            "definition": self._definition,
            "champion": self._champion,
            "command": self._command,
            "terms": self.terms,
            "first_chunk": first_chunk,
            "events": 0,
            "waiting": 0,
            "first_time_ms": 0,
            "last_time_ms": 0,
            "closed_ms": None,
            "wait_ms": self.changing_progress()["wait_ms"],
            "loss_bound": self._first_bound,
            "drifted": [],
            "candidates": {},
            "groups": {},
            "certainty": self._none_covered(),
        }

    def _none_covered(self) -> BlockCertainty | None:
        """Return what is known of how often intervals, or sets, hold in a block without labels."""
        if self._conformal is None:
            return None
        return {"wanted": self._conformal.coverage, "labels": 0, "covered": 0, "size": 0.0}

    def _cut(self) -> None:
        """Let another block begin, unless nothing is in this one."""
        number, block = self.filling()
        if block["events"]:
            self._close()
            self._open()
        else:
            block = self.changing(number)
            block["definition"], block["champion"] = self._definition, self._champion
            block["command"], block["terms"] = self._command, self.terms
            block["certainty"] = self._none_covered()

    def _close(self) -> None:
        """Let no more events come to the block that is being filled."""
        number, _ = self.filling()
        block = self.changing(number)
        closed_ms = block["last_time_ms"]
        if number > self.oldest:
            closed_ms = max(closed_ms, self[number - 1]["closed_ms"] or 0)
        block["closed_ms"] = closed_ms
        progress = self.changing_progress()
        progress["wait_ms"] = self.longest_ms
        if self._learns_wait:
            progress["wait_ms"] = label_delays.enough_ms(progress["delays"], self.longest_ms)
