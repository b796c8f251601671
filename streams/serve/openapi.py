"""The OpenAPI document: the routes, and the schemas of what they take and give.

Those of records follow from their Avro schemas, that of events from the definition in force.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from millrace.models.pipeline.record_parts import id_parts
from millrace.streams.docs.event_json import event_schema
from millrace.streams.docs.json_schema import WHERE, JsonSchema, JsonSchemas
from millrace.streams.serve.access import MOST_ITEMS
from millrace.streams.serve.definition import ServedDefinition
from millrace.streams.serve.knowledge import LISTED, record_type
from millrace.streams.serve.problems import MEDIA_TYPE

_OUTPUTS = ("predictions", "outcomes", *LISTED)
_TEXT: JsonSchema = {"type": "string"}
_NUMBER: JsonSchema = {"type": "integer"}
_PLACE = {"topic": _TEXT, "partition": _NUMBER, "offset": _NUMBER}


def _object(properties: JsonSchema, *optional: str) -> JsonSchema:
    required = [each for each in properties if each not in optional]
    return {"type": "object", "properties": properties, "required": required}


_SCHEMAS: dict[str, JsonSchema] = {
    "Problem": _object(
        {
            "type": _TEXT | {"format": "uri"},
            "title": _TEXT,
            "status": _NUMBER,
            "detail": _TEXT | {"description": "What happened."},
            "fix": _TEXT | {"description": "What to do."},
            "field": _TEXT | {"description": "Which field or parameter it is about."},
            "reason": _TEXT | {"description": "Why a record was rejected."},
        },
        "field",
        "reason",
    ),
    "Taken": _object(
        {
            "event_id": _TEXT,
            **_PLACE,
            "prediction": _TEXT | {"description": "Where to ask for the prediction."},
        }
    ),
    "CommandTaken": _object(
        {"id": _TEXT, **_PLACE, "audit": _TEXT | {"description": "Where to ask what came of it."}}
    ),
    "Answers": _object(
        {
            "items": {
                "type": "array",
                "items": _object({"status": _NUMBER, "body": {"type": "object"}}),
                "description": "For each, in order, what it would have been answered with alone.",
            }
        }
    ),
    "Label": _object(
        {
            "event_id": _TEXT | {"minLength": 1},
            "label": {"type": ["boolean", "number", "string"]},
            "label_time_ms": {
                "anyOf": [
                    {"type": "null"},
                    _NUMBER | {"format": "int64"},
                    _TEXT | {"format": "date-time"},
                ],
                "description": "When it became known: milliseconds since the Unix epoch, or text.",
            },
            "key": {"type": ["null", "string"], "description": "The event's key."},
        },
        "label_time_ms",
        "key",
    ),
}


def ref(name: str) -> JsonSchema:
    """Return a reference to a named schema."""
    return {"$ref": WHERE + name}


def json_of(schema: JsonSchema, description: str) -> dict[str, Any]:
    """Return the description of an answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of answers that are problems."""
    content = {MEDIA_TYPE: {"schema": ref("Problem")}}
    return {status: {"description": "A problem.", "content": content} for status in statuses}


def one_or_more(name: str) -> dict[str, Any]:
    """Return the description of a body that is one of something, or an array of them."""
    array = {"type": "array", "items": ref(name), "maxItems": MOST_ITEMS}
    schema = {"anyOf": [ref(name), array]}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def records_of(topic: str) -> JsonSchema:
    """Return the schema of a list of records of a topic."""
    return listed(ref(record_type(topic).type.name))


def listed(schema: JsonSchema) -> JsonSchema:
    """Return the schema of a list of something."""
    return _object({"records": {"type": "array", "items": schema}})


def document(app: FastAPI, definition: ServedDefinition) -> dict[str, Any]:
    """Return the OpenAPI document of an app, for a definition."""
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    written, read = JsonSchemas(are_written=True), JsonSchemas()
    for topic in _OUTPUTS:
        written.of(record_type(topic).schema)
    event = event_schema(definition, read)
    _require_ids(definition, read.named[event["$ref"].removeprefix(WHERE)])
    schemas.update(_SCHEMAS | written.named | read.named)
    outcome = {"anyOf": [{"type": "null"}, ref("millrace.Outcome")]}
    schemas["Predicted"] = {
        "allOf": [ref("millrace.Prediction"), _object({"outcome": outcome})],
        "description": "The prediction, and what became of its event, once that is known.",
    }
    schemas["Event"] = event
    return made


def _require_ids(definition: ServedDefinition, event: JsonSchema) -> None:
    """Say that an id is not empty."""
    for part in id_parts(definition.event_id):
        declared = event["properties"].get(str(part), {})
        if declared.get("type") == "string":
            declared["minLength"] = 1
