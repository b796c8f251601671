"""The definition in force, as far as events and labels are read and routed by it.

It is made from the description in the bundle, which is data: no code of its author runs here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

from millrace.models.pipeline.definition import Scope
from millrace.models.pipeline.labels import Labels
from millrace.models.pipeline.record_parts import Attribute, EventId, Part, id_parts, joined_id
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import told
from millrace.schemas import EventSchema, RecordError, RejectReason
from millrace.schemas.paths import at
from millrace.schemas.records import Fields, LabelValue
from millrace.streams.operators.routing import input_partition, routing_key
from millrace.streams.sources.confluent import no_registry
from millrace.streams.sources.decoder import InputDecoder
from millrace.streams.sources.ids import IdTexts
from millrace.streams.sources.values import identity, key_of

_SAID = ("task", "label", "numbers_as_text", "allow_non_finite", "max_id_bytes")
_UNREADABLE = (ValueError, TypeError, ArithmeticError, RecursionError, struct.error)


class Input(NamedTuple):
    """An event or a label that is to be produced.

    Attributes
    ----------
    event_id
        As predictions have it.
    routed_by
        The key of its record; None where it has none to go by.
    value
        As it came.
    """

    event_id: str
    routed_by: str | None
    value: bytes


@dataclass(frozen=True, kw_only=True)
class ServedDefinition:
    """What is known of a definition: an `EventDefinition`, and what else is shown.

    Parameters
    ----------
    reference
        The digest of its bundle and, after `?`, what was set since.
    task
        `binary`, `multiclass`, `regression` or `anomaly`.
    allowed_labels
        What a label may be.
    sources
        Topics of others that are read, as the definition calls them, to what they hold: `events`,
        `labels` or both.
    """

    reference: str
    task: str
    event_schema: EventSchema
    event_id: EventId
    key: Part | None
    event_time: Part | None
    label: str | None
    scope: Scope
    numbers_as_text: Sequence[str]
    allow_non_finite: Sequence[str]
    max_id_bytes: int
    allowed_labels: Labels
    sources: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, description: Mapping[str, Any], reference: str) -> Self:
        """Return what a description says."""
        schema = EventSchema(description["schema"], description["label"])
        parts = [_part(str(each), schema) for each in id_parts(description["event_id"])]
        key, time = description["key"], description["event_time"]
        said = {name: description[name] for name in _SAID}
        return cls(
            reference=reference,
            event_schema=schema,
            event_id=tuple(parts),
            key=None if key is None else _part(key, schema),
            event_time=None if time is None else _part(time, schema),
            scope=Scope(description["scope"]),
            allowed_labels=Labels(Task(said["task"]), schema, description["classes"]),
            sources=_sources(description),
            **said,
        )

    @cached_property
    def refusal(self) -> str:
        """Why no event can be sent over HTTP; empty where it can.

        What is sent over HTTP has a value, and neither a key of its own, nor headers, nor a place
        before it is written.
        """
        for parameter in ("event_id", "key", "event_time"):
            for part in id_parts(getattr(self, parameter) or ()):
                if isinstance(part, Attribute):
                    return (
                        f"{parameter} of the pipeline is {part.path}, which is no field: what is"
                        " sent over HTTP has fields alone. Produce such events to Kafka"
                    )
        return ""

    @cached_property
    def texts(self) -> IdTexts:
        """What the texts of ids and keys are that do not come from an event's own fields."""
        return IdTexts(self)

    def partition(self, routed_by: str | None, partitions: int) -> int:
        """Return where to produce an event or a label.

        Raises
        ------
        RecordError
            It has no key to go by.
        """
        found = input_partition(self, routed_by, partitions)
        if found is None:
            raise RecordError(
                RejectReason.MISSING_KEY,
                f"scope {self.scope.value!r} needs a key (an event's field {self.key!r}, a label's"
                " field 'key'); got none",
            )
        return found


def _part(said: str, schema: EventSchema) -> Part:
    """Return a part that a description names: a field, or what is elsewhere in a Kafka record.

    That is said as the call that makes it, which is no field's name.
    """
    return said if said in schema else Attribute(said)


def _sources(description: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the topics of others that a description names."""
    found: dict[str, list[str]] = {}
    for kind in ("events", "labels"):
        for each in description.get(kind) or ():
            found.setdefault(each["topic"], []).append(kind)
    return found


class InputReader:
    """Reads what is sent as `ingest` will, so that what it would reject at once is refused.

    Parameters
    ----------
    definition
        The one in force.
    max_event_bytes
        A larger record is refused.
    """

    def __init__(self, definition: ServedDefinition, max_event_bytes: int) -> None:
        self._definition = definition
        self._decoder = InputDecoder(definition, no_registry, max_event_bytes)
        self._parts = [each for each in id_parts(definition.event_id) if isinstance(each, str)]
        self._key = definition.key if isinstance(definition.key, str) else None

    def event(self, value: bytes) -> Input:
        """Return an event.

        Raises
        ------
        RecordError
            It is none; the reason says why.
        """
        definition, fields = self._definition, self._fields("events", value)
        self._check_finite(fields)
        event_id = joined_id(identity(at(fields, each), f"field {each!r}") for each in self._parts)
        key = None if self._key is None else key_of(at(fields, self._key))
        label = None if definition.label is None else at(fields, definition.label)
        if label is not None:
            label = self._label_inside(label)
        self._check_size(event_id=event_id, key=key, label=label)
        return Input(event_id, routing_key(definition, event_id, key), value)

    def label(self, value: bytes) -> Input:
        """Return a label.

        Raises
        ------
        RecordError
            It is none; the reason says why.
        """
        definition, fields = self._definition, self._fields("labels", value)
        event_id = definition.texts.event_id(identity(fields["event_id"], "field 'event_id'"))
        key = definition.texts.key(key_of(fields["key"]))
        label = definition.allowed_labels.learnable(fields["label"])
        self._check_size(event_id=event_id, key=key, label=label)
        return Input(event_id, routing_key(definition, event_id, key), value)

    def _label_inside(self, label: Any) -> LabelValue:
        """Return the label in an event; an error names its field."""
        try:
            return self._definition.allowed_labels.learnable(label)
        except RecordError as error:
            detail = f"field {self._definition.label!r}: {error.detail}"
            raise RecordError(error.reason, detail) from None

    def _check_finite(self, fields: Fields) -> None:
        for name in self._decoder.finite:
            value = at(fields, name)
            if isinstance(value, float) and not math.isfinite(value):
                detail = f"field {name!r} must be a finite number; got {value}"
                raise RecordError(RejectReason.NOT_FINITE, detail)

    def _check_size(self, **texts: LabelValue | None) -> None:
        most = self._definition.max_id_bytes
        for name, text in texts.items():
            if isinstance(text, str) and (size := len(text.encode())) > most:
                detail = f"the {name} must have at most {most} bytes (max_id_bytes); got {size}"
                raise RecordError(RejectReason.OVERSIZED, detail)

    def _fields(self, topic: str, value: bytes) -> Fields:
        if not value.startswith(b"{"):
            raise RecordError(RejectReason.WRONG_SHAPE, "it must be a JSON object")
        try:
            return self._decoder.decode(topic, value).fields
        except _UNREADABLE as error:
            raise RecordError(
                RejectReason.ILL_TYPED_FIELD, f"a value does not fit its type: {told(error)}"
            ) from error
