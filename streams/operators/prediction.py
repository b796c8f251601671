"""Prediction: where an event becomes a prediction.

Reads `features` (feature vectors and labels in one order). Writes `predictions`, `outcomes`,
`evaluations`, `alerts` and `rejects`. Every candidate predicts at the event's place in the log; the
champion's prediction is published. Events and labels then meet in the label join (`label_join`),
which is part of this operator, since it keeps what each candidate predicted.

Where learning shares the agent, what is joined is trained on before the next record is looked at.
At the end of a slice, what baselines predicted is filled in, predictions and outcomes are made as
columns, and blocks of events whose labels are known are evaluated (`event_blocks`). Where learning
has an agent of its own, this operator writes `examples` for it, and reads `models`.

An event for which the champion raises an exception goes to `rejects`, as does one whose id is
known. So does one for which the champion's answer is no prediction, such as NaN; it waits for its
label all the same, and there is an alert. So does one for which the champion raises where it would
raise for the first event, too, that it predicted: the champion is broken, and not the event odd.
State: that of the label join, how often the champion made no prediction, and the features of the
first event that each candidate predicted; with learning elsewhere, the number of examples written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Self, TypeAlias

from millrace.models.candidates.candidate import NotePrediction
from millrace.models.candidates.model_set import ModelSet, NoPredictionError
from millrace.models.candidates.predicting import InvalidPredictionError
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.schemas import RecordError, RejectReason, SnapshotError
from millrace.schemas.records import (
    Features,
    FeatureVector,
    Predicted,
    PublishedCertainty,
    PublishedReasons,
)
from millrace.streams.control.ticks import elapsed_ms
from millrace.streams.operators.base import Operator, Reading, RecordOperator, Topics, inserted
from millrace.streams.operators.class_names import as_published, has_boolean_classes
from millrace.streams.operators.columns import Made, PredictionColumns
from millrace.streams.operators.context import Context, LoadModels
from millrace.streams.operators.deployment import Deployment
from millrace.streams.operators.examples import ExampleWriter
from millrace.streams.operators.explaining import Explaining
from millrace.streams.operators.invalid import invalid_alert
from millrace.streams.operators.joined import Joined
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.label_join import LabelJoin
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.record import (
    AcceptedRecord,
    AuditRecord,
    LabelRecord,
    Origin,
    Record,
    RemovalRecord,
    SnapshotRecord,
    TombstoneRecord,
    VectorRecord,
)
from millrace.streams.operators.runs import Run
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice

_ALL = ""  # the scope key where one set of models serves all events
_SHORTEST_RUN = 8  # records; fewer are taken sooner one by one

_Asked: TypeAlias = tuple[dict[str, Predicted], ModelSet, int]
_Reasons: TypeAlias = PublishedReasons | None
_Published: TypeAlias = tuple[FeatureVector, Predicted, int, int, Origin, _Reasons, float | None]


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
        Reads what comes over the topic `models`.
    definition
        Reference of the definition.
    """

    name = "prediction"

    def __init__(
        self,
        pipeline: Pipeline,
        models: ScopedModels,
        training: LearningOperator | ExampleWriter,
        load_models: LoadModels,
        definition: str = "",
    ) -> None:
        nested = (training,) if isinstance(training, LearningOperator) else ()
        super().__init__(pipeline, self.topics_in([each.name for each in nested]))
        self.nested = nested
        self._definition = definition
        self._models = models
        self._training = training
        self._load_models = load_models
        self._cooldown = pipeline.drift.cooldown
        self._is_boolean = has_boolean_classes(pipeline)
        self._scope_key = ""  # of the models that predict
        # There are runs where the same models predict and learn all events.
        self._learning: LearningOperator | None = None
        if isinstance(training, LearningOperator) and pipeline.scope != Scope.KEY:
            self._learning = training
        self._explaining = Explaining(pipeline) if pipeline.reasons else None
        self._asked: list[_Asked] = []
        self._published: list[_Published] = []
        self._columns: list[PredictionColumns] = []  # of those that served before, in a slice
        self._invalid: KeyedState[int] = KeyedState()  # the champion's invalid predictions
        self._first: KeyedState[Features] = KeyedState()  # that each candidate predicted
        self._join = LabelJoin(pipeline, training, self.tally, definition)
        self.stores |= self._join.stores | {"invalid": self._invalid, "first": self._first}
        if isinstance(training, ExampleWriter):
            self.stores["examples"] = training.written

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:
        writes = frozenset({"predictions", "outcomes", "evaluations", "alerts", "rejects"})
        if LearningOperator.name in agent:
            return Topics(frozenset({"features"}), writes)
        return Topics(frozenset({"features", "models"}), writes | {"examples"})

    @classmethod
    def make(cls, context: Context) -> Self:
        pipeline, models = context.pipeline, context.models
        if LearningOperator.name in context.agent:
            training: LearningOperator | ExampleWriter = LearningOperator(
                pipeline,
                models,
                load_version=context.load_version,
                definition=context.definition,
            )
        else:
            training = ExampleWriter(pipeline, models)
        return cls(pipeline, models, training, context.load_models, context.definition)

    def inherit(self, before: Operator, deployment: Deployment) -> list[AuditRecord]:
        assert isinstance(before, PredictionOperator)
        self._join.inherit(before._join, self.pipeline)
        self._invalid, self._first = before._invalid, before._first
        for name in sorted(self._first.keys() - self.pipeline.models.keys()):
            del self._first[name]
        self.stores |= self._join.stores | {"invalid": self._invalid, "first": self._first}
        training, other = self._training, before._training
        if isinstance(training, ExampleWriter) and isinstance(other, ExampleWriter):
            training.written = self.stores["examples"] = other.written
            training.written.limit = self.pipeline.max_models
            self._models.inherit(before._models, deployment.number, deployment.changes)
        return []

    def apply(self, command: AcceptedRecord) -> list[Made]:
        passed_ms = elapsed_ms(command.value["arguments"])
        return self.settle(self._join.pass_time(passed_ms, command.origin))

    def _fold(self, slice_: Slice) -> list[Made]:
        self._made = []
        self._follow_champion()
        left = deque(each for each in slice_ if each.topic in self.topics.reads)
        while left:
            one_by_one = len(left)
            if self._learning is not None:
                one_by_one = min(self._fold_run(self._learning, left), len(left))
            self._take(left.popleft() for _ in range(one_by_one))
        return self.settle(self._made)

    def _fold_run(self, learning: LearningOperator, left: deque[Record]) -> int:
        """Fold the run that the next records begin with; return how many to take one by one."""
        if len(left) < _SHORTEST_RUN or self._models.commanded.is_paused:
            return len(left)
        models = self._models.of(_ALL)
        most_labels = learning.most_labels(_ALL)
        is_known = len(self._first) >= len(models.candidates)
        if not (models.is_ordinary and most_labels and is_known):
            return 1
        run = self._join.runs.find(left, self._place, most_labels)
        if len(run.steps) < _SHORTEST_RUN:
            return len(run.steps) + 1
        version, pending = models.version, models.pending_labels
        self._models.mark_trained(_ALL)
        reasons: list[_Reasons] = []
        note = self._noting(models, reasons)
        note_test = learning.reasons.noting(_ALL, models)
        steps, raised = models.follow(run.steps, self._note_failure, note, note_test)
        if steps < len(run.steps):
            run = run.first(steps)
        thresholds = self._join.take_run(run)
        self._publish(run, models, version, pending, reasons, thresholds)
        self._made += learning.take_run(run.joined, models, version, raised)
        if raised is not None and learning.take_failure():
            last = run.joined[-1]
            self._join.note_failure(last.vector["event_time_ms"], last.met)
        for _ in range(steps):
            left.popleft()
        return 1

    def _publish(
        self,
        run: Run,
        models: ModelSet,
        version: int,
        pending: int,
        reasons: Sequence[_Reasons],
        thresholds: Sequence[float | None],
    ) -> None:
        """Note what was predicted in a run, which began at a version of the models."""
        answers = [step.answers for step in run.steps if step.asked is not None]
        before = run.labels_before
        self._asked += [
            (predicted, models, pending + labels)
            for predicted, labels in zip(answers, before, strict=True)
        ]
        champion = self._champion
        self._published += [
            (record.value, predicted[champion], version + labels, 0, record.origin, why, threshold)
            for record, predicted, labels, why, threshold in zip(
                run.events,
                answers,
                before,
                reasons or [None] * len(answers),
                thresholds,
                strict=True,
            )
        ]

    def _noting(self, models: ModelSet, reasons: list[_Reasons]) -> NotePrediction | None:
        """Return what keeps why the champion predicts what it does, if this is asked for."""
        if self._explaining is None:
            return None
        tell, keep = self._explaining.teller(models.candidates[models.champion]), reasons.append
        return lambda features, predicted: keep(tell(features, predicted))

    def _reasons(self, models: ModelSet, features: Features, predicted: Predicted) -> _Reasons:
        """Return why the champion predicts that, if this is asked for."""
        if self._explaining is None:
            return None
        return self._explaining.teller(models.candidates[models.champion])(features, predicted)

    def process(self, record: Record) -> Iterable[Record]:
        if isinstance(record, VectorRecord):
            return self._predict(record.value, record.origin)
        if isinstance(record, LabelRecord):
            return self._join.add_label(record.value, record.origin, self._place)
        if isinstance(record, RemovalRecord):
            self._join.remove(record.value["event_id"], record.origin)
        elif isinstance(record, SnapshotRecord | TombstoneRecord):
            self._bring(record)
        return ()

    def _follow_champion(self) -> None:
        """Publish what the champion predicts, which may be another one now."""
        if self._published:
            self._columns += self._predictions()
        commanded = self._models.commanded
        self._champion = commanded.champion
        self._join.serve_by(commanded.champion, commanded.number)

    def settle(self, made: list[Record]) -> list[Made]:
        self._fill_in_baselines()
        settled, outcomes, evaluations = self._join.settle(made, self._failed_to_compare)
        columns, self._columns = [*self._columns, *self._predictions()], []
        of_outcomes = [] if outcomes is None else [outcomes]
        return [*columns, *of_outcomes, *inserted(made, settled), *evaluations]

    def readings(self) -> Iterable[Reading]:
        return self._join.readings()

    def _bring(self, record: SnapshotRecord | TombstoneRecord) -> None:
        """Predict with the models that a record of `models` brings, and not with those removed."""
        try:
            changes = self._load_models(record)
        except SnapshotError as error:
            raise RecordError(
                RejectReason.MALFORMED, f"the models cannot be loaded: {error}"
            ) from error
        for scope_key, models in changes.items():
            if models is None:
                self._models.by_scope_key.take(scope_key)
                self._training.forget(scope_key)
            else:
                self._models.by_scope_key[scope_key] = models
                self._models.follow(models)
                self._follow_champion()

    def _predict(self, vector: FeatureVector, origin: Origin) -> Iterable[Record]:
        event_id = vector["event_id"]
        if self._join.knows(event_id):
            detail = f"an event with the id {event_id!r} has come before"
            return [self._reject("event", origin, RejectReason.DUPLICATE_EVENT, detail)]
        scope_key = self._models.scope_key(vector["key"])
        models = self._models.of(scope_key)
        version, self._scope_key = models.version, scope_key
        try:
            predicted = models.predict(vector["features"], self._note_failure)
        except NoPredictionError as error:
            return self._unpredicted(vector, models, error, origin)
        if len(self._first) < len(models.candidates):
            self._note_first(models, vector["features"], predicted)
        answer, staleness = predicted[models.champion], self._training.staleness(scope_key, models)
        reasons = self._reasons(models, vector["features"], answer)
        threshold = self._threshold(vector)
        made = self._await_label(vector, predicted, models, origin, self._place, threshold)
        self._published.append((vector, answer, version, staleness, origin, reasons, threshold))
        return made

    def _threshold(self, vector: FeatureVector) -> float | None:
        certainty = self._join.certainty
        return None if certainty is None else certainty.serve(vector)

    def _note_first(
        self, models: ModelSet, features: Features, predicted: Mapping[str, Predicted]
    ) -> None:
        for name in models.candidates:
            if name not in self._first and predicted[name]["value"] is not None:
                self._first[name] = features.copy()

    def _await_label(
        self,
        vector: FeatureVector,
        predicted: dict[str, Predicted],
        models: ModelSet,
        origin: Origin,
        place: int,
        threshold: float | None = None,
    ) -> list[Record]:
        self._asked.append((predicted, models, models.pending_labels))
        return self._join.add_event(vector, predicted, origin, place, threshold)

    def _unpredicted(
        self, vector: FeatureVector, models: ModelSet, error: NoPredictionError, origin: Origin
    ) -> list[Record]:
        """Return the reject of an event without a prediction, and let it wait, if models learn it.

        An event for which a sound champion raises is odd: no model learns it.
        """
        cause = error.__cause__
        assert cause is not None
        others = (error.predicted[name] for name in models.candidates if name != models.champion)
        if any(each["value"] is not None for each in others):
            self._join.note_failure(vector["event_time_ms"], origin)
        if issubclass(type(cause), InvalidPredictionError):
            reason, detail = RejectReason.INVALID_PREDICTION, f"{models.champion}: {cause}"
            made: list[Record] = [self._reject("event", origin, reason, detail)]
            made += self._alert(vector, models, origin)
        else:
            made = [self._fail("event", origin, RejectReason.PREDICT_ERROR, cause)]
            first = self._first.get(models.champion)
            if first is None or not models.champion_fails(first):
                return made
        place = self._place + len(made)
        return made + self._await_label(vector, error.predicted, models, origin, place)

    def _alert(self, vector: FeatureVector, models: ModelSet, origin: Origin) -> list[Record]:
        """Count an invalid prediction of the champion, and return an alert, if one is due."""
        champion = models.champion
        count = self._invalid[champion] = self._invalid.get(champion, 0) + 1
        if (count - 1) % (self._cooldown + 1):
            return []
        return [invalid_alert(champion, models.version, count, vector, origin)]

    def _note_failure(self, candidate: str) -> None:
        self._models.mark_changed(self._scope_key)  # the count is saved with the models
        self.tally["failed", candidate] += 1

    def _failed_to_compare(self, joined: Joined, error: BaseException) -> Record:
        return self._fail("label", joined.origin, RejectReason.EVALUATE_ERROR, error)

    def _fill_in_baselines(self) -> None:
        """Add what baselines predicted, each after the labels that had come by then."""
        asked, self._asked = self._asked, []
        answers: dict[int, Mapping[str, list[Predicted]]] = {}
        for models, events in groupby(asked, key=itemgetter(1)):
            if id(models) not in answers:
                answers[id(models)] = models.answer_baselines()
            of_models = [*events]
            for name, each in answers[id(models)].items():
                for predicted, _, labels in of_models:
                    predicted[name] = each[labels]

    def _predictions(self) -> list[PredictionColumns]:
        published, self._published = self._published, []
        if not published:
            return []
        columns_of = zip(*published, strict=True)
        vectors, answers, versions, staleness, origins, reasons, thresholds = columns_of
        probabilities = [each["probabilities"] for each in answers]
        values = [each["value"] for each in answers]
        certainty: Sequence[PublishedCertainty | None] = [None] * len(answers)
        if self._join.certainty is not None:
            certainty = said = self._join.certainty.published(answers, thresholds)
            pairs = zip(values, said, strict=True)
            values = [None if each["abstained"] else value for value, each in pairs]
        columns = PredictionColumns(
            origins,
            event_ids=[each["event_id"] for each in vectors],
            keys=[each["key"] for each in vectors],
            event_times_ms=[each["event_time_ms"] for each in vectors],
            values=values,
            model=self._champion,
            model_versions=versions,
            staleness=staleness,
            probabilities=as_published(probabilities) if self._is_boolean else probabilities,
            features=[each["features"] for each in vectors],
            definition=self._definition,
            reasons=reasons,
            certainty=certainty,
        )
        return [columns]
