"""Learning: every labelled event is a test first, and then a training example.

Reads `examples`; writes `alerts` and `rejects`. Compares what every candidate and baseline had
predicted with the label (prequential evaluation), watches the loss of each candidate for drift
and reacts by the pipeline's policy, and trains every model. The models are kept in the store
`models`, which the engine publishes to the topic of that name. A label for which the champion, a
metric or a detector raises an exception goes to `rejects`, with the last frame of the traceback;
the rest goes on. A candidate that makes no valid prediction any more is reset or replaced, as
`on_invalid_prediction` says, with an alert.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Self

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.evaluation import Prequential
from millrace.models.candidates.losses import losses
from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.prototype import Prototype
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.monitoring.drift_monitor import DriftMonitor, Evidence
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import PASSED_ON
from millrace.schemas import RejectReason
from millrace.schemas.records import Alert, Example, FeatureVector
from millrace.streams.operators.base import Reading, RecordOperator, Topics
from millrace.streams.operators.context import Context
from millrace.streams.operators.invalid import invalid_alert
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.label_join import Joined
from millrace.streams.operators.record import (
    MODELS_KEY,
    AlertRecord,
    ExampleRecord,
    Origin,
    Record,
)
from millrace.streams.operators.scope import ScopedModels

MODELS_STORE = MODELS_KEY.rstrip("/")
"""Full name of the store that is published to the topic `models`."""

_PARTITION = "partition"
_MOST_READ = 10_000  # models, for a metric: a million take half a second


class LearningOperator(RecordOperator):
    """Evaluate, watch for drift, train.

    Parameters
    ----------
    pipeline
        The definition.
    models
        Prediction asks the same ones where the two share an agent.
    """

    name = "learning"
    runs_within = "prediction"

    def __init__(self, pipeline: Pipeline, models: ScopedModels) -> None:
        self._pipeline = pipeline
        self._task = Task(pipeline.task)
        self._policy = DriftPolicy(pipeline.drift.policy)
        self._on_invalid = DriftPolicy(pipeline.on_invalid_prediction)
        self._learns_without_labels = pipeline.learns_without_labels
        self.models = models
        self._evaluation: KeyedState[Prequential] = KeyedState()
        self._monitors: KeyedState[dict[str, DriftMonitor]] = KeyedState(pipeline.max_models)
        self._untouched = Prototype(self._fresh_monitors)
        models.keep_beside(self._monitors)
        self._steps = (self._measure, self._watch, self._look_for_broken, self._compare)
        super().__init__(
            pipeline,
            self.topics_in([self.name]),
            models=models.by_scope_key,
            evaluation=self._evaluation,
            monitors=self._monitors,
        )

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:
        reads = () if cls.runs_within in agent else ("examples",)
        return Topics(frozenset(reads), frozenset({"alerts", "rejects"}))

    @classmethod
    def make(cls, context: Context) -> Self:
        return cls(context.pipeline, context.models)

    @property
    def evaluation(self) -> Prequential | None:
        """The metrics so far; None before the first example."""
        return self._evaluation.get(_PARTITION)

    def process(self, record: Record) -> Iterable[Record]:
        if not isinstance(record, ExampleRecord):
            return ()
        return self.train(_joined(record.value, self._task, record.origin))

    def train(self, joined: Joined) -> list[Record]:
        """Evaluate what was predicted, where the label is known; then train every model."""
        scope_key = self.models.scope_key(joined.vector["key"])
        made: list[Record] = [] if joined.label is None else self._evaluate(joined, scope_key)
        if joined.label is None or not self._learns_without_labels:
            models = self.models.of(scope_key)
            self.models.mark_trained(scope_key)
            try:
                models.learn(joined.vector["features"], joined.label, self._note_failure)
            except PASSED_ON:
                raise
            except BaseException as error:  # the champion is the user's own
                made.append(self._fail("label", joined.origin, RejectReason.LEARN_ERROR, error))
            else:
                self.tally["learned", models.champion] += 1
        return made

    def forget(self, _scope_key: str) -> None:
        """Do nothing: what is kept beside models goes with them."""

    def staleness(self, _scope_key: str, _models: ModelSet) -> int:
        """Return 0: the models that predict are those that have just been trained."""
        return 0

    def readings(self) -> Iterable[Reading]:
        models = self.models.by_scope_key
        trained_last = islice(reversed(models.values()), _MOST_READ)
        most_learned = max((each.version for each in trained_last), default=0)
        yield Reading("model_version", (), most_learned)
        yield Reading("models", (), len(models))
        if self.evaluation is not None:
            yield from _quality(self.evaluation)

    def _evaluate(self, joined: Joined, scope_key: str) -> list[Record]:
        """Measure, watch, compare: where one meets user code that raises, the others go on."""
        made: list[Record] = []
        for step in self._steps:
            try:
                made += step(joined, scope_key)
            except PASSED_ON:
                raise
            except BaseException as error:  # a metric, a detector or a factory: user code
                made.append(self._fail("label", joined.origin, RejectReason.EVALUATE_ERROR, error))
        return made

    def _measure(self, joined: Joined, _scope_key: str) -> list[Record]:
        assert joined.label is not None
        evaluation = self._evaluation.changing(_PARTITION, self._fresh_evaluation)
        evaluation.update_all(joined.label, joined.predicted)
        return []

    def _watch(self, joined: Joined, scope_key: str) -> list[Record]:
        made: list[Record] = []
        for name, monitor in self._monitors.changing(scope_key, self._untouched.copy).items():
            loss = joined.losses.get(name)
            evidence = None if loss is None else monitor.update(loss)
            if evidence is not None:
                models = self.models.of(scope_key)
                made.append(self._alert(name, evidence, models.version, joined))
                models.handle_drift(name, self._policy, self._pipeline)
                self.models.mark_trained(scope_key)
        return made

    def _look_for_broken(self, joined: Joined, scope_key: str) -> list[Record]:
        """Apply the policy to candidates that make no valid prediction any more."""
        models = self.models.by_scope_key.get(scope_key)
        made: list[Record] = []
        if models is None:
            return made
        policy, vector, origin = self._on_invalid, joined.vector, joined.origin
        for name in models.broken(vector["features"], joined.losses):
            count = models.failures[name]
            made.append(invalid_alert(name, models.version, count, vector, origin, policy))
            models.handle_drift(name, policy, self._pipeline)
            self.models.mark_trained(scope_key)
        return made

    def _compare(self, joined: Joined, scope_key: str) -> list[Record]:
        models = self.models.by_scope_key.get(scope_key)
        if models is not None and models.challengers:
            models.compare(joined.predicted, joined.losses)
            self.models.mark_trained(scope_key)
        return []

    def _note_failure(self, candidate: str) -> None:
        self.tally["failed", candidate] += 1

    def _alert(self, name: str, evidence: Evidence, version: int, joined: Joined) -> AlertRecord:
        alert = Alert(
            source=f"loss:{name}",
            detector=evidence.detector,
            event_id=joined.vector["event_id"],
            event_time_ms=joined.vector["event_time_ms"],
            position=evidence.position,
            mean_before=evidence.mean_before,
            mean_after=evidence.mean_after,
            action=self._policy.value,
            model=name,
            model_version=version,
        )
        return AlertRecord(alert, joined.origin)

    def _fresh_evaluation(self) -> Prequential:
        pipeline = self._pipeline
        names = [*pipeline.models, *baselines(self._task)]
        return Prequential(self._task, names, pipeline.metrics, pipeline.rolling_window)

    def _fresh_monitors(self) -> dict[str, DriftMonitor]:
        settings = self._pipeline.drift
        if settings.loss is None:
            return {}
        return {
            name: DriftMonitor(
                settings.loss,
                settings.cooldown,
                only_increase=True,
                scaled=not self._task.is_classification,
                quiet=self._policy is DriftPolicy.ALERT,
            )
            for name in self._pipeline.models
        }


def _joined(example: Example, task: Task, origin: Origin) -> Joined:
    """Return what an example stands for; when its label came matters no more."""
    label, predicted = example["label"], example["predicted"]
    vector: FeatureVector = {
        "event_id": example["event_id"],
        "key": example["key"],
        "event_time_ms": example["event_time_ms"],
        "label": label,
        "features": example["features"],
    }
    lost = {} if label is None else losses(task, label, predicted)
    return Joined(vector, predicted, label, None, lost, origin)


def _quality(evaluation: Prequential) -> Iterable[Reading]:
    windows = {"cumulative": evaluation.cumulative(), "rolling": evaluation.rolling()}
    for window, by_candidate in windows.items():
        for candidate, metrics in by_candidate.items():
            for metric, value in metrics.items():
                yield Reading("prequential_metric", (candidate, metric, window), value)
    for candidate, count in evaluation.examples.items():
        yield Reading("prequential_examples", (candidate,), count)
