"""Learning: every example is a test first, and then a lesson.

Reads `examples`; writes `alerts` and `rejects`. Scores what every candidate and baseline had
said of the event against its label (prequential evaluation), watches the loss of each candidate
for drift and reacts by the pipeline's policy, and lets every model learn. The models are kept in
the store `models`, which the engine publishes to the topic of that name. An example at which the
champion raises goes to `rejects` with the last frame of the traceback.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.baselines import baselines
from models.candidates import ModelSet
from models.definition import Pipeline
from models.drift import DriftMonitor, DriftPolicy, Evidence
from models.evaluation import Prequential, loss
from models.tasks import Task
from schemas import RejectReason
from schemas.records import Alert, Example
from streams.operators.base import Operator
from streams.operators.record import Record
from streams.operators.scope import ScopedModels
from streams.operators.state import KeyedState

_KEY = "partition"


class LearningOperator(Operator):
    """Test, watch for drift, learn.

    Parameters
    ----------
    pipeline
        The definition.
    models
        Prediction reads the same ones where the two share an agent.
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
        scope_key = self._models.scope_key(example["key"])
        made = [] if example["label"] is None else self._test(example, scope_key, record)
        if example["label"] is None or not self._learns_without_labels:
            made += self._learn(example, scope_key, record)
        return made

    def _test(self, example: Example, scope_key: str, record: Record) -> list[Record]:
        label, served = example["label"], example["served"]
        assert label is not None
        evaluation: Prequential = self._evaluation.changing(_KEY, self._fresh_evaluation)
        evaluation.update_all(label, served)
        monitors: dict[str, DriftMonitor]
        monitors = self._monitors.changing(scope_key, self._fresh_monitors)
        made = []
        for name, monitor in monitors.items():
            error = loss(self._task, label, served[name]["value"])
            evidence = None if error is None else monitor.update(error)
            if evidence is not None:
                models = self._models.of(scope_key)
                made.append(self._alert(name, evidence, example, models, record))
                models.react(name, self._policy, self._pipeline)
                self._models.have_learned(scope_key)
        return made

    def _learn(self, example: Example, scope_key: str, record: Record) -> Iterable[Record]:
        models = self._models.of(scope_key)
        self._models.have_learned(scope_key)
        try:
            models.learn(example["features"], example["label"], example["served"])
        except Exception as error:  # the champion is the user's own: it may raise anything
            return (self._fail("label", record.origin, RejectReason.LEARN_ERROR, error),)
        self.tally["learned", models.champion] += 1
        return ()

    def _alert(
        self, name: str, evidence: Evidence, example: Example, models: ModelSet, record: Record
    ) -> Record:
        alert = Alert(
            source=f"loss:{name}",
            detector=evidence.detector,
            event_id=example["event_id"],
            event_time_ms=example["event_time_ms"],
            position=evidence.position,
            mean_before=evidence.mean_before,
            mean_after=evidence.mean_after,
            action=self._policy.value,
            model=name,
            model_version=models.version,
        )
        return Record("alerts", "Alert", alert, record.origin)

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
