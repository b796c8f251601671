"""JSON Schema of what Avro schemas describe: of events as they are read, of outputs as written.

What is read is looser than what is written: a field with a default may be missing, and a decimal
may be text. What is written has every field, and null for NaN. Source: JSON Schema draft 07, which
is what AsyncAPI's schemas are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from millrace.schemas import Schema
from millrace.schemas.codec.parsing import parse_record
from millrace.schemas.codec.types import (
    Array,
    Decimals,
    Enum,
    Fixed,
    Map,
    Moment,
    Record,
    Type,
    Union,
    kind_of,
)

JsonSchema: TypeAlias = dict[str, Any]

WHERE = "#/components/schemas/"
"""Where records and enums are that have names."""

_BYTES_READ = "Text of ISO-8859-1, one character for each byte."
_PLAIN: Mapping[str, JsonSchema] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "bytes": {"type": "string", "description": _BYTES_READ},
}
_AS_WRITTEN: Mapping[str, JsonSchema] = {
    **_PLAIN,
    "float": {"type": ["number", "null"], "description": "Null stands for NaN and infinity."},
    "double": {"type": ["number", "null"], "description": "Null stands for NaN and infinity."},
    "bytes": {"type": "string", "contentEncoding": "base64"},
}


class JsonSchemas:
    """JSON Schemas, those of records by their names.

    Parameters
    ----------
    are_written
        Whether they are of what Millrace writes, and not of what it reads.

    Attributes
    ----------
    named
        Full name of a record to its schema: what references lead to.

    Examples
    --------
    >>> fields = [{"name": "id", "type": "string"}, {"name": "age", "type": "int", "default": 0}]
    >>> schemas = JsonSchemas()
    >>> schemas.of({"type": "record", "name": "Visit", "fields": fields})
    {'$ref': '#/components/schemas/Visit'}
    >>> schemas.named["Visit"]["required"]
    ['id']
    """

    def __init__(self, *, are_written: bool = False) -> None:
        self.named: dict[str, JsonSchema] = {}
        self._are_written = are_written
        self._plain = _AS_WRITTEN if are_written else _PLAIN

    def of(self, schema: Schema) -> JsonSchema:
        """Return a reference to the JSON Schema of an Avro record schema."""
        return self._of(parse_record(schema), schema)

    def _of(self, declared: Type, written: Any) -> JsonSchema:  # noqa: PLR0911 - one for each type
        """Return the schema of a type, of which `written` is the JSON, with what it says."""
        written = _unwrapped(written)
        match declared:
            case Record():
                if declared.name not in self.named:
                    self.named[declared.name] = {}  # it may refer to itself
                    self.named[declared.name].update(self._record(declared, written))
                return {"$ref": WHERE + declared.name}
            case Union():
                inner = written if isinstance(written, list) else [written]
                return _any_of([*map(self._of, declared.branches, inner)])
            case Array():
                return {"type": "array", "items": self._of(declared.items, written["items"])}
            case Map():
                values = self._of(declared.values, written["values"])
                return {"type": "object", "additionalProperties": values}
            case Enum():
                return _said({"type": "string", "enum": [*declared.symbols]}, written)
            case Fixed():
                size = declared.size
                return self._plain["bytes"] | {"minLength": size, "maxLength": size}
            case Decimals():
                digits = f"{declared.precision} digits, {declared.scale} of them behind the point."
                return {"type": ["number", "string"], "description": f"A decimal of {digits}"}
            case Moment():
                return self._plain[declared.base] | _unit(declared)
        return {**self._plain[kind_of(declared)]}

    def _record(self, declared: Record, written: Mapping[str, Any]) -> JsonSchema:
        properties = {field["name"]: self._field(declared, field) for field in written["fields"]}
        required = [
            name
            for name in declared.fields
            if self._are_written
            or (name not in declared.defaults and not declared.aliases.get(name))
        ]
        found: JsonSchema = {"type": "object", "properties": properties}
        return _said(found | ({"required": required} if required else {}), written)

    def _field(self, record: Record, field: Mapping[str, Any]) -> JsonSchema:
        name = field["name"]
        schema = _said(self._of(record.fields[name], field["type"]), field)
        if self._are_written:
            return schema
        if "default" in field:
            schema["default"] = field["default"]
        others = " or ".join(f"`{each}`" for each in record.aliases.get(name, ()))
        return _said(schema, {"doc": f"It may be called {others}, too."}) if others else schema


def _unwrapped(written: Any) -> Any:
    """Return what is declared where `{"type": {...}}` is around it."""
    while isinstance(written, dict) and isinstance(written.get("type"), dict | list):
        written = written["type"]
    return written


def _any_of(schemas: list[JsonSchema]) -> JsonSchema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _unit(moment: Moment) -> JsonSchema:
    units = {10**9 * 86_400: "Days", 10**6: "Milliseconds", 10**3: "Microseconds"}
    unit = units.get(moment.nanoseconds, "Nanoseconds")
    return {"description": f"{unit} since the Unix epoch, UTC."}


def _said(schema: JsonSchema, written: Any) -> JsonSchema:
    """Return a schema with what an Avro schema says of it, in words."""
    doc = written.get("doc") if isinstance(written, dict) else None
    if not doc:
        return schema
    if "$ref" in schema:  # beside which nothing counts
        schema = {"allOf": [schema]}
    known = schema.get("description")
    return schema | {"description": f"{doc} {known}" if known else doc}
