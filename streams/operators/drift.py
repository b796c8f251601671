"""Drift: what needs no label to be seen, the inputs and the predictions.

Reads `predictions`; writes `alerts`. Watches every numeric feature and the predicted
distribution (the probability of true, of the likeliest class, or the predicted value) of one
partition. Keeps one monitor for each, which is silent for `drift.cooldown` values after an
alert, so that one drift is one alert. A feature of text is not watched.

Predictions are held until there are 32 of them, and shown to one monitor after the other: half
the cost, and no loss, since River's ADWIN looks for a change at every 32nd value only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from millrace.models.candidates.tasks import Task
from millrace.models.monitoring.drift import Detector
from millrace.models.monitoring.drift_monitor import DriftMonitor, Evidence
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Alert, Prediction
from millrace.streams.operators.base import Operator
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import Record

_PREDICTION = "prediction"
_HELD = "predictions"
_WATCHED_AT_A_TIME = 32
_NUMBERS = frozenset({bool, int, float})


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
        self._held = KeyedState()
        super().__init__(pipeline, monitors=self._monitors, held=self._held)

    def process(self, record: Record) -> Iterable[Record]:
        held: list[Prediction] = self._held.changing(_HELD, list)
        held.append(record.value)
        if len(held) < _WATCHED_AT_A_TIME:
            return ()
        self._held[_HELD] = []
        return [
            Record("alerts", "Alert", _alert(source, evidence, prediction), record.origin)
            for source, evidence, prediction in self._watch(held)
        ]

    def _watch(self, held: list[Prediction]) -> Iterator[tuple[str, Evidence, Prediction]]:
        """Show each monitor its values, and say what it found at which prediction."""
        vectors = [each["features"] for each in held]
        for name in dict.fromkeys(chain.from_iterable(vectors)):
            values = [each.get(name) for each in vectors]
            yield from self._show(f"input:{name}", self._input_detector(name), held, values)
        predicted = [*map(self._predicted, held)]
        yield from self._show(_PREDICTION, self._settings.predictions, held, predicted)

    def _show(
        self,
        source: str,
        detector: Detector | None,
        held: list[Prediction],
        values: list[Any],
    ) -> Iterator[tuple[str, Evidence, Prediction]]:
        """Show the monitor of one source the numbers among `values`, one for each of `held`."""
        if not {*map(type, values)} <= _NUMBERS:
            places = [place for place, value in enumerate(values) if type(value) in _NUMBERS]
            held, values = [held[each] for each in places], [values[each] for each in places]
        if detector is None or not values:
            return
        monitor: DriftMonitor | None = self._monitors.get(source)
        if monitor is None:
            is_probability = source == _PREDICTION and self._task.is_classification
            cooldown = self._settings.cooldown
            monitor = DriftMonitor(detector, cooldown, scaled=not is_probability)
        self._monitors[source] = monitor
        for place, evidence in monitor.take(values):
            yield source, evidence, held[place]

    def _predicted(self, prediction: Prediction) -> float | None:
        value, probabilities = prediction["value"], prediction["probabilities"]
        if self._task is Task.BINARY:
            return probabilities.get("True", None if value is None else float(value))
        if self._task is Task.MULTICLASS:
            return max(probabilities.values(), default=None)
        return None if value is None else float(value)

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
