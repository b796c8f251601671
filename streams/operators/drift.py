"""Drift: what needs no label to be seen, the inputs and the predictions.

Reads `predictions`; writes `alerts`. Watches every numeric feature and the predicted
distribution (the probability of true, of the likeliest class, or the predicted value) of one
partition. Keeps one monitor for each, which is silent for `drift.cooldown` values after an
alert, so that one drift is one alert. A feature of text is not watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from models.definition import Pipeline
from models.drift import Detector, DriftMonitor, Evidence
from models.tasks import Task
from schemas.records import Alert, Prediction
from streams.operators.base import Operator
from streams.operators.record import Record
from streams.operators.state import KeyedState

_KEY = "partition"
_PREDICTION = "prediction"


class DriftOperator(Operator):
    """Watch the inputs and the predictions of one partition.

    Parameters
    ----------
    pipeline
        The definition.
    """

    name = "drift"
    reads = frozenset({"predictions"})
    writes = frozenset({"alerts"})

    def __init__(self, pipeline: Pipeline) -> None:
        self._task = Task(pipeline.task)
        self._settings = pipeline.drift
        self._monitors = KeyedState()
        super().__init__(monitors=self._monitors)

    def process(self, record: Record) -> Iterable[Record]:
        prediction: Prediction = record.value
        monitors: dict[str, DriftMonitor | None] = self._monitors.get(_KEY, {})
        made = []
        for source, value in self._watched(prediction):
            if source not in monitors:
                monitors[source] = self._fresh_monitor(source)
            monitor = monitors[source]
            evidence = None if monitor is None else monitor.update(value)
            if evidence is not None:
                alert = _alert(source, evidence, prediction)
                made.append(Record("alerts", "Alert", alert, record.origin))
        self._monitors[_KEY] = monitors
        return made

    def _watched(self, prediction: Prediction) -> Iterator[tuple[str, float]]:
        for name, value in prediction["features"].items():
            if not isinstance(value, str):
                yield f"input:{name}", value
        predicted = self._predicted(prediction)
        if predicted is not None:
            yield _PREDICTION, predicted

    def _predicted(self, prediction: Prediction) -> float | None:
        value, probabilities = prediction["value"], prediction["probabilities"]
        if self._task is Task.BINARY:
            return probabilities.get("True", None if value is None else float(value))
        if self._task is Task.MULTICLASS:
            return max(probabilities.values(), default=None)
        return None if value is None else float(value)

    def _fresh_monitor(self, source: str) -> DriftMonitor | None:
        detector = self._detector(source)
        if detector is None:
            return None
        is_probability = source == _PREDICTION and self._task.is_classification
        return DriftMonitor(detector, self._settings.cooldown, scaled=not is_probability)

    def _detector(self, source: str) -> Detector | None:
        if source == _PREDICTION:
            return self._settings.predictions
        inputs = self._settings.inputs
        if isinstance(inputs, Mapping):
            return inputs.get(source.removeprefix("input:"))
        return inputs


def _alert(source: str, evidence: Evidence, prediction: Prediction) -> Alert:
    return Alert(
        source=source,
        detector=evidence.detector,
        event_id=prediction["event_id"],
        event_time_ms=prediction["event_time_ms"],
        position=evidence.position,
        mean_before=evidence.mean_before,
        mean_after=evidence.mean_after,
        action="alert",
        model=prediction["model"],
        model_version=prediction["model_version"],
    )
