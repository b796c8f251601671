"""Prediction: where an event becomes a prediction, and meets its label.

Reads `features` (feature vectors and labels in one order). Writes `predictions` and `rejects`.
Predicts at the event's place in the log, with every candidate, and keeps the features until the
label comes: the model learns from what it saw, never from features computed again. Where learning
is another agent's, it reads `models` too, and writes `examples`; where the two share an agent, an
event and its label are handed to learning before the next record is looked at.

What becomes of a label (its fate, in the metric `millrace_labels_total`):

=============== ==========================================================================
joined          its event was waiting; the models learn from the two
early           its event has not come yet; it waits
corrected       it replaces another early label of the same event
duplicate       the event has been learned with the same label: to `rejects`
late_correction the event has been learned with another label: to `rejects`
late            its event has waited longer than `pending.ttl`, or gave way: to `rejects`
orphan          its event did not come within `pending.ttl`: to `rejects`
=============== ==========================================================================

State: waiting events and early labels, each at most `pending.limit`, and the ends of as many
events gone by. What happens twice within that memory is told apart; beyond it, a repeated event
is a new one and its label an orphan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from millrace.models.candidates.evaluation import loss
from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.tasks import Task
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RejectReason
from millrace.schemas.records import (
    Example,
    FeatureVector,
    Label,
    LabelValue,
    Predicted,
    Prediction,
)
from millrace.streams.operators.base import Operator
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.memory import Memory
from millrace.streams.operators.record import TOMBSTONE, Origin, Record
from millrace.streams.operators.scope import ScopedModels

_NOT_PREDICTED_YET = 0
_WATERMARK = "watermark_ms"


class Waiting(NamedTuple):
    """An event that waits for its label, with what every candidate said of it."""

    vector: FeatureVector
    predicted: dict[str, Predicted]


class Early(NamedTuple):
    """A label that waits for its event, and the watermark when it came."""

    label: Label
    origin: Origin
    since_ms: int


class Answer(NamedTuple):
    """What was said of an event, not yet written down as a record."""

    vector: FeatureVector
    predicted: Predicted
    model: str
    version: int
    staleness_examples: int
    origin: Origin


class PredictionOperator(Operator):
    """Predict each event; join each label with its event.

    Parameters
    ----------
    pipeline
        The definition.
    models
        The ones that learning keeps, where the two share an agent.
    learning
        Where the two share an agent; otherwise examples are written.
    load_models
        Reads the payload of a snapshot from `models`, where learning is another agent's.
    """

    name = "prediction"
    writes = frozenset({"predictions", "examples", "rejects"})

    def __init__(
        self,
        pipeline: Pipeline,
        models: ScopedModels,
        learning: LearningOperator | None = None,
        *,
        load_models: Callable[[bytes], ModelSet] | None = None,
    ) -> None:
        self.reads = frozenset({"features"} if load_models is None else {"features", "models"})
        self._task = Task(pipeline.task)
        self._champion = pipeline.champion
        self._models = models
        self._learning = learning
        self.nested = () if learning is None else (learning,)
        self._load_models = load_models
        self._limit = pipeline.pending.limit
        self._learns_without_labels = pipeline.learns_without_labels
        self._ttl_ms = int(pipeline.pending.ttl.total_seconds() * 1000)
        self.waiting = KeyedState()
        self.early = KeyedState()
        self._ends = Memory(self._limit)
        self._progress = KeyedState()
        self._examples = KeyedState(pipeline.max_models)
        super().__init__(
            pipeline,
            waiting=self.waiting,
            early=self.early,
            ends=self._ends.segments,
            progress=self._progress,
            examples=self._examples,
        )

    def process(self, record: Record) -> Iterable[Record]:
        return self.run((record,))

    def run(self, records: Iterable[Record]) -> list[Record]:
        """Take the next records; write down what was said once all of them are learned.

        That comes to the same, and is a twentieth faster: the models' code stays at hand.
        """
        made: list[Record | Answer] = []
        for record in records:
            if record.topic in self.reads:
                made += self._take(record)
        return [_prediction(each) if isinstance(each, Answer) else each for each in made]

    def _take(self, record: Record) -> Iterable[Record | Answer]:
        if record.type == "FeatureVector":
            return self._predict(record.value, record.origin)
        if record.type == "Label":
            return self._join(record.value, record.origin)
        scope_key = record.value["scope_key"]
        if record.type == TOMBSTONE:
            self._models.by_scope_key.pop(scope_key)
        else:
            assert self._load_models is not None
            self._models.by_scope_key[scope_key] = self._load_models(record.value["payload"])
        return ()

    def _predict(self, vector: FeatureVector, origin: Origin) -> Iterable[Record | Answer]:
        event_id, event_time_ms = vector["event_id"], vector["event_time_ms"]
        if event_id in self.waiting or event_id in self._ends:
            detail = f"an event requires an id of its own; got {event_id!r} again"
            return [self._reject("event", origin, RejectReason.DUPLICATE_EVENT, detail)]
        models = self._models.of(self._models.scope_key(vector["key"]))
        try:
            predicted = models.predict(vector["features"])
        except Exception as error:  # the champion is the user's own: it may raise anything
            return [self._fail("event", origin, RejectReason.PREDICT_ERROR, error)]
        champion = models.champion
        staleness = 0 if self._learning else self._staleness(vector["key"], models)
        made: list[Record | Answer]
        made = [Answer(vector, predicted[champion], champion, models.version, staleness, origin)]
        self._advance(event_time_ms)
        if self.early:
            made += self._orphans()
        if vector["label"] is not None:
            made += self._meet(vector, predicted, vector["label"], event_time_ms, origin)
        else:
            self.waiting[event_id] = Waiting(vector, predicted)
        if self._learns_without_labels:
            made += self._teach(vector, predicted, None, None, origin)
        if event_id in self.early:
            early: Early = self.early.pop(event_id)
            made += self._join(early.label, early.origin)
        return made

    def _join(self, label: Label, origin: Origin) -> Iterable[Record]:
        event_id = label["event_id"]
        waiting: Waiting | None = self.waiting.pop(event_id, None)
        if waiting is not None:
            return self._meet(*waiting, label["label"], label["label_time_ms"], origin)
        if event_id in self._ends:
            return [self._too_late(label, origin)]
        return self._hold(label, origin)

    def _meet(
        self,
        vector: FeatureVector,
        predicted: dict[str, Predicted],
        label: LabelValue,
        label_time_ms: int | None,
        origin: Origin,
    ) -> Iterable[Record]:
        self._ends.remember(vector["event_id"], label)
        self.tally["label", "joined"] += 1
        return self._teach(vector, predicted, label, label_time_ms, origin)

    def _teach(
        self,
        vector: FeatureVector,
        predicted: dict[str, Predicted],
        label: LabelValue | None,
        label_time_ms: int | None,
        origin: Origin,
    ) -> Iterable[Record]:
        """Let the models learn from an event, or write the example for those that do it."""
        if self._learning is not None:
            return self._learning.learn(vector, label, predicted, origin)
        if label is None or not self._learns_without_labels:
            self._count_example(vector["key"])
        event_time_ms = vector["event_time_ms"]
        example: Example = {
            "event_id": vector["event_id"],
            "key": vector["key"],
            "event_time_ms": event_time_ms,
            "label": label,
            "label_delay_ms": None if label_time_ms is None else label_time_ms - event_time_ms,
            "predicted": predicted,
            "loss": loss(self._task, label, predicted[self._champion]["value"]),
            "features": vector["features"],
        }
        return [Record("examples", "Example", example, origin)]

    def _too_late(self, label: Label, origin: Origin) -> Record:
        event_id, end = label["event_id"], self._ends[label["event_id"]]
        if end is None:
            fate, reason = "late", RejectReason.LATE_LABEL
            detail = f"a label requires an event that still waits (pending); got {event_id!r}"
        elif end == label["label"]:
            fate, reason = "duplicate", RejectReason.DUPLICATE_LABEL
            detail = f"an event requires one label; got {event_id!r} again"
        else:
            fate, reason = "late_correction", RejectReason.LATE_CORRECTION
            detail = (
                f"a correction requires an event not yet learned; got {label['label']!r}"
                f" for {event_id!r}, learned as {end!r}"
            )
        self.tally["label", fate] += 1
        return self._reject("label", origin, reason, detail)

    def _hold(self, label: Label, origin: Origin) -> list[Record]:
        event_id = label["event_id"]
        earlier: Early | None = self.early.get(event_id)
        if earlier is not None and earlier.label["label"] == label["label"]:
            self.tally["label", "duplicate"] += 1
            detail = f"an event requires one label; got {event_id!r} again"
            return [self._reject("label", origin, RejectReason.DUPLICATE_LABEL, detail)]
        self.tally["label", "early" if earlier is None else "corrected"] += 1
        self.early[event_id] = Early(label, origin, self._watermark_ms)
        return self._orphans()

    def _advance(self, event_time_ms: int) -> None:
        """Move the watermark, and let go of the events that have waited for too long."""
        watermark_ms = self._progress.get(_WATERMARK)
        if watermark_ms is None:
            self._begin_waiting(event_time_ms)
            watermark_ms = event_time_ms
        elif event_time_ms > watermark_ms:
            self._progress[_WATERMARK] = watermark_ms = event_time_ms
        horizon_ms = watermark_ms - self._ttl_ms
        while self.waiting:
            event_id, waiting = self.waiting.oldest()
            expired = waiting.vector["event_time_ms"] < horizon_ms
            if not expired and len(self.waiting) < self._limit:
                break
            del self.waiting[event_id]
            self._ends.remember(event_id, None)
            self.tally["expired", "ttl" if expired else "limit"] += 1

    def _begin_waiting(self, event_time_ms: int) -> None:
        """Let the labels that came before any event wait from the first one's time on."""
        self._progress[_WATERMARK] = event_time_ms
        for event_id, early in [*self.early.items()]:
            self.early[event_id] = early._replace(since_ms=event_time_ms)

    def _orphans(self) -> list[Record]:
        made = []
        horizon_ms = self._watermark_ms - self._ttl_ms
        while self.early:
            event_id, early = self.early.oldest()
            if early.since_ms >= horizon_ms and len(self.early) <= self._limit:
                break
            del self.early[event_id]
            self.tally["label", "orphan"] += 1
            detail = f"a label requires its event within pending.ttl; got none for {event_id!r}"
            made.append(self._reject("label", early.origin, RejectReason.ORPHAN_LABEL, detail))
        return made

    def _count_example(self, key: str | None) -> None:
        scope_key = self._models.scope_key(key)
        self._examples[scope_key] = self._examples.get(scope_key, 0) + 1

    def _staleness(self, key: str | None, models: ModelSet) -> int:
        """Return how many examples the models are behind those that learn elsewhere."""
        return int(self._examples.get(self._models.scope_key(key), 0)) - models.version

    @property
    def _watermark_ms(self) -> int:
        return int(self._progress.get(_WATERMARK, 0))


def _prediction(answer: Answer) -> Record:
    vector, predicted = answer.vector, answer.predicted
    value: Prediction = {
        "event_id": vector["event_id"],
        "key": vector["key"],
        "event_time_ms": vector["event_time_ms"],
        "prediction_time_ms": _NOT_PREDICTED_YET,  # operators read no clock: the task stamps it
        "value": predicted["value"],
        "model": answer.model,
        "model_version": answer.version,
        "staleness_examples": answer.staleness_examples,
        "probabilities": predicted["probabilities"],
        "features": vector["features"],
    }
    return Record("predictions", "Prediction", value, answer.origin)
