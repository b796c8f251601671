"""Records that a pipeline takes and writes, made up by its definition.

They are right in form: ingest accepts the event and the label. What a feature's own code makes of
made-up values is another matter: a feature that raises is left out of the prediction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from millrace.models.features.base import Feature, bound
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.models.pipeline.sources import EventsAndLabels, Source
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import PASSED_ON
from millrace.schemas.records import Event, Features, LabelValue, Prediction
from millrace.streams.docs import produced
from millrace.streams.docs.produced import Produced
from millrace.streams.formats.json import to_json
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import EventRecord, Origin, RawRecord
from millrace.streams.sources.confluent import no_registry
from millrace.streams.topology.sources import sources_of

_HOUR_MS = 3_600_000
_LABELS: tuple[LabelValue, ...] = (12.5, True, 1)
_EXAMPLES_LEARNED = 1_000
_LIKELY = 0.9
_SCORE = 0.87
_NO_LIMIT = 2**31


class Examples:
    """An event, its label and its prediction.

    Parameters
    ----------
    pipeline
        The definition.
    names
        What topics of sources are called where the pipeline runs, if it is something else.

    Attributes
    ----------
    source
        Whose topic the event is on; None for the pipeline's own. That is chosen where it can be.
    event
        The event on that topic.
    label, prediction
        Each as JSON has it.
    event_id, key
        Of the event, as Millrace has them; the key is None where the pipeline has none.
    """

    def __init__(self, pipeline: Pipeline, names: Mapping[str, str] = MappingProxyType({})) -> None:
        self._pipeline = pipeline
        self._sources = sources_of(pipeline, names)
        self._made = produced.Event(pipeline)
        self.source, self._event = next(self._taken(), (None, self._untaken()))
        self.event = self.event_on(self.source)
        self.event_id, self.key = self._event["event_id"], self._event["key"]
        self.label = self._label()
        self.prediction = self._prediction()

    def event_on(self, source: Source | None) -> Produced:
        """Return the event as it is on a topic: that of a source, or the pipeline's own."""
        return self._made.on(source)

    @property
    def label_value(self) -> LabelValue:
        """A label that models may learn."""
        pipeline = self._pipeline
        labels = pipeline.allowed_labels
        possible = labels.examples if pipeline.task is Task.MULTICLASS else _LABELS
        return next(filter(labels.admits, possible))

    def _taken(self) -> Iterator[tuple[Source | None, Event]]:
        """Yield the topics on which ingest takes the event, and what it makes of it."""
        ingest = IngestOperator(self._pipeline, 1, no_registry, _NO_LIMIT, self._sources)
        time_ms = self._made.time_ms
        for topic, each in {"events": None, **self._sources}.items():
            source = each.events if isinstance(each, EventsAndLabels) else each
            if source is None or (isinstance(source, Source) and source.decode is None):
                record = self._made.on(source)
                key = None if record.key is None else record.key.encode()
                headers = [(name, text.encode()) for name, text in record.headers.items()]
                origin = Origin(topic, 0, 0, time_ms, key, record.data, tuple(headers))
                for made in ingest.process(RawRecord.of(origin)):
                    if isinstance(made, EventRecord):
                        yield source, made.value

    def _untaken(self) -> Event:
        """Return an event where none is taken: an envelope says the id, and no source has one."""
        time_ms = self._made.time_ms
        return Event(event_id="event-1", key=None, event_time_ms=time_ms, label=None, fields={})

    def _label(self) -> dict[str, Any]:
        pipeline = self._pipeline
        label: dict[str, Any] = {"event_id": self.event_id, "label": self.label_value}
        if pipeline.event_time is not None:  # else the event is of the moment when it is produced
            label["label_time_ms"] = self._event["event_time_ms"] + _HOUR_MS
        if pipeline.key is not None and pipeline.scope is not Scope.GLOBAL:
            label["key"] = self.key
        return label

    def _prediction(self) -> Mapping[str, Any]:
        pipeline, label, time_ms = self._pipeline, self.label_value, self._event["event_time_ms"]
        is_class = Task(pipeline.task).is_classification
        features = (_part(each, self._event) for each in pipeline.features)
        prediction = Prediction(
            event_id=self.event_id,
            key=self.key,
            event_time_ms=time_ms,
            prediction_time_ms=time_ms + 5,
            value=_SCORE if pipeline.task is Task.ANOMALY else Task(pipeline.task).label(label),
            model=pipeline.champion,
            model_version=_EXAMPLES_LEARNED,
            staleness_examples=0,
            reasons=None,
            certainty=None,
            probabilities=_probabilities(pipeline, label) if is_class else {},
            features={name: value for part in features for name, value in part.items()},
            definition="",
        )
        found: Mapping[str, Any] = json.loads(to_json(prediction))
        return found


def _part(feature: Feature, event: Event) -> Features:
    """Return what a feature gives for an event; nothing where its code raises."""
    try:
        return bound(feature, lambda _: {})(event)
    except PASSED_ON:
        raise
    except BaseException:  # the user's code need not handle made-up values
        return {}


def _probabilities(pipeline: Pipeline, label: LabelValue) -> dict[str, float]:
    """Return that of the label, and what is left for the others, in equal parts."""
    classes = pipeline.allowed_labels.examples
    likely = Task(pipeline.task).label(label)
    others = [each for each in classes if each != likely]
    rest = round((1 - _LIKELY) / max(len(others), 1), 4)
    return {_name(each): _LIKELY if each == likely else rest for each in classes}


def _name(label: LabelValue) -> str:
    """Return the name of a class as JSON has it."""
    return label if isinstance(label, str) else json.dumps(label)
