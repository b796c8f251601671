"""Drift: what needs no label to be seen, the inputs and the predictions.

Reads `predictions`; writes `alerts`. Watches every numeric feature and the predicted
distribution (the probability of true, of the likeliest class, or the predicted value) of one
partition. Keeps one monitor for each, which is silent for `drift.cooldown` values after an
alert, so that one drift is one alert. A feature of text is not watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.definition import Pipeline
from models.drift import Detector, DriftMonitor, Evidence
from models.tasks import Task
from schemas.records import Alert, Prediction
from streams.operators.base import Operator
from streams.operators.record import Record
from streams.operators.state import KeyedState

_INPUTS = "inputs"
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
        super().__init__(pipeline, monitors=self._monitors)

    def process(self, record: Record) -> Iterable[Record]:
        prediction: Prediction = record.value
        inputs: dict[str, DriftMonitor | None] = self._monitors.get(_INPUTS, {})
        found = []
        for name, value in prediction["features"].items():
            if type(value) is str:
                continue
            if name not in inputs:
                inputs[name] = self._monitor(self._input_detector(name), scaled=True)
            monitor = inputs[name]
            if monitor is not None and (evidence := monitor.update(value)):  # type: ignore[arg-type]
                found.append((f"input:{name}", evidence))
        self._monitors[_INPUTS] = inputs
        evidence = self._watch_prediction(prediction)
        if evidence is not None:
            found.append(("prediction", evidence))
        return [
            Record("alerts", "Alert", _alert(source, evidence, prediction), record.origin)
            for source, evidence in found
        ]

    def _watch_prediction(self, prediction: Prediction) -> Evidence | None:
        value = self._predicted(prediction)
        if value is None or self._settings.predictions is None:
            return None
        monitor = self._monitors.get(_PREDICTION) or self._monitor(
            self._settings.predictions, scaled=not self._task.is_classification
        )
        self._monitors[_PREDICTION] = monitor
        return monitor.update(value) if monitor else None

    def _predicted(self, prediction: Prediction) -> float | None:
        value, probabilities = prediction["value"], prediction["probabilities"]
        if self._task is Task.BINARY:
            return probabilities.get("True", None if value is None else float(value))
        if self._task is Task.MULTICLASS:
            return max(probabilities.values(), default=None)
        return None if value is None else float(value)

    def _monitor(self, detector: Detector | None, *, scaled: bool) -> DriftMonitor | None:
        if detector is None:
            return None
        return DriftMonitor(detector, self._settings.cooldown, scaled=scaled)

    def _input_detector(self, name: str) -> Detector | None:
        inputs = self._settings.inputs
        return inputs.get(name) if isinstance(inputs, Mapping) else inputs


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
