"""The JSON Schema of a pipeline's events: its types, and where text may stand for a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from millrace.streams.docs.json_schema import WHERE, JsonSchema, JsonSchemas
from millrace.streams.sources.definition import EventDefinition


def event_schema(pipeline: EventDefinition, schemas: JsonSchemas) -> JsonSchema:
    """Return a reference to the schema of the events, which is then among the named ones."""
    event = schemas.of(pipeline.event_schema.accepted.schema)
    _let_text(pipeline, schemas.named, event)
    return event


def _let_text(
    pipeline: EventDefinition, named: Mapping[str, JsonSchema], event: JsonSchema
) -> None:
    """Let fields of an event be text that are numbers in the schema, where they may be."""
    said = dict.fromkeys(pipeline.numbers_as_text, "A number, or the text of one.")
    time = pipeline.event_time
    if isinstance(time, str) and "string" not in pipeline.event_schema.types_of(time):
        said[time] = "The event time: a number in the unit of the field, or ISO 8601."
    for path, doc in said.items():
        *outer, name = path.split(".")
        for properties in _properties(event, outer, named):
            declared = properties[name]
            properties[name] = {
                **{part: declared.pop(part) for part in ("default",) if part in declared},
                "anyOf": [declared, {"type": "string"}],
                "description": doc,
            }


def _properties(
    schema: JsonSchema, path: list[str], named: Mapping[str, JsonSchema]
) -> Iterator[dict[str, JsonSchema]]:
    """Yield the properties of the records at a path."""
    for each in [*schema.get("anyOf", ()), *schema.get("allOf", ())]:
        yield from _properties(each, path, named)
    if "$ref" not in schema:
        return
    properties = named[schema["$ref"].removeprefix(WHERE)].get("properties", {})
    if not path:
        yield properties
    elif path[0] in properties:
        yield from _properties(properties[path[0]], path[1:], named)
