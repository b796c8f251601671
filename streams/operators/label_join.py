"""Where a label meets its event.

Prediction hands over each event that it has predicted, with what every candidate predicted, and
each label. The features are kept until the label comes: models learn from what they saw, never
from features computed again. What is joined goes to training (`learning`, or the examples for
it) at once; what cannot be joined becomes a reject. At the end of a slice, training accounts for
what was joined, and everything that has ended becomes an outcome (`outcomes`).

Where `label_conflicts` says so, the first label of an event is held for a time, while others may
replace it: the event waits on, and is joined with what is held then, or when it may wait no longer.

State: the watermark, waiting events, early labels and held ones, and the ends of past events, each
of the last four up to `pending.limit` and `pending.limit_bytes`; blocks; thresholds. Duplicates are
recognised within that memory; beyond it, a repeated event is a new one and its label an orphan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from millrace.models.candidates.baselines import baselines
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import Fate, FeatureVector, Label, LabelValue, Predicted
from millrace.streams.operators.base import Reading, Tally
from millrace.streams.operators.block_state import LATE
from millrace.streams.operators.certainty import Certainty
from millrace.streams.operators.classes import Classes
from millrace.streams.operators.columns import OutcomeColumns
from millrace.streams.operators.ended_events import EndedEvents
from millrace.streams.operators.event_blocks import EventBlocks
from millrace.streams.operators.expiring import Bounds
from millrace.streams.operators.joined import Joined, JoinedColumns, Training
from millrace.streams.operators.keyed_state import StateStore
from millrace.streams.operators.label_sources import INSIDE, SILENCE
from millrace.streams.operators.outcomes import Outcomes
from millrace.streams.operators.packing import Waiting
from millrace.streams.operators.record import AlertRecord, EvaluationRecord, Origin, Record
from millrace.streams.operators.runs import Run, RunFinder
from millrace.streams.operators.waiting import WaitingEvents, wait_ms
from millrace.streams.operators.waiting_labels import Early, WaitingLabels, already_labelled
from millrace.streams.operators.watermark import Watermark

_NEVER_MS = -(2**63)


class LabelJoin:
    """Joins the labels and the predicted events of one partition.

    Parameters
    ----------
    pipeline
        The definition.
    training
        Takes what is joined.
    tally
        Where fates are counted.
    definition
        Reference of the definition.

    Attributes
    ----------
    certainty
        How sure predictions are; None where that is not asked for.
    stores
        Name to keyed state, for the operator that owns this join.
    runs
        Finds records that can be taken together.
    """

    def __init__(
        self, pipeline: Pipeline, training: Training, tally: Tally, definition: str = ""
    ) -> None:
        self._task = Task(pipeline.task)
        self._names = [*pipeline.models, *baselines(self._task)]
        self._loss = pipeline.comparison_loss
        self._joined: list[Joined] = []
        self._learns_without_labels = pipeline.learns_without_labels
        self._default = pipeline.label_default
        self._wait_ms = wait_ms(pipeline)
        self._ttl_ms = int(pipeline.pending.ttl.total_seconds() * 1000)
        self._training = training
        self._outcomes = Outcomes(tally)
        bounds = Bounds(pipeline.pending.limit, pipeline.pending.limit_bytes)
        self._waiting = WaitingEvents(pipeline)
        self._labels = WaitingLabels(pipeline, self._outcomes)
        self._ended = EndedEvents(*bounds)
        self._watermark = Watermark(reach_ms=self._ttl_ms)
        self._horizon_ms = _NEVER_MS  # of the newest event: what is older has expired
        self._classes = Classes(pipeline)
        self._blocks = EventBlocks(pipeline, definition, self._waiting)
        conformal = pipeline.certainty
        self.certainty = None if conformal is None else Certainty(pipeline, conformal)
        self._former: Certainty | None = None  # empty, which may not be saved yet
        self._keep(pipeline)

    def inherit(self, before: LabelJoin, pipeline: Pipeline) -> None:
        """Go on with what another join keeps, within the limits of this definition."""
        bounds = Bounds(pipeline.pending.limit, pipeline.pending.limit_bytes)
        self._waiting, self._ended = before._waiting, before._ended
        self._watermark = before._watermark
        self._waiting.go_on(pipeline)
        self._labels.inherit(before._labels)
        self._ended.limit, self._ended.limit_bytes = bounds
        self._watermark.reach_ms = self._ttl_ms
        self._classes.seen = before._classes.seen
        self._blocks.inherit(before._blocks)
        self._keep(pipeline)
        self._inherit_certainty(before.certainty or before._former)

    def _keep(self, pipeline: Pipeline) -> None:
        self.runs = RunFinder(
            pipeline,
            self._waiting,
            self._labels,
            self._ended,
            self._watermark,
            self._classes,
        )
        self.stores: dict[str, StateStore] = {
            "waiting": self._waiting.entries,
            "early": self._labels.early.entries,
            "held": self._labels.held.entries,
            "ends": self._ended.segments,
            "progress": self._watermark.store,
            "classes": self._classes.seen,
            "blocks": self._blocks.store,
            "blocks_progress": self._blocks.progress,
        }
        if self.certainty is not None:
            self.stores |= self.certainty.stores

    def _inherit_certainty(self, before: Certainty | None) -> None:
        """Go on with thresholds, or forget them where none are asked for."""
        if before is None:
            return
        if self.certainty is None:
            before.end()
            self._former = before
        else:
            self.certainty.inherit(before)
        self.stores |= (self.certainty or before).stores

    @property
    def champion(self) -> str:
        """The candidate whose predictions are published."""
        return self._waiting.champion

    def serve_by(self, champion: str, command: int) -> None:
        """Let a candidate's predictions be published, as of a command."""
        self._waiting.champion = champion
        self._blocks.serve_by(champion, command)
        if self.certainty is not None:
            self.certainty.champion = champion

    def knows(self, event_id: str) -> bool:
        """Whether an event with this id is waiting, or has ended lately."""
        return event_id in self._waiting or event_id in self._ended

    def add_event(
        self,
        vector: FeatureVector,
        predicted: dict[str, Predicted],
        origin: Origin,
        place: int,
        threshold: float | None = None,
    ) -> list[Record]:
        """Take an event that has been predicted, and join it if its label is known.

        Parameters
        ----------
        vector, predicted, origin
            The event. What baselines predicted may be filled in later in the slice.
        place
            How much the slice has led to before.
        threshold
            With which its interval, or set, was served.
        """
        event_id = vector["event_id"]
        label, time_ms = vector["label"], vector["event_time_ms"]
        made = self._advance(time_ms, origin, place)
        block = self._blocks.add(time_ms)
        if self.certainty is not None:
            self.certainty.add(vector, block, threshold)
        early = self._labels.early.take(event_id)
        if self._labels.holds:
            made += self._hold_known(vector, early, origin)
            label = early = None
        if label is not None and not self._classes.admit(label):
            made += self._unknown_class(_inside(vector, label), origin)
            label = None
        if early is not None and label is None and not self._classes.admit(early.label["label"]):
            made += self._unknown_class(early.label, early.origin)
            early = None
        if label is not None:
            inside, at = _inside(vector, label), place + len(made)
            waiting = Waiting(vector, predicted)
            made += self._join(_joined(waiting, inside, origin, at, origin), block)
        elif early is None:
            made += self._wait(vector, predicted, origin, place + len(made), block)
        if self._learns_without_labels:
            at = place + len(made)
            made += self._train(Joined(vector, predicted, None, None, None, origin, at, origin))
        if early is not None and label is not None:
            made += self._too_late(early.label, early.origin)
        elif early is not None:
            waiting, at = Waiting(vector, predicted), place + len(made)
            made += self._join(_joined(waiting, early.label, early.origin, at, origin), block)
        self._wait_no_longer(block)
        self._blocks.close_full(origin)
        return made

    def add_label(self, label: Label, origin: Origin, place: int) -> list[Record]:
        """Take a label, and join it if its event waits, or hold it."""
        event_id = label["event_id"]
        if event_id in self._waiting and not self._classes.admit(label["label"]):
            return self._unknown_class(label, origin)
        if self._labels.is_held(event_id) or (self._labels.holds and event_id in self._waiting):
            made = self._labels.hold(self._since_now(label, origin))
            return made + self._release(self._watermark.time_ms, origin, place + len(made))
        if event_id in self._waiting:
            waiting, block = self._take(event_id, origin, is_labelled=True)
            return self._join(_joined(waiting, label, origin, place, origin), block)
        if event_id in self._ended:
            return self._too_late(label, origin)
        return self._labels.await_event(self._since_now(label, origin))

    def remove(self, event_id: str, origin: Origin) -> None:
        """Let an event wait no longer, of which the row is gone."""
        if event_id not in self._waiting:
            return
        waiting, _ = self._take(event_id, origin, is_labelled=False)
        held = self._labels.held.take(event_id)
        if held is not None:
            self._outcomes.dropped(held.label, Fate.REMOVED, held.origin)
        self._end(waiting.vector, Fate.REMOVED, origin)

    def pass_time(self, elapsed_ms: int, origin: Origin) -> list[Record]:
        """Move the watermark by time without events, and end what has waited for too long."""
        watermark_ms = self._watermark.pass_time(elapsed_ms)
        if watermark_ms is None:
            return []
        self._labels.start(watermark_ms, lambda known: known.since_ms is None)
        made = self._expire(watermark_ms, origin, 0)
        self._wait_no_longer(self._blocks.filling)
        return made

    def take_run(self, run: Run) -> list[float | None]:
        """Join what is in a run, which models have followed.

        Returns
        -------
        list
            The threshold with which the interval, or set, of each event is served.
        """
        before_ms = self._watermark.time_ms
        times_ms = [record.value["event_time_ms"] for record in run.events]
        after_ms = [before_ms, *self._watermark.observe_all(times_ms)]
        if after_ms[-1] is not None:
            self._horizon_ms = after_ms[-1] - self._wait_ms
        chunks = {event_id: self._waiting.chunk_of(event_id) for event_id in run.met}
        for event_id in run.met:
            self._waiting.remove(event_id)
        numbers = self._blocks.next_blocks(len(run.events))
        self._blocks.take_run(run, times_ms, after_ms, chunks)
        thresholds: list[float | None] = [None] * len(run.events)
        if self.certainty is not None:
            wait_ms = self._blocks.wait_ms
            thresholds = self.certainty.take_run(run, numbers, after_ms[1:], wait_ms)
        self._ended.add_all([(each.vector["event_id"], each.label) for each in run.joined])
        self._outcomes.joined(run.joined)
        self._joined += run.joined
        return thresholds

    def note_failure(self, time_ms: int, origin: Origin) -> None:
        """Note an event of this time at which the champion failed, and others did not."""
        self._blocks.note_failure(time_ms, origin)

    def settle(
        self, at_once: Sequence[Record], fail: Callable[[Joined, BaseException], Record]
    ) -> tuple[list[tuple[int, Record]], OutcomeColumns | None, list[EvaluationRecord]]:
        """Account for a slice, once all that was predicted is filled in.

        Parameters
        ----------
        at_once
            What the slice has led to at once.
        fail
            Returns the reject of a label for which the user's loss raised.

        Returns
        -------
        tuple
            What training makes of it, and rejects, each with its place; the outcomes, if there are
            any; and the blocks of events that are published.
        """
        self._waiting.pack()
        joined, self._joined = self._joined, []
        columns = JoinedColumns(self._task, joined, self._names, self._loss)
        metrics = self._blocks.to_read(columns.joined)
        made = self._training.account(joined, columns, metrics) if joined or metrics else []
        covered = None
        if self.certainty is not None:
            alerts, covered = self.certainty.settle(joined)
            made += alerts
        if not joined:
            return [], self._outcomes.take({}), self._blocks.settle([], {}, [], metrics)
        drifted = _drifted(columns, [*at_once, *(each for _, each in made)])
        for at, error in columns.comparison_failures:
            made.append((columns.joined[at].place, fail(columns.joined[at], error)))
        evaluations = self._blocks.settle(
            columns.joined, columns.comparison, drifted, metrics, covered
        )
        return made, self._outcomes.take(columns.losses), evaluations

    def readings(self) -> Iterable[Reading]:
        """Return how many events and labels wait, and how many labels are held."""
        yield Reading("pending", ("event",), len(self._waiting))
        yield Reading("pending", ("label",), len(self._labels.early))
        yield Reading("pending", ("held_label",), len(self._labels.held))
        if self.certainty is not None:
            yield from self.certainty.readings()

    def _take(self, event_id: str, origin: Origin, *, is_labelled: bool) -> tuple[Waiting, int]:
        """Remove an event that waits; return it, and its block."""
        chunk = self._waiting.chunk_of(event_id)
        block = self._blocks.leave(chunk, origin, is_labelled=is_labelled)
        waiting = self._waiting.take(event_id)
        assert waiting is not None
        return waiting, block

    def _join(self, joined: Joined, block: int) -> list[Record]:
        """Take an event of a block that has met its label."""
        if self.certainty is not None:
            self.certainty.join(joined)
        self._blocks.note_joined(block, _delay_ms(self._watermark.time_ms, joined.vector))
        self._ended.add(joined.vector["event_id"], joined.label)
        self._outcomes.joined([joined])
        known = None if block == LATE else block
        return self._train(joined._replace(block=known, settled=self._blocks.settled))

    def _train(self, joined: Joined) -> list[Record]:
        self._joined.append(joined)
        made = self._training.train(joined)
        if self._training.take_failure():
            self.note_failure(joined.vector["event_time_ms"], joined.met)
        return made

    def _wait(
        self,
        vector: FeatureVector,
        predicted: dict[str, Predicted],
        origin: Origin,
        place: int,
        block: int,
    ) -> list[Record]:
        """Let an event wait for its label, unless its time is over as it comes."""
        waiting = Waiting(vector, predicted)
        if vector["event_time_ms"] < self._horizon_ms:
            return self._give_up(waiting, Fate.EXPIRED, origin, place, block)
        self._blocks.add_waiting()
        self._waiting.put(waiting)
        made: list[Record] = []
        for chunk, each in self._waiting.surplus():
            of_it = self._blocks.leave(chunk, origin, is_labelled=False)
            made += self._give_up(each, Fate.EVICTED, origin, place + len(made), of_it)
        return made + self._release(self._watermark.time_ms, origin, place + len(made))

    def _end(self, vector: FeatureVector, fate: Fate, origin: Origin) -> None:
        """End an event that got no label."""
        if self.certainty is not None:
            self.certainty.drop(vector["event_id"])
        self._ended.add(vector["event_id"], None)
        self._outcomes.unlabelled(vector, fate, origin)

    def _unknown_class(self, label: Label, origin: Origin) -> list[Record]:
        """Reject a label of one class too many; its event waits for another one."""
        detail = self._classes.refusal(label["label"])
        return [self._outcomes.unusable(label, Fate.UNKNOWN_CLASS, detail, origin)]

    def _too_late(self, label: Label, origin: Origin) -> list[Record]:
        event_id, learned = label["event_id"], self._ended[label["event_id"]]
        if learned is None:
            fate = Fate.LATE
            detail = (
                f"event {event_id!r} no longer waits for a label"
                " (pending.ttl, pending.limit, pending.limit_bytes, or its row was deleted)"
            )
        elif learned == label["label"]:
            fate, detail = Fate.DUPLICATE, already_labelled(event_id)
        else:
            fate = Fate.LATE_CORRECTION
            detail = (
                f"event {event_id!r} has been learned with the label {learned!r};"
                f" got {label['label']!r}"
            )
        return [self._outcomes.unusable(label, fate, detail, origin)]

    def _hold_known(
        self, vector: FeatureVector, early: Early | None, origin: Origin
    ) -> list[Record]:
        """Hold the labels that are known of an event as it comes."""
        known = [] if early is None else [early]
        if vector["label"] is not None:
            known.append(self._since_now(_inside(vector, vector["label"]), origin))
        made: list[Record] = []
        for each in known:
            if self._classes.admit(each.label["label"]):
                made += self._labels.hold(each)
            else:
                made += self._unknown_class(each.label, each.origin)
        return made

    def _since_now(self, label: Label, origin: Origin) -> Early:
        return Early(label, origin, self._watermark.time_ms)

    def _release(self, watermark_ms: int | None, origin: Origin, place: int) -> list[Record]:
        """Join what has been held for long enough, and what there is no room for."""
        made: list[Record] = []
        for event_id, known in self._labels.due(watermark_ms):
            waiting, block = self._take(event_id, origin, is_labelled=True)
            at = place + len(made)
            made += self._join(_joined(waiting, known.label, known.origin, at, origin), block)
        return made

    def _advance(self, event_time_ms: int, origin: Origin, place: int) -> list[Record]:
        """Move the watermark by an event, and end what has waited for too long."""
        is_awaited = self._labels.some_wait and self._watermark.time_ms is None
        watermark_ms = self._watermark.observe(event_time_ms)
        if watermark_ms is None:
            self._horizon_ms = _NEVER_MS
            return []
        if is_awaited:
            self._labels.start(watermark_ms)
        return self._expire(watermark_ms, origin, place)

    def _wait_no_longer(self, block: int) -> None:
        """Let thresholds be moved without events that have waited for long enough."""
        watermark_ms = self._watermark.time_ms
        if self.certainty is not None and watermark_ms is not None:
            self.certainty.pass_time(watermark_ms - self._blocks.wait_ms(block))

    def _expire(self, watermark_ms: int, origin: Origin, place: int) -> list[Record]:
        """End what has waited for too long."""
        self._horizon_ms = watermark_ms - self._wait_ms
        made = self._release(watermark_ms, origin, place)
        for chunk, waiting in self._waiting.expired(self._horizon_ms):
            block = self._blocks.leave(chunk, origin, is_labelled=False)
            made += self._give_up(waiting, Fate.EXPIRED, origin, place + len(made), block)
        self._blocks.publish_due(watermark_ms, origin)
        return made + self._labels.orphans(watermark_ms - self._ttl_ms)

    def _give_up(
        self, waiting: Waiting, fate: Fate, origin: Origin, place: int, block: int
    ) -> list[Record]:
        """End an event that waits no longer: with the label that is held, or what silence means."""
        vector, default = waiting.vector, self._default
        held = self._labels.held.take(vector["event_id"])
        if held is not None:
            return self._join(_joined(waiting, held.label, held.origin, place, origin), block)
        if fate is Fate.EVICTED or default is None or not self._classes.admit(default.label):
            self._end(vector, fate, origin)
            return []
        known_ms = vector["event_time_ms"] + self._wait_ms
        joined = Joined(*waiting, default.label, known_ms, SILENCE, origin, place, origin)
        return self._join(joined, block)


def _inside(vector: FeatureVector, label: LabelValue) -> Label:
    """Return the label inside an event as a record."""
    return {
        "event_id": vector["event_id"],
        "label": label,
        "label_time_ms": vector["event_time_ms"],
        "key": vector["key"],
        "source": INSIDE,
    }


def _joined(waiting: Waiting, label: Label, origin: Origin, place: int, met: Origin) -> Joined:
    """Return an event with its label, which came in a record of its own, or inside the event."""
    value, time_ms, source = label["label"], label["label_time_ms"], label.get("source")
    return Joined(*waiting, value, time_ms, source, origin, place, met)


def _delay_ms(watermark_ms: int | None, vector: FeatureVector) -> int:
    """Return how far event time has come since an event."""
    return 0 if watermark_ms is None else max(watermark_ms - vector["event_time_ms"], 0)


def _drifted(columns: JoinedColumns, made: Iterable[Record]) -> Iterator[tuple[int, str]]:
    """Yield the candidates whose loss has drifted, each with the joined event that showed it."""
    alerts = [each.value for each in made if isinstance(each, AlertRecord)]
    drifts = [each for each in alerts if each["source"].startswith("loss:")]
    if not drifts:
        return
    places = {each.vector["event_id"]: place for place, each in enumerate(columns.joined)}
    for alert in drifts:
        yield places[alert["event_id"]], alert["model"]
