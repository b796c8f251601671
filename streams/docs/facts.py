"""What there is to know of a definition, in words: for `millrace check`, and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import IdPart, id_parts
from millrace.models.pipeline.sources import EventsAndLabels, LabelSource, TopicSource
from millrace.models.pipeline.tasks import Task
from millrace.streams.docs.wrapping import wrapping_of

if TYPE_CHECKING:
    from millrace.models.monitoring.detectors import Detector  # imports River


class FieldFacts(NamedTuple):
    """A field of the events: what it is called, its types, what it is for, what it means."""

    name: str
    type: str
    role: str
    doc: str


def facts(pipeline: Pipeline) -> dict[str, str]:
    """Return the facts of one line each, by what they are of."""
    from millrace.models.candidates.baselines import baselines  # noqa: PLC0415 - River: 1 s

    champion, *challengers = pipeline.models
    sure = pipeline.certainty
    field = "the field " if isinstance(pipeline.key, str) else ""
    key = f", by {field}{pipeline.key}" if pipeline.key else ""
    learning = ", learns without labels" if pipeline.learns_without_labels else ""
    found = {
        "task": f"{pipeline.task}{learning}",
        "champion": f"{champion}, whose predictions are published",
        "challengers": ", ".join(challengers) or "none",
        "baselines": ", ".join(baselines(pipeline.task)),
        "features": ", ".join(name for each in pipeline.features for name in each.names),
        "scope": f"{pipeline.scope}{key}",
        "drift": _drift(pipeline),
        "labels": _labels(pipeline),
        "reasons": f"{pipeline.reasons} a prediction" if pipeline.reasons else "",
        "certainty": "" if sure is None else certainty_said(Task(pipeline.task), vars(sure)),
    }
    return {name: said for name, said in found.items() if said}


def certainty_said(task: Task, certainty: Mapping[str, Any]) -> str:
    """Return what the parameters of certainty mean.

    Examples
    --------
    >>> certainty_said(Task.REGRESSION, {"coverage": 0.999, "by_key": True})
    'intervals that hold 99.9% of labels, with a threshold for each key'
    """
    said = "sets of classes" if task.is_classification else "intervals"
    by_key = ", with a threshold for each key" if certainty.get("by_key") else ""
    abstains = "; without one class alone, no value" if certainty.get("abstain") else ""
    return f"{said} that hold {100 * certainty['coverage']:.4g}% of labels{by_key}{abstains}"


def roles_of(read: Pipeline | LabelSource) -> dict[IdPart, str]:
    """Return what is read of an event, or of a label, beside its value: each by where it is."""
    label = read.label if isinstance(read.label, str) else None
    if isinstance(read, LabelSource):
        time, of_time = read.time, "label time"
    else:
        time, of_time = read.event_time, "event time"
    roles: dict[IdPart | None, str] = {label: "label", time: of_time, read.key: "key"}
    roles.update(dict.fromkeys(id_parts(read.event_id), "event id"))
    return {part: role for part, role in roles.items() if part is not None}


def field_facts(pipeline: Pipeline) -> Iterator[FieldFacts]:
    """Return the event's fields, their types and their roles."""
    schema, roles = pipeline.event_schema, roles_of(pipeline)
    features = {name for each in pipeline.features for name in each.names}
    docs = {str(each["name"]): str(each.get("doc", "")) for each in schema.as_written.fields}
    for name in schema.paths:
        role = [roles[name]] if name in roles else []
        role += ["feature"] if name in features else []
        types = " or ".join(schema.types_of(name))
        yield FieldFacts(name, types, ", ".join(role), docs.get(name, ""))
    for part, of_record in roles.items():
        if part not in schema.paths:
            yield FieldFacts(str(part), "", of_record, "")


def source_facts(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Return the topics of others that are read, as the definition names them, and what is read."""
    for each in pipeline.events:
        yield each.topic, f"events: {wrapping_of(each).says}"
    for source in pipeline.labels:
        label = f"the field {source.label}" if isinstance(source.label, str) else "code of its own"
        event_id = ", ".join(map(str, id_parts(source.event_id)))
        yield source.topic, f"labels by {label}, of event {event_id}: {wrapping_of(source).says}"


def holds_of(source: TopicSource) -> str:
    """Return what a topic of others holds, in a word or two.

    Examples
    --------
    >>> holds_of(LabelSource("reviews", event_id="order", label="verdict"))
    'Labels'
    """
    if isinstance(source, EventsAndLabels):
        return "Events and labels"
    return "Labels" if isinstance(source, LabelSource) else "Events"


def form_of(source: TopicSource) -> str:
    """Return the form of what is on a topic of others.

    Examples
    --------
    >>> form_of(LabelSource("reviews", event_id="order", label="verdict"))
    'plain'
    """
    if isinstance(source, EventsAndLabels):
        forms = [form_of(source.events), form_of(source.labels)]
        return " and ".join(dict.fromkeys(forms))
    return "decoded by your code" if source.decode is not None else source.envelope


def _labels(pipeline: Pipeline) -> str:
    pending, default = pipeline.pending, pipeline.label_default
    wait, then = pending.ttl, ""
    if default is not None:
        wait, then = default.after, f", and then is {default.label!r}"
    if (conflicts := pipeline.label_conflicts) is not None:
        within = span(conflicts.within)
        then += f"; a label is held for {within}, and of several the {conflicts.keep} counts"
    return f"up to {pending.limit:,} events wait for theirs, each for {span(wait)}{then}"


def span(time: timedelta | str) -> str:
    """Return a time span, or the text of one, as people write it.

    Examples
    --------
    >>> span(timedelta(days=7)), span(timedelta(hours=1)), span("30 days, 0:00:00")
    ('7 days', '1:00:00', '30 days')
    """
    return str(time).removesuffix(", 0:00:00")


def _drift(pipeline: Pipeline) -> str:
    drift = pipeline.drift
    watched = {"loss": drift.loss, "inputs": drift.inputs, "predictions": drift.predictions}
    shown = [f"{name} {_detector(each)}" for name, each in watched.items() if each]
    return f"{', '.join(shown) or 'not watched'}; policy {drift.policy}"


def _detector(detector: Detector | Mapping[str, Detector]) -> str:
    if isinstance(detector, Mapping):
        return f"({', '.join(f'{name} {_detector(each)}' for name, each in detector.items())})"
    return detector if isinstance(detector, str) else getattr(detector, "__name__", "custom")
