"""Blocks of consecutive events, in which candidates are compared: the records `evaluations`.

A block is a hundred events in the order in which they came, all of one champion. It is published
once each of its events has ended, or has waited long enough for its label (`block_queue`). So no
candidate is judged by the labels that happen to come first: where positives are known within a day,
and negatives by silence after a month, a test in the order of labels prefers whoever predicts too
many positives. A label that comes after its block is counted, and is evidence for no candidate. An
event without a prediction counts as the worst.

Every tenth block also says how good each candidate is by the metrics, which training keeps: as they
are once all labels have been measured that came by the record with which the block is published.

To which block a label counts, and when a block is published, is decided at each record's place.
What was lost (`block_losses`) is added at the end of a slice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.evaluation import MetricsByCount
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.promotion import is_custom
from millrace.schemas.records import Evaluation
from millrace.streams.operators.block_losses import (
    LossesOfSlice,
    Met,
    add_whole,
    bound_by,
    scale_with,
)
from millrace.streams.operators.block_queue import BlockQueue, Published
from millrace.streams.operators.block_state import EVENTS, LATE, Block, Progress
from millrace.streams.operators.block_sums import Losses
from millrace.streams.operators.coverage import Covered
from millrace.streams.operators.failure_report import failure_report
from millrace.streams.operators.group_losses import add_groups, group_of
from millrace.streams.operators.joined import Joined
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.label_delays import doublings_of
from millrace.streams.operators.record import EvaluationRecord, Origin
from millrace.streams.operators.run_in_blocks import RunInBlocks
from millrace.streams.operators.runs import Run
from millrace.streams.operators.waiting import WaitingEvents

METRICS_EVERY = 10
"""Of so many blocks, the last has metrics: to read them takes as long as some five events."""


class EventBlocks:
    """The blocks of one partition that are not published, and what was lost by their events.

    Parameters
    ----------
    pipeline
        The definition.
    definition
        Its reference.
    waiting
        The events that wait.
    """

    def __init__(self, pipeline: Pipeline, definition: str, waiting: WaitingEvents) -> None:
        task = Task(pipeline.task)
        self._queue = BlockQueue(pipeline, definition, waiting)
        self._definition = definition
        self._loss = pipeline.comparison_loss
        self._baselines = frozenset(baselines(task))
        self._names = self._baselines.union(pipeline.models)
        self._group_of = group_of(pipeline)
        self._numbers: list[int] = []  # the block of each joined event of a slice

    @property
    def store(self) -> KeyedState[Block]:
        """Number of a block to the block."""
        return self._queue.store

    @property
    def progress(self) -> KeyedState[Progress]:
        """What is remembered of earlier blocks."""
        return self._queue.progress

    @property
    def settled(self) -> int:
        """Number of a block; nothing waits of those before it, or has waited for too long."""
        number = self._queue.oldest
        return number if self._queue[number]["waiting"] else number + 1

    @property
    def filling(self) -> int:
        """Number of the block that is being filled."""
        return self._queue.filling()[0]

    def inherit(self, before: EventBlocks) -> None:
        """Go on with what another one keeps; what comes is of another block."""
        self._queue.inherit(before._queue)

    def serve_by(self, champion: str, command: int) -> None:
        """Let a candidate serve, as of a command; with another one, another block begins."""
        self._queue.serve_by(champion, command)

    def add(self, time_ms: int) -> int:
        """Take an event of this time; return the number of its block."""
        return self._queue.add([time_ms])

    def next_blocks(self, events: int) -> list[int]:
        """Return the number of the block of each of the next events of a run."""
        number, block = self._queue.filling()
        first = block["events"]
        return [number + at // EVENTS for at in range(first, first + events)]

    def wait_ms(self, number: int) -> int:
        """Return how long labels are waited for while a block is being filled."""
        block = self._queue[number]
        return block.get("wait_ms", self._queue.longest_ms)  # saved before there was certainty

    def add_waiting(self) -> None:
        """Let the event wait that was added last."""
        number, _ = self._queue.filling()
        self._queue.changing(number)["waiting"] += 1

    def close_full(self, origin: Origin) -> None:
        """Let another block begin where this one is full."""
        self._queue.close_full(origin)

    def leave(self, chunk: int, origin: Origin, *, is_labelled: bool) -> int:
        """Let an event wait no longer that was in a chunk; return the number of its block."""
        return self._queue.leave(self._queue.number_of(chunk), origin, is_labelled=is_labelled)

    def note_joined(self, number: int, delay_ms: int) -> None:
        """Note the block of an event that has met its label, and how long that took."""
        self._numbers.append(number)
        self._queue.labels += 1
        self._queue.note_delays(doublings_of([delay_ms]))

    def note_failure(self, time_ms: int, origin: Origin) -> None:
        """Note an event of this time for which the champion made no prediction, and others did."""
        self._queue.note_failure(time_ms, origin)

    def take_run(
        self,
        run: Run,
        times_ms: Sequence[int],
        watermarks_ms: Sequence[int | None],
        chunks: Mapping[str, int],
    ) -> None:
        """Take a run, as its records one after the other, and let its events wait that do so."""
        self._numbers += RunInBlocks(self._queue, run, times_ms, watermarks_ms, chunks).take()

    def publish_due(self, watermark_ms: int, origin: Origin) -> None:
        """Publish the blocks that have waited for long enough."""
        self._queue.publish(watermark_ms, origin)

    def to_read(self, joined: Sequence[Joined]) -> MetricsByCount:
        """Return after how many labels of a slice metrics are to be read, to be filled in.

        Parameters
        ----------
        joined
            The events that have met their labels.
        """
        due = [each for each in self._queue.published if _has_metrics(each)]
        return {_labels_by(each, joined): {} for each in due}

    def settle(
        self,
        joined: Sequence[Joined],
        losses: Mapping[str, Losses],
        drifted: Iterable[tuple[int, str]],
        metrics: MetricsByCount,
        covered: Covered | None = None,
    ) -> list[EvaluationRecord]:
        """Add what was lost in a slice, and return what is published.

        Parameters
        ----------
        joined
            The events that have met their labels.
        losses
            Candidate to what it lost by each of them.
        drifted
            Candidates whose loss drifted, each with the joined event at which that was found.
        metrics
            What `to_read` has returned, filled in as far as metrics are known.
        covered
            How often labels were inside intervals, or sets; None where nothing was said of that.
        """
        self._note_drifted(drifted)
        met, lost = self._met(losses), None
        if not (self._loss.is_whole and add_whole(met, losses)) and met:
            lost = LossesOfSlice(met, joined, losses)
            lost.add()
        if not self._loss.is_bounded:
            self._bound()
        if lost is not None:
            lost.compare()
        if self._group_of is not None:
            by_candidate = {name: losses[name] for name in losses if name not in self._baselines}
            for each in met:
                add_groups(each, joined, by_candidate, self._group_of)
        if covered is not None:
            for block, places, _ in met:
                covered.add_to(block, places)
        made = [*self._evaluations(joined, metrics)]
        self._numbers = []
        self._queue.forget_slice()
        return made

    def _note_drifted(self, drifted: Iterable[tuple[int, str]]) -> None:
        """Note in blocks which candidates drifted while their events came."""
        for place, name in drifted:
            block = self._queue.changing(self._queue.filled_at(place))
            block["drifted"] = sorted({*block["drifted"], name})

    def _met(self, losses: Mapping[str, Losses]) -> list[Met]:
        """Return the events that have met their labels, by block."""
        numbers = self._numbers
        order: Sequence[int] = range(len(numbers))
        if numbers != sorted(numbers):
            order = sorted(order, key=numbers.__getitem__)
            numbers = sorted(numbers)
        met, begin = list[Met](), bisect_right(numbers, LATE)
        while begin < len(numbers):
            end = bisect_right(numbers, numbers[begin])
            block = self._queue.changing(numbers[begin])
            always = self._names if block["definition"] == self._definition else frozenset()
            if self._is_of_this_loss(block):
                met.append(Met(block, order[begin:end], losses.keys() - always))
            begin = end
        return met

    def _is_of_this_loss(self, block: Block) -> bool:
        """Whether the losses of a block are those of today's definition."""
        metric = block["terms"]["metric"]
        if metric != self._loss.name:
            return False
        return block["definition"] == self._definition or not is_custom(metric)

    def _bound(self) -> None:
        """Bound the losses of the blocks that have begun, by what was published before each."""
        queue, measured = self._queue, 0
        progress = queue.changing_progress()
        for opened in queue.opened:
            self._measure(queue.published[measured : opened.published])
            measured = opened.published
            queue.changing(opened.number)["loss_bound"] = bound_by(progress["scale"])
        self._measure(queue.published[measured:])

    def _measure(self, published: Iterable[Published]) -> None:
        """Note how large losses of blocks are."""
        progress = self._queue.changing_progress()
        for each in published:
            block = self._queue[each.number]
            if each.failed_ms is None and self._is_of_this_loss(block):
                progress["scale"] = scale_with(block, progress["scale"])

    def _evaluations(
        self, joined: Sequence[Joined], metrics: MetricsByCount
    ) -> Iterator[EvaluationRecord]:
        """Yield what is published: where there are labels, or failures."""
        for published in self._queue.published:
            number, origin, _, late_labels, failures, failed_ms = published
            block = self.store[str(number)]
            if failed_ms is not None:
                yield failure_report(
                    origin,
                    failed_ms,
                    definition=block["definition"],
                    champion=block["champion"],
                    command=block["command"],
                    terms=block["terms"],
                    number=number,
                    late_labels=late_labels,
                    failures=failures,
                )
                continue
            value: Evaluation = {
                "partition": origin.partition,
                "number": number,
                "definition": block["definition"],
                "champion": block["champion"],
                "command": block["command"],
                "first_time_ms": block["first_time_ms"],
                "last_time_ms": block["last_time_ms"],
                "events": block["events"],
                "late_labels": late_labels,
                "failures": failures,
                "loss_bound": block["loss_bound"],
                "drifted": block["drifted"],
                "terms": block["terms"],
                "candidates": block["candidates"],
                "groups": block["groups"],
                "metrics": metrics[_labels_by(published, joined)]
                if _has_metrics(published)
                else {},
                "certainty": block.get("certainty"),
            }
            del self.store[str(number)]
            if value["candidates"] or failures:
                yield EvaluationRecord(value, origin)


def _has_metrics(published: Published) -> bool:
    return published.failed_ms is None and (published.number + 1) % METRICS_EVERY == 0


def _labels_by(published: Published, joined: Sequence[Joined]) -> int:
    """Return how many labels of a slice came with the record that led to a block, or before it."""
    labels = published.labels
    while labels < len(joined) and joined[labels].met is published.origin:
        labels += 1
    return labels
