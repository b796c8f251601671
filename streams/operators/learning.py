"""Learning: every example is a test first, and then a lesson.

Reads `examples`; writes `alerts` and `rejects`. Scores what every candidate and baseline had
said of the event against its label (prequential evaluation), watches the loss of each candidate
for drift and reacts by the pipeline's policy, and lets every model learn. The models are kept in
the store `models`, which the engine publishes to the topic of that name. An example at which the
champion raises goes to `rejects` with the last frame of the traceback.
"""

from __future__ import annotations

from collections.abc import Iterable

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.evaluation import Prequential, loss
from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.tasks import Task
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.monitoring.drift_monitor import DriftMonitor, Evidence
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RejectReason
from millrace.schemas.records import Alert, Example, FeatureVector, LabelValue, Predicted
from millrace.streams.operators.base import Operator
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import Origin, Record
from millrace.streams.operators.scope import ScopedModels

_KEY = "partition"


class LearningOperator(Operator):
    """Test, watch for drift, learn.

    Parameters
    ----------
    pipeline
        The definition.
    models
        Prediction asks the same ones where the two share an agent.
    """

    name = "learning"
    reads = frozenset({"examples"})
    writes = frozenset({"alerts", "rejects"})

    def __init__(self, pipeline: Pipeline, models: ScopedModels) -> None:
        self._pipeline = pipeline
        self._task = Task(pipeline.task)
        self._policy = DriftPolicy(pipeline.drift.policy)
        self._models = models
        self._learns_without_labels = pipeline.learns_without_labels
        self._evaluation = KeyedState()
        self._monitors = KeyedState(pipeline.max_models)
        super().__init__(
            pipeline,
            models=models.by_scope_key,
            evaluation=self._evaluation,
            monitors=self._monitors,
        )

    @property
    def evaluation(self) -> Prequential | None:
        """The metrics so far; None before the first example."""
        return self._evaluation.get(_KEY)

    def process(self, record: Record) -> Iterable[Record]:
        example: Example = record.value
        return self.learn(example, example["label"], example["predicted"], record.origin)

    def learn(
        self,
        event: FeatureVector | Example,
        label: LabelValue | None,
        predicted: dict[str, Predicted],
        origin: Origin,
    ) -> Iterable[Record]:
        """Test what was said of an event, if its label is known; then let the models learn.

        Parameters
        ----------
        event
            With the features that the models have seen.
        label
            None where the models learn without labels, and have not been told.
        predicted
            What each model said.
        origin
            Of the record that brought the label.
        """
        scope_key = self._models.scope_key(event["key"])
        made = [] if label is None else self._test(event, label, predicted, scope_key, origin)
        if label is None or not self._learns_without_labels:
            models = self._models.of(scope_key)
            self._models.have_learned(scope_key)
            try:
                models.learn(event["features"], label, predicted)
            except Exception as error:  # the champion is the user's own: it may raise anything
                made.append(self._fail("label", origin, RejectReason.LEARN_ERROR, error))
            else:
                self.tally["learned", models.champion] += 1
        return made

    def _test(
        self,
        event: FeatureVector | Example,
        label: LabelValue,
        predicted: dict[str, Predicted],
        scope_key: str,
        origin: Origin,
    ) -> list[Record]:
        evaluation: Prequential = self._evaluation.changing(_KEY, self._fresh_evaluation)
        evaluation.update_all(label, predicted)
        monitors: dict[str, DriftMonitor]
        monitors = self._monitors.changing(scope_key, self._fresh_monitors)
        made = []
        for name, monitor in monitors.items():
            error = loss(self._task, label, predicted[name]["value"])
            evidence = None if error is None else monitor.update(error)
            if evidence is not None:
                models = self._models.of(scope_key)
                made.append(self._alert(name, evidence, event, models, origin))
                models.react(name, self._policy, self._pipeline)
                self._models.have_learned(scope_key)
        return made

    def _alert(
        self,
        name: str,
        evidence: Evidence,
        event: FeatureVector | Example,
        models: ModelSet,
        origin: Origin,
    ) -> Record:
        alert = Alert(
            source=f"loss:{name}",
            detector=evidence.detector,
            event_id=event["event_id"],
            event_time_ms=event["event_time_ms"],
            position=evidence.position,
            mean_before=evidence.mean_before,
            mean_after=evidence.mean_after,
            action=self._policy.value,
            model=name,
            model_version=models.version,
        )
        return Record("alerts", "Alert", alert, origin)

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
            )
            for name in self._pipeline.models
        }
