"""What the records of a source are like: the row that counts, in its envelope.

A new envelope has an entry here, beside that of `streams.sources.envelopes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from millrace.models.pipeline.record_parts import id_parts
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.streams.docs.json_schema import JsonSchema
from millrace.streams.docs.values import TIME_MS, put

_BEFORE: JsonSchema = {
    "type": ["object", "null"],
    "description": "The row as it was, or its key alone; null where it is new.",
}


class Wrapping(NamedTuple):
    """How an envelope is told of.

    Attributes
    ----------
    says
        What a record is, for people.
    schema
        From the JSON Schema of the row to that of the record.
    example
        From a row, and what the envelope is to say beside it, to a record.
    changed
        What the envelope says beside a row that has changed.
    """

    says: str
    schema: Callable[[JsonSchema], JsonSchema]
    example: Callable[[Any, Mapping[str, Any]], Any]
    changed: Mapping[str, Any] = {}


def _object(required: list[str], **properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": required}


def _debezium(row: JsonSchema) -> JsonSchema:
    after = {"anyOf": [row, {"type": "null"}], "description": "The row; null where it is gone."}
    operations = "c: new, r: of a snapshot, u: changed, d: gone."
    operation = {"type": "string", "enum": ["c", "r", "u", "d"], "description": operations}
    change = _object(["op"], op=operation, before=_BEFORE, after=after)
    return {"anyOf": [change, _object(["payload"], schema={"type": "object"}, payload=change)]}


def _cloudevent(row: JsonSchema) -> JsonSchema:
    text = {"type": "string"}
    attributes = dict.fromkeys(("specversion", "id", "source", "type"), text)
    return _object(
        [*attributes],
        **attributes,
        time={"type": "string", "format": "date-time"},
        data=row,
        data_base64={"type": "string", "contentEncoding": "base64"},
    )


_CLOUDEVENT = {"specversion": "1.0", "id": "1", "source": "example", "type": "example"}

WRAPPINGS: Mapping[str, Wrapping] = {
    "plain": Wrapping("the record itself", lambda row: row, lambda row, _: row),
    "debezium": Wrapping(
        "a row of a change event of Debezium's, with or without schema",
        _debezium,
        lambda row, said: {"op": "c", "before": None, "after": row, "ts_ms": TIME_MS, **said},
        {"op": "u"},
    ),
    "cloudevents": Wrapping(
        "the data of a CloudEvent 1.0, structured, or binary with headers ce_*",
        _cloudevent,
        lambda row, said: {**_CLOUDEVENT, **said, "data": row},
    ),
    "connect": Wrapping(
        "the payload of a record of Kafka Connect's JSON converter",
        lambda row: _object(["payload"], schema={"type": "object"}, payload=row),
        lambda row, _: {"schema": {"type": "struct"}, "payload": row},
    ),
}
"""Name of an envelope to how it is told of."""

DECODED = Wrapping(
    "what the pipeline's own code decodes of the record",
    lambda _: {"description": "Any bytes that the pipeline's own code decodes."},
    lambda row, _: row,
)


def wrapping_of(source: Source | LabelSource) -> Wrapping:
    """Return how the records of a source are told of."""
    return DECODED if source.decode is not None else WRAPPINGS[source.envelope]


def label_row(source: LabelSource) -> JsonSchema:
    """Return the JSON Schema of a row with a label: the fields that are read, by their paths.

    Examples
    --------
    >>> schema = label_row(LabelSource("reviews", event_id="order.id", label="verdict"))
    >>> schema["properties"]["order"]["required"]
    ['id']
    """
    row: JsonSchema = {"type": "object"}
    for part in id_parts(source.event_id):
        _declare(row, part, {"description": "The id of the event, or a part of it."})
    _declare(row, source.key, {"description": "The key of the event."})
    time = "When the label became known: milliseconds since the Unix epoch, or ISO 8601."
    _declare(row, source.time, {"description": time}, is_required=False)
    _declare(row, source.label, _label(source), is_required=False)
    return row


def label_example(source: LabelSource, label: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a row that says the same as a label; None where it is not one of fields alone."""
    value = label["label"] if source.values is None else next(iter(source.values))
    said: list[tuple[object, Any]] = [
        (source.event_id, label["event_id"]),
        (source.label, value),
        (source.time, label.get("label_time_ms")),
        (source.key, label.get("key")),
    ]
    row: dict[str, Any] = {}
    for part, each in said:
        if part is not None and not isinstance(part, str):
            return None
        if part is not None and each is not None:
            put(row, part, each)
    return row


def _label(source: LabelSource) -> JsonSchema:
    if source.values is None:
        return {"description": "The label; null where the row says nothing."}
    meanings = ", ".join(f"{each!r}: {label!r}" for each, label in source.values.items())
    return {"description": f"What stands for a label ({meanings}); null says nothing."}


def _declare(
    row: JsonSchema, path: object, schema: JsonSchema, *, is_required: bool = True
) -> None:
    """Declare the field at a path; anything else is not in the row."""
    if not isinstance(path, str):
        return
    first, _, rest = path.partition(".")
    field = row.setdefault("properties", {}).setdefault(first, {})
    if is_required:
        row["required"] = sorted({*row.get("required", ()), first})
    if rest:
        _declare(field, rest, schema, is_required=is_required)
    else:
        field.update(schema)
