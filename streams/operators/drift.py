"""Drift that needs no label to be seen: of the inputs and of the predictions.

Reads `predictions`; writes `alerts`, and `rejects` where a detector raises an exception. Watches
every numeric feature and the predictions (the probability of true, of the likeliest class, or the
predicted value) of one partition. Keeps one monitor for each, which raises no other alert for
`drift.cooldown` values after one, so that one drift is one alert. A feature of text is not watched.

A change is only an alert where the values are independent but for it: a counter or a daily cycle
changes all the time. A source with three alerts within 100,000 values is no longer watched, and the
metric `drift_unwatched` says so.

Predictions are kept until there are 32 of them, and then passed to one monitor after the other:
half the cost, and no delay, since River's ADWIN checks for a change at every 32nd value only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Self, cast

from millrace.models.monitoring.detectors import Detector
from millrace.models.monitoring.drift_monitor import DriftMonitor, Evidence
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import PASSED_ON
from millrace.schemas import RejectReason
from millrace.schemas.records import Alert, Prediction
from millrace.streams.operators.base import Reading, RecordOperator, Topics
from millrace.streams.operators.context import Context
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import (
    AlertRecord,
    PredictionRecord,
    Record,
    last_frame,
)

_PREDICTION = "prediction"
_BUFFERED = "predictions"
_WATCHED_AT_A_TIME = 32
_MOST_ALERTS = 3  # of a source within 100,000 values
_NUMBERS = frozenset({bool, int, float})


class DriftOperator(RecordOperator):
    """Watch the inputs and the predictions of one partition.

    Parameters
    ----------
    pipeline
        The definition.
    """

    name = "drift"

    def __init__(self, pipeline: Pipeline) -> None:
        self._task = Task(pipeline.task)
        self._settings = pipeline.drift
        self._monitors: KeyedState[DriftMonitor] = KeyedState()
        self._buffer: KeyedState[list[Prediction]] = KeyedState()
        topics = self.topics_in([self.name])
        super().__init__(pipeline, topics, monitors=self._monitors, held=self._buffer)

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:  # noqa: ARG003 - the same in each
        return Topics(frozenset({"predictions"}), frozenset({"alerts", "rejects"}))

    @classmethod
    def make(cls, context: Context) -> Self:
        return cls(context.pipeline)

    def process(self, record: Record) -> Iterable[Record]:
        if not isinstance(record, PredictionRecord):
            return ()
        buffered = self._buffer.changing(_BUFFERED, list)
        buffered.append(record.value)
        if len(buffered) < _WATCHED_AT_A_TIME:
            return ()
        self._buffer[_BUFFERED] = []
        made: list[Record] = []
        for source, detector, values in self._sources(buffered):
            try:
                found = [*self._watch_source(source, detector, buffered, values)]
            except PASSED_ON:
                raise
            except BaseException as error:  # a detector of the user's own; the others go on
                reason, detail = RejectReason.EVALUATE_ERROR, f"{source}: {last_frame(error)}"
                made.append(self._fail("event", record.origin, reason, error, detail))
            else:
                made += [
                    AlertRecord(_alert(source, evidence, prediction), record.origin)
                    for evidence, prediction in found
                ]
        return made

    def readings(self) -> Iterable[Reading]:
        for source, monitor in self._monitors.items():
            yield Reading("drift_unwatched", (source,), not monitor.is_watching)

    def _sources(
        self, buffered: list[Prediction]
    ) -> Iterator[tuple[str, Detector | None, Sequence[object]]]:
        """Return what is watched, by which detector, and its values at the predictions."""
        vectors = [each["features"] for each in buffered]
        for name in dict.fromkeys(chain.from_iterable(vectors)):
            values = [each.get(name) for each in vectors]
            yield f"input:{name}", self._input_detector(name), values
        yield _PREDICTION, self._settings.predictions, [*map(self._predicted, buffered)]

    def _watch_source(
        self,
        source: str,
        detector: Detector | None,
        buffered: list[Prediction],
        values: Sequence[object],
    ) -> Iterator[tuple[Evidence, Prediction]]:
        """Pass the monitor of one source the numbers among `values`, one for each of `buffered`."""
        if not {*map(type, values)} <= _NUMBERS:
            places = [place for place, value in enumerate(values) if type(value) in _NUMBERS]
            buffered, values = (
                [buffered[each] for each in places],
                [values[each] for each in places],
            )
        if detector is None or not values:
            return
        monitor = self._monitors.get(source)
        if monitor is None:
            is_probability = source == _PREDICTION and self._task.is_classification
            cooldown = self._settings.cooldown
            monitor = DriftMonitor(detector, cooldown, scaled=not is_probability)
        monitor.become_quiet(_MOST_ALERTS)
        self._monitors[source] = monitor
        for place, evidence in monitor.update_many(cast(Sequence[float], values)):
            if isinstance(evidence, BaseException):
                raise evidence
            yield evidence, buffered[place]

    def _predicted(self, prediction: Prediction) -> float | None:
        value, probabilities = prediction["value"], prediction["probabilities"]
        if isinstance(value, str) and self._task is not Task.MULTICLASS:
            return None  # not of ours
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
