"""Whether a value fits a JSON Schema, as far as Millrace's schemas go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.streams.docs.json_schema import WHERE

_TYPES: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
KNOWN = {
    *("$ref", "type", "anyOf", "allOf", "enum", "properties", "required", "items"),
    *("additionalProperties", "minimum", "maximum", "minLength", "maxLength"),
    *("format", "description", "default", "contentEncoding"),
}
"""The keywords that are used."""


def fits(value: Any, schema: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    """Whether a value fits a schema that refers to named ones."""
    assert schema.keys() <= KNOWN, schema
    if "$ref" in schema:
        return fits(value, named[schema["$ref"].removeprefix(WHERE)], named)
    checks = [
        "anyOf" not in schema or any(fits(value, each, named) for each in schema["anyOf"]),
        all(fits(value, each, named) for each in schema.get("allOf", [])),
        value in schema.get("enum", [value]),
        _has_type(value, schema.get("type", [*_TYPES])),
        _is_long(value, schema),
    ]
    return all(checks) and _parts_fit(value, schema, named)


def _has_type(value: Any, types: str | list[str]) -> bool:
    names = [types] if isinstance(types, str) else types
    return any(
        isinstance(value, _TYPES[each]) and (each == "boolean" or not isinstance(value, bool))
        for each in names
    )


def _is_long(value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9))
    if isinstance(value, int):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


def _parts_fit(value: Any, schema: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    if isinstance(value, list):
        return all(fits(each, schema.get("items", {}), named) for each in value)
    if not isinstance(value, dict):
        return True
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    return {*schema.get("required", ())} <= value.keys() and all(
        fits(each, properties.get(name, others), named) for name, each in value.items()
    )
