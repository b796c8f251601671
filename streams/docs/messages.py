"""The messages of AsyncAPI: what the records of each topic are like, and their keys and headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import Header, IdPart, MessageKey
from millrace.models.pipeline.sources import EventsAndLabels, LabelSource, Source, TopicSource
from millrace.schemas import Schema
from millrace.streams.docs.event_json import event_schema
from millrace.streams.docs.examples import Examples
from millrace.streams.docs.facts import roles_of
from millrace.streams.docs.json_schema import WHERE, JsonSchema, JsonSchemas
from millrace.streams.docs.produced import Produced
from millrace.streams.docs.wrapping import label_example, label_row, wrapping_of
from millrace.streams.settings import Settings
from millrace.streams.topology.codec import ALWAYS_CARRIED, SHIPPED
from millrace.streams.topology.topics import OUTPUTS, PIPELINE_KEY, Topic

Message: TypeAlias = dict[str, Any]

_AVRO = "application/vnd.apache.avro;version=1.9.0"
_BINDING = {"bindingVersion": "0.5.0"}
_EVENT_TOPIC = "events"


class Frame(NamedTuple):
    """How an output format puts Avro into a record.

    Attributes
    ----------
    says
        What it is called, for people.
    binding
        What AsyncAPI's binding for Kafka says of it.
    """

    says: str
    binding: Mapping[str, str] = {}


SINGLE_OBJECT = "avro"
FRAMES: Mapping[str, Frame] = {
    SINGLE_OBJECT: Frame("Avro in single-object encoding"),
    "confluent": Frame(
        "Avro in Confluent's wire format",
        {"schemaIdLocation": "payload", "schemaIdPayloadEncoding": "confluent"},
    ),
}
"""Name of an output format to its frame; `json` has none."""


class Messages:
    """Makes the messages of a pipeline.

    Parameters
    ----------
    pipeline
        The definition.
    settings
        What topics of others are called, and the format of outputs.

    Attributes
    ----------
    schemas
        Name to JSON Schema: what payloads refer to.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self._outputs = settings.outputs
        self._carried = (*ALWAYS_CARRIED, *pipeline.carry_headers)
        self._examples = Examples(pipeline, settings.topics)
        self._read, self._written = JsonSchemas(), JsonSchemas(are_written=True)
        self._rows: dict[str, JsonSchema] = {}
        self._event = event_schema(pipeline, self._read)

    @property
    def schemas(self) -> dict[str, JsonSchema]:
        return self._rows | self._written.named | self._read.named

    def of_topic(self, topic: Topic) -> dict[str, Message]:
        """Return the messages of one of the pipeline's topics."""
        examples = self._examples
        if topic.name == _EVENT_TOPIC:
            written = self._pipeline.event_schema.as_written
            event = self._in_json(written.name, self._event, examples.event_on(None), topic)
            avro = self._in_avro(written.schema, SINGLE_OBJECT, topic)
            label = self._in_avro(SHIPPED["Label"].schema, SINGLE_OBJECT, topic)
            return {"json": event, "avro": avro, "label": label}
        (name,) = topic.types
        schema, is_output = SHIPPED[name].schema, topic.name in OUTPUTS
        values = {"Label": examples.label, "Prediction": examples.prediction}
        example = Produced({**values[name]}, None, {}) if name in values else None
        if is_output and self._outputs != "json":
            return {"avro": self._in_avro(schema, self._outputs, topic)}
        schemas = self._written if is_output else self._read
        messages = {"json": self._in_json(name, schemas.of(schema), example, topic)}
        if not is_output:
            messages["avro"] = self._in_avro(schema, SINGLE_OBJECT, topic)
        return messages

    def of_source(self, source: TopicSource) -> dict[str, Message]:
        """Return the messages of a topic of others."""
        if not isinstance(source, EventsAndLabels):
            form = "json" if source.decode is None else "record"
            return {form: self._read_as(source)}
        row = self._examples.event_on(None).value  # which gets its label
        label = self._read_as(source.labels, row)
        return {"event": self._read_as(source.events), "label": label}

    def _read_as(
        self, source: Source | LabelSource, labelled: Mapping[str, Any] | None = None
    ) -> Message:
        """Return what is read of a topic of others: its events, or its labels.

        Parameters
        ----------
        labelled
            The row that a label is in, where that is the row of its event.
        """
        wrapping = wrapping_of(source)
        example: Produced | None = None
        if isinstance(source, LabelSource):
            name, read, row = "Label", roles_of(source), {"$ref": f"{WHERE}{source.topic}.row"}
            self._rows[f"{source.topic}.row"] = label_row(source)
            value = label_example(source, self._examples.label)
            if value is not None:
                said = {} if labelled is None else wrapping.changed
                example = Produced(wrapping.example({**(labelled or {}), **value}, said), None, {})
        else:
            name, read, row = self._event_name, roles_of(self._pipeline), self._event
            example = self._examples.event_on(source)
        message: Message = {
            "name": name,
            "summary": f"Read of it: {wrapping.says}.",
            "payload": wrapping.schema(row),
            "headers": _headers(read, ()),
            "bindings": {"kafka": {"key": _key_read(read), **_BINDING}},
        }
        if source.decode is not None:
            return message | {"contentType": "application/octet-stream"}
        return message | {"contentType": "application/json"} | _shown(example)

    @property
    def _event_name(self) -> str:
        return self._pipeline.event_schema.as_written.name

    def _in_json(
        self, name: str, schema: JsonSchema, example: Produced | None, topic: Topic
    ) -> Message:
        form = {"contentType": "application/json", "payload": schema}
        return self._message(name, topic) | form | _shown(example)

    def _in_avro(self, schema: Schema, form: str, topic: Topic) -> Message:
        name, frame = str(schema["name"]), FRAMES[form]
        message = self._message(name, topic) | {
            "contentType": "avro/binary",
            "description": f"{frame.says}{self._header(name, form)}.",
            "payload": {"schemaFormat": _AVRO, "schema": schema},
        }
        message["bindings"]["kafka"].update(frame.binding)
        return message

    def _header(self, name: str, form: str) -> str:
        """Return what tells records of a type from others, in words."""
        if form != SINGLE_OBJECT:
            return ""
        known = SHIPPED.get(name, self._pipeline.event_schema.as_written)
        return f", which begins with the bytes {known.header.hex(' ')}"

    def _message(self, name: str, topic: Topic) -> Message:
        known = SHIPPED.get(name)
        schema = self._pipeline.event_schema.as_written.schema if known is None else known.schema
        return {
            "name": name,
            "summary": str(schema.get("doc", "An event, in the schema of the pipeline.")),
            "headers": _headers(self._roles(topic), self._carried),
            "bindings": {"kafka": {"key": self._key(topic), **_BINDING}},
        }

    def _roles(self, topic: Topic) -> Mapping[IdPart, str]:
        """Return what is read of the records of a topic, beside their value."""
        return roles_of(self._pipeline) if topic.name == _EVENT_TOPIC else {}

    def _key(self, topic: Topic) -> JsonSchema:
        read = _key_read(self._roles(topic))
        if read or topic.key != PIPELINE_KEY:
            return read or {"description": f"{topic.key[:1].upper()}{topic.key[1:]}."}
        or_else = "" if self._pipeline.key is None else "key, or else its "
        return {"type": "string", "description": f"The event's {or_else}id."}


def _shown(example: Produced | None) -> Message:
    """Return the part of a message that shows an example."""
    if example is None:
        return {}
    headers = {"headers": example.headers} if example.headers else {}
    return {"examples": [{**headers, "payload": example.value}]}


def _key_read(read: Mapping[IdPart, str]) -> JsonSchema:
    """Return what is read of a record's key; nothing where it is not read."""
    keys = {part: role for part, role in read.items() if isinstance(part, MessageKey)}
    said = [f"the {role} in its field `{part.path}`" for part, role in keys.items() if part.path]
    said += [f"the {role}, which it is" for part, role in keys.items() if not part.path]
    return {"description": f"Read of it: {' and '.join(said)}."} if said else {}


def _headers(read: Mapping[IdPart, str], carried: Iterable[str]) -> JsonSchema:
    """Return the schema of a record's headers: what is read of them, and what is carried on."""
    roles = {part.name: f"The {role}." for part, role in read.items() if isinstance(part, Header)}
    said = {name: {"description": role} for name, role in roles.items()}
    properties = {name: {"type": "string", **said.get(name, {})} for name in (*said, *carried)}
    return {"type": "object", "properties": properties}
