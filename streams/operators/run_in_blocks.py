"""A run in blocks of events: what its records do to blocks, one after the other, done in parts.

A part ends with the event that fills a block. In a part, a block is published with the event with
which it is due, or with the last label that one of its events has waited for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import inf
from operator import sub

from millrace.streams.operators.block_queue import BlockQueue
from millrace.streams.operators.block_state import EVENTS
from millrace.streams.operators.label_delays import doublings_of
from millrace.streams.operators.runs import Run


class RunInBlocks:
    """A run, and the blocks that it goes through.

    Parameters
    ----------
    queue
        The blocks.
    run
        The run.
    times_ms
        Of its events.
    watermarks_ms
        Before the first event, and after each; None where there is none.
    chunks
        Id of an event that had waited before the run, and meets its label in it, to where it did.
    """

    def __init__(
        self,
        queue: BlockQueue,
        run: Run,
        times_ms: Sequence[int],
        watermarks_ms: Sequence[int | None],
        chunks: Mapping[str, int],
    ) -> None:
        self._queue = queue
        self._run = run
        self._times_ms = times_ms
        self._watermarks_ms = [-inf if each is None else each for each in watermarks_ms]
        self._numbers: list[int] = []  # of the blocks of the labels that have been taken
        self._waiting = [*run.waiting.values()]
        self._arrivals: list[int] = []  # of these, in the run
        self._apart: list[int | None] = []  # the block of each event whose label comes by itself
        known_ms, times_of_labels_ms = self._watermarks_ms[1:], times_ms
        if run.waiting or len(run.steps) > len(run.events):
            arrivals = {each.value["event_id"]: at for at, each in enumerate(run.events)}
            self._arrivals = [arrivals[event_id] for event_id in run.waiting]
            self._apart = [*self._blocks_of_labels(arrivals, chunks)]
            known_ms = [self._watermarks_ms[events] for events in run.events_before]
            times_of_labels_ms = [each.vector["event_time_ms"] for each in run.joined]
        self._doublings = doublings_of([*map(sub, known_ms, times_of_labels_ms)])

    def take(self) -> list[int]:
        """Take the run through the blocks; return the number of the block of each label."""
        run, queue = self._run, self._queue
        event = label = 0
        while True:
            room = EVENTS - queue.filling()[1]["events"]
            end = event + room
            if end > len(run.events):
                break
            last = run.events[end - 1]
            labels = run.labels_before[end - 1] + (last.value["label"] is not None)
            self._take_part(range(event, end), range(label, labels))
            queue.close_full(last.origin)
            event, label = end, labels
        self._take_part(range(event, len(run.events)), range(label, len(run.joined)))
        return self._numbers

    def _blocks_of_labels(
        self, arrivals: Mapping[str, int], chunks: Mapping[str, int]
    ) -> Iterator[int | None]:
        """Yield the number of the block of each event whose label comes by itself, else None."""
        numbers = {chunk: self._queue.number_of(chunk) for chunk in {*chunks.values()}}
        filling, block = self._queue.filling()
        for joined in self._run.joined:
            event_id = joined.vector["event_id"]
            if event_id in chunks:
                yield numbers[chunks[event_id]]
            elif joined.vector["label"] is None:
                yield filling + (block["events"] + arrivals[event_id]) // EVENTS
            else:
                yield None

    def _take_part(self, events: range, labels: range) -> None:
        """Take events of one block, and the labels that come before its end."""
        queue, run = self._queue, self._run
        self._add(events, labels)
        doublings = self._doublings[labels.start : labels.stop]
        while (due := self._first_due(events)) is not None:
            before = run.labels_before[due]
            self._take_labels(range(labels.start, before))
            queue.publish(self._watermarks_ms[due + 1], run.events[due].origin)
            events, labels = range(due + 1, events.stop), range(before, labels.stop)
        self._take_labels(labels)
        queue.note_delays(doublings)

    def _add(self, events: range, labels: range) -> None:
        """Add events to the block that is being filled, and let those wait that do so in the end.

        All without a label inside have their block wait, some for a label of this part.
        """
        if not events:
            return
        times_ms = self._times_ms[events.start : events.stop]
        apart = self._apart[labels.start : labels.stop]
        with_labels = apart.count(None) if self._apart else len(labels)
        self._queue.add(times_ms, len(events) - with_labels)
        first, last = (bisect_left(self._arrivals, at) for at in (events.start, events.stop))
        self._queue.waiting.put_all(self._waiting[first:last])

    def _first_due(self, events: range) -> int | None:
        """Return the first event with which a block is due, if labels do not lead to it before."""
        due_ms = self._queue.due_ms
        if due_ms == inf:
            return None
        after_ms = self._watermarks_ms[events.start + 1 : events.stop + 1]
        if due_ms > max(after_ms, default=-inf):
            return None
        return next(at for at, each in zip(events, after_ms, strict=True) if each >= due_ms)

    def _take_labels(self, labels: range) -> None:
        """Take labels in a row.

        Of several of one block, only the last one can end the wait for it.
        """
        queue, joined = self._queue, self._run.joined
        filling, _ = queue.filling()
        if not self._apart:
            self._numbers += [filling] * len(labels)
            queue.labels += len(labels)
            return
        last = labels.start
        for number, of_block in groupby(self._apart[labels.start : labels.stop]):
            count = len([*of_block])
            last += count
            queue.labels += count
            origin = joined[last - 1].origin
            noted = (
                filling
                if number is None
                else queue.leave(number, origin, is_labelled=True, events=count)
            )
            self._numbers += [noted] * count
