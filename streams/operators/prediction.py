"""Prediction: where an event becomes a prediction.

Reads `features` (feature vectors and labels in one order). Writes `predictions`, `outcomes`,
`alerts` and `rejects`. Every candidate predicts at the event's place in the log; the champion's
prediction is published. Events and labels then meet in the label join (`label_join`), which is part
of this operator, since it keeps what each candidate predicted.

Where learning shares the agent, what is joined is trained on before the next record is looked at.
Where it has an agent of its own, this operator writes `examples` for it, and reads `models`.

An event for which the champion raises an exception goes to `rejects`, as does one whose id is
known. So does one for which the champion's answer is no prediction, such as NaN; it waits for its
label all the same, and there is an alert. So does one for which the champion raises where it would
raise for the first event, too, that was predicted: the champion is broken, and not the event odd.
State: that of the label join, how often the champion made no prediction, and the features of that
first event; with learning elsewhere, the number of examples written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Self

from millrace.models.candidates.model_set import ModelSet, NoPredictionError
from millrace.models.candidates.predicting import InvalidPredictionError
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RecordError, RejectReason, SnapshotError
from millrace.schemas.records import Features, FeatureVector, Predicted, Prediction
from millrace.streams.operators.base import Reading, RecordOperator, Topics
from millrace.streams.operators.context import Context
from millrace.streams.operators.examples import ExampleWriter
from millrace.streams.operators.invalid import invalid_alert
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.label_join import LabelJoin
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.record import (
    LabelRecord,
    Origin,
    PredictionRecord,
    Record,
    SnapshotRecord,
    TombstoneRecord,
    VectorRecord,
)
from millrace.streams.operators.scope import ScopedModels

_NOT_PREDICTED_YET = 0


class PredictionOperator(RecordOperator):
    """Predict each event; join each label with its event.

    Parameters
    ----------
    pipeline
        The definition.
    models
        Those that learning trains, where the two share an agent; else those of the topic `models`.
    training
        Learning, where the two share an agent; else the writer of examples.
    load_models
        Reads the payload of a snapshot from `models`; None for a part of one.
    """

    name = "prediction"

    def __init__(
        self,
        pipeline: Pipeline,
        models: ScopedModels,
        training: LearningOperator | ExampleWriter,
        load_models: Callable[[bytes], ModelSet | None],
    ) -> None:
        nested = (training,) if isinstance(training, LearningOperator) else ()
        super().__init__(pipeline, self.topics_in([each.name for each in nested]))
        self.nested = nested
        self._models = models
        self._training = training
        self._load_models = load_models
        self._cooldown = pipeline.drift.cooldown
        self._has_failed = False
        self._invalid: KeyedState[int] = KeyedState()  # the champion's invalid predictions
        self._first: KeyedState[Features] = KeyedState()  # that the champion predicted
        self._join = LabelJoin(pipeline, training, self.tally)
        self.stores |= self._join.stores | {"invalid": self._invalid, "first": self._first}
        if isinstance(training, ExampleWriter):
            self.stores["examples"] = training.written

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:
        writes = frozenset({"predictions", "outcomes", "alerts", "rejects"})
        if LearningOperator.name in agent:
            return Topics(frozenset({"features"}), writes)
        return Topics(frozenset({"features", "models"}), writes | {"examples"})

    @classmethod
    def make(cls, context: Context) -> Self:
        pipeline, models = context.pipeline, context.models
        if LearningOperator.name in context.agent:
            training: LearningOperator | ExampleWriter = LearningOperator(pipeline, models)
        else:
            training = ExampleWriter(pipeline, models)
        return cls(pipeline, models, training, context.load_models)

    def process(self, record: Record) -> Iterable[Record]:
        if isinstance(record, VectorRecord):
            return self._predict(record.value, record.origin)
        if isinstance(record, LabelRecord):
            return self._join.add_label(record.value, record.origin)
        if isinstance(record, TombstoneRecord):
            self._models.by_scope_key.take(record.scope_key)
            self._training.forget(record.scope_key)
        elif isinstance(record, SnapshotRecord):
            models = self._loaded(record)
            if models is not None:
                self._models.by_scope_key[record.value["scope_key"]] = models
        return ()

    def readings(self) -> Iterable[Reading]:
        return self._join.readings()

    def _loaded(self, record: SnapshotRecord) -> ModelSet | None:
        try:
            return self._load_models(record.value["payload"])
        except SnapshotError as error:
            raise RecordError(
                RejectReason.MALFORMED, f"the models cannot be loaded: {error}"
            ) from error

    def _predict(self, vector: FeatureVector, origin: Origin) -> Iterable[Record]:
        event_id = vector["event_id"]
        if self._join.knows(event_id):
            detail = f"an event with the id {event_id!r} has come before"
            return [self._reject("event", origin, RejectReason.DUPLICATE_EVENT, detail)]
        scope_key = self._models.scope_key(vector["key"])
        models = self._models.of(scope_key)
        try:
            predicted = models.predict(vector["features"], self._note_failure)
        except NoPredictionError as error:
            return self._unpredicted(vector, models, error, origin)
        finally:
            if self._has_failed:  # the count is saved with the models
                self._models.mark_changed(scope_key)
                self._has_failed = False
        if models.champion not in self._first:
            self._first[models.champion] = vector["features"].copy()
        staleness = self._training.staleness(scope_key, models)
        prediction = _prediction(vector, predicted, models, staleness, origin)
        return [prediction, *self._join.add_event(vector, predicted, origin)]

    def _unpredicted(
        self, vector: FeatureVector, models: ModelSet, error: NoPredictionError, origin: Origin
    ) -> list[Record]:
        """Return the reject of an event without a prediction, and let it wait, if models learn it.

        An event for which a sound champion raises is odd: no model learns it.
        """
        cause = error.__cause__
        assert cause is not None
        if issubclass(type(cause), InvalidPredictionError):
            reason, detail = RejectReason.INVALID_PREDICTION, f"{models.champion}: {cause}"
            made: list[Record] = [self._reject("event", origin, reason, detail)]
            made += self._alert(vector, models, origin)
        else:
            made = [self._fail("event", origin, RejectReason.PREDICT_ERROR, cause)]
            first = self._first.get(models.champion)
            if first is None or not models.champion_fails(first):
                return made
        return made + self._join.add_event(vector, error.predicted, origin)

    def _alert(self, vector: FeatureVector, models: ModelSet, origin: Origin) -> list[Record]:
        """Count an invalid prediction of the champion, and return an alert, if one is due."""
        champion = models.champion
        count = self._invalid[champion] = self._invalid.get(champion, 0) + 1
        if (count - 1) % (self._cooldown + 1):
            return []
        return [invalid_alert(champion, models.version, count, vector, origin)]

    def _note_failure(self, candidate: str) -> None:
        self._has_failed = True
        self.tally["failed", candidate] += 1


def _prediction(
    vector: FeatureVector,
    predicted: dict[str, Predicted],
    models: ModelSet,
    staleness: int,
    origin: Origin,
) -> PredictionRecord:
    answer = predicted[models.champion]
    value: Prediction = {
        "event_id": vector["event_id"],
        "key": vector["key"],
        "event_time_ms": vector["event_time_ms"],
        "prediction_time_ms": _NOT_PREDICTED_YET,  # operators read no clock: the task stamps it
        "value": answer["value"],
        "model": models.champion,
        "model_version": models.version,
        "staleness_examples": staleness,
        "probabilities": answer["probabilities"],
        "features": vector["features"],
    }
    return PredictionRecord(value, origin)
