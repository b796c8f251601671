"""Drift that needs no label to be seen: of the inputs and of the predictions.

Reads `predictions`; writes `alerts`, and `rejects` where a detector raises an exception. Watches
every numeric feature and the predictions (the probability of true, of the likeliest class, or the
predicted value) of one partition. Keeps one monitor for each, which raises no other alert for
`drift.cooldown` values after one, so that one drift is one alert. A feature of text is not watched.

A change is only an alert where the values are independent but for it: a counter or a daily cycle
changes all the time. A source with three alerts within 100,000 values is no longer watched, and the
metric `drift_unwatched` says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import NamedTuple, Self, cast

from millrace.models.identity.description import identity_of
from millrace.models.monitoring.detectors import Detector
from millrace.models.monitoring.drift_monitor import DriftMonitor, Evidence
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.reasons.shares import ReasonShares
from millrace.models.user_code import PASSED_ON, contained
from millrace.schemas import RejectReason
from millrace.schemas.records import Alert, Features, Prediction, ReasonChange
from millrace.streams.operators.base import Operator, Reading, Topics
from millrace.streams.operators.class_names import of_true
from millrace.streams.operators.columns import Columns, Made, PredictionColumns
from millrace.streams.operators.context import Context
from millrace.streams.operators.deployment import Deployment
from millrace.streams.operators.explaining import published
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import (
    AlertRecord,
    AuditRecord,
    PredictionRecord,
    Record,
    last_frame,
)
from millrace.streams.operators.slice import Slice

_PREDICTION = "prediction"
_INPUT = "input:"
_HELD = "predictions"
_REASONS = "reasons"
_MOST_ALERTS = 3  # of a source within 100,000 values
_NUMBERS = frozenset({bool, int, float})


class _Watched(NamedTuple):
    """The values of a source in a slice; sources are in order of the first of them."""

    first: int
    source: str
    detector: Detector
    places: Sequence[int]
    numbers: Sequence[float]


class DriftOperator(Operator):
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
        self._held: KeyedState[list[Prediction]] = KeyedState()  # by earlier versions
        self._shares: KeyedState[ReasonShares] = KeyedState()
        topics = self.topics_in([self.name])
        super().__init__(
            pipeline, topics, monitors=self._monitors, held=self._held, reasons=self._shares
        )

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:  # noqa: ARG003 - the same in each
        return Topics(frozenset({"predictions"}), frozenset({"alerts", "rejects"}))

    @classmethod
    def make(cls, context: Context) -> Self:
        return cls(context.pipeline)

    def inherit(self, before: Operator, deployment: Deployment) -> list[AuditRecord]:  # noqa: ARG002
        assert isinstance(before, DriftOperator)
        self._monitors, self._held = before._monitors, before._held
        self._shares = before._shares
        self.stores |= {"monitors": self._monitors, "held": self._held, "reasons": self._shares}
        for source in [*self._monitors]:
            if self._watches_as(before, source):
                self._monitors.mark(source)
                self._monitors[source].go_on(self._settings.cooldown, quiet=True)
            else:
                del self._monitors[source]
        return []  # learning says it: this agent may write no audit

    def _watches_as(self, other: DriftOperator, source: str) -> bool:
        """Whether a source has the detector that another definition gives it."""
        ours, theirs = self._detector(source), other._detector(source)
        with contained():
            return ours is not None and identity_of(ours) == identity_of(theirs)
        return False

    def _detector(self, source: str) -> Detector | None:
        """Return the detector of a source; None where there is none, or no such feature."""
        name = source.removeprefix(_INPUT)
        is_there = any(name in each.names for each in self.pipeline.features)
        return self._settings.detector_of(source) if is_there or source == _PREDICTION else None

    def _fold(self, slice_: Slice) -> list[Made]:
        return [each for part in self._columns(slice_) for each in self._watch(part)]

    def readings(self) -> Iterable[Reading]:
        for source, monitor in self._monitors.items():  # of thousands of inputs, the few
            if source == _PREDICTION or not monitor.is_watching:
                yield Reading("drift_unwatched", (source,), not monitor.is_watching)

    def _columns(self, slice_: Slice) -> Iterator[PredictionColumns]:
        for is_columns, parts in groupby(slice_.parts, lambda each: isinstance(each, Columns)):
            if is_columns:
                yield from (each for each in parts if isinstance(each, PredictionColumns))
                continue
            records = [each for each in parts if isinstance(each, PredictionRecord)]
            for _, run in groupby(records, _same_columns):
                of_one_model = [*run]
                yield PredictionColumns.of(
                    [each.value for each in of_one_model], [each.origin for each in of_one_model]
                )

    def _watch(self, predictions: PredictionColumns) -> list[Record]:
        """Return the alerts of a slice, and the rejects of detectors that raise, in order."""
        held = self._held.take(_HELD)
        if held:
            known = [
                Prediction({**each, "definition": "", "reasons": None, "certainty": None})
                for each in held
            ]
            self._watch(PredictionColumns.of(known, [predictions.origins[0]] * len(held)))
        watched = [
            _Watched(places[0], source, detector, places, numbers)
            for source, detector, values in self._sources(predictions)
            for places, numbers in [_numbers(values)]
            if detector is not None and numbers
        ]
        begin = self._add_reasons(predictions)
        made: list[tuple[int, str, Record]] = []
        for _, source, detector, places, numbers in sorted(watched, key=itemgetter(0, 1)):
            for place, found in self._watch_source(source, detector, numbers):
                at = places[place]
                record = self._found(source, found, predictions, at, begin + at)
                made.append((at, source, record))
        if self.pipeline.reasons:
            self._shares[_REASONS].forget()
        return [record for _, _, record in sorted(made, key=itemgetter(0, 1))]

    def _sources(
        self, predictions: PredictionColumns
    ) -> Iterator[tuple[str, Detector | None, Sequence[object]]]:
        """Return what is watched, by which detector, and its values at the predictions."""
        for name, values in _columns(predictions.features):
            source = f"{_INPUT}{name}"
            yield source, self._settings.detector_of(source), values
        yield _PREDICTION, self._settings.predictions, self._predicted(predictions)

    def _watch_source(
        self, source: str, detector: Detector, numbers: Sequence[float]
    ) -> list[tuple[int, Evidence | BaseException]]:
        """Return what is found at which number; at each of them, where there is no detector."""
        try:
            monitor = self._monitor(source, detector)
        except PASSED_ON:
            raise
        except BaseException as error:  # the user's own cannot be made any more
            return [(place, error) for place in range(len(numbers))]
        return monitor.update_many(numbers)

    def _monitor(self, source: str, detector: Detector) -> DriftMonitor:
        monitor = self._monitors.get(source)
        if monitor is None:
            is_probability = source == _PREDICTION and self._task.is_classification
            cooldown = self._settings.cooldown
            monitor = DriftMonitor(detector, cooldown, scaled=not is_probability)
            self._monitors[source] = monitor
        self._monitors.mark(source)
        monitor.become_quiet(_MOST_ALERTS)
        return monitor

    def _found(
        self,
        source: str,
        found: Evidence | BaseException,
        predictions: PredictionColumns,
        at: int,
        position: int,
    ) -> Record:
        origin = predictions.origins[at]
        if isinstance(found, BaseException):  # a detector of the user's own; the others go on
            detail = f"{source}: {last_frame(found)}"
            return self._fail("event", origin, RejectReason.EVALUATE_ERROR, found, detail)
        alert = Alert(
            source=source,
            detector=found.detector,
            event_id=predictions.event_ids[at],
            event_time_ms=predictions.event_times_ms[at],
            position=found.position,
            mean_before=found.mean_before,
            mean_after=found.mean_after,
            action="alert",
            model=predictions.model,
            model_version=predictions.model_versions[at],
            detail="",
            reasons=self._reason_changes(position, predictions.model),
        )
        return AlertRecord(alert, origin)

    def _add_reasons(self, predictions: PredictionColumns) -> int:
        """Add up what the reasons of predictions name; return the position of the first."""
        if not self.pipeline.reasons:
            return 0
        shares = self._shares.changing(_REASONS, ReasonShares)
        begin, model = shares.position, predictions.model
        for position, each in enumerate(predictions.reasons, begin):
            shares.add(position, model, {} if each is None else each["contributions"])
        return begin

    def _reason_changes(self, position: int, model: str) -> list[ReasonChange]:
        """Return whose share in the reasons of a model has changed most, at a position."""
        if not self.pipeline.reasons:
            return []
        shares = self._shares[_REASONS]
        return published(shares.changes(position, model, self.pipeline.reasons))

    def _predicted(self, predictions: PredictionColumns) -> Sequence[object]:
        """Return the number that stands for each prediction; None where there is none."""
        values, probabilities = predictions.values, predictions.probabilities
        if self._task is Task.MULTICLASS:
            return [max(each.values(), default=None) for each in probabilities]
        numbers = [
            None if value is None or isinstance(value, str) else float(value) for value in values
        ]
        if self._task is not Task.BINARY:
            return numbers
        triples = zip(values, map(of_true, probabilities), numbers, strict=True)
        return [
            None if isinstance(value, str) else number if p is None else p  # text is not of ours
            for value, p, number in triples
        ]


def _same_columns(record: PredictionRecord) -> tuple[str, str]:
    """Return what the predictions of one set of columns have in common."""
    return record.value["model"], record.value["definition"]


def _columns(vectors: Sequence[Features]) -> Iterable[tuple[str, Sequence[object]]]:
    """Return each feature and its values; None where it is absent."""
    names = dict.fromkeys(map(tuple, vectors))
    if len(names) == 1:
        return zip(*names, zip(*map(dict.values, vectors), strict=True), strict=True)
    known = dict.fromkeys(chain.from_iterable(names))
    return [(name, [each.get(name) for each in vectors]) for name in known]


def _numbers(values: Sequence[object]) -> tuple[Sequence[int], Sequence[float]]:
    """Return the places of the numbers among values, and the numbers."""
    if _NUMBERS.issuperset(map(type, values)):
        return range(len(values)), cast(Sequence[float], values)
    places = [at for at, value in enumerate(values) if type(value) in _NUMBERS]
    return places, cast(Sequence[float], [values[at] for at in places])
