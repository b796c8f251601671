"""Schemas and values for the tests of the codec: written out, and drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import strategies as st

from millrace.schemas.codec.parsing import parse_record
from millrace.schemas.codec.types import Record

LONGS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.booleans() | LONGS | st.floats(allow_nan=False) | TEXTS
KEYS = st.none() | TEXTS

FEATURE = ["boolean", "long", "double", "string"]
ENUM = {"type": "enum", "name": "E", "symbols": ["X", "Y", "Z"]}

TYPES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int": st.integers(min_value=-(2**31), max_value=2**31 - 1),
    "long": LONGS,
    "double": st.floats(allow_nan=False),
    "string": TEXTS,
}
FORMS: dict[str, Callable[[str], Any]] = {
    "required": lambda name: name,
    "wrapped": lambda name: {"type": name},
    "null or": lambda name: ["null", name],
    "or null": lambda name: [name, "null"],
}
PLAIN_FIELDS = st.lists(
    st.tuples(st.sampled_from([*TYPES]), st.sampled_from([*FORMS])), min_size=1, max_size=26
)


def record(*types: object, name: str = "R") -> dict[str, Any]:
    """Return a record schema with a field of each type, called a, b, c and so on."""
    fields = [{"name": chr(ord("a") + i), "type": each} for i, each in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields}


def parsed(*types: object, name: str = "R") -> Record:
    """Return such a record as a tree of types."""
    return parse_record(record(*types, name=name))


def map_of(values: object) -> dict[str, object]:
    return {"type": "map", "values": values}


def a_value(fields: list[tuple[str, str]], data: st.DataObject) -> dict[str, Any]:
    """Draw a record of such fields, named as `record` names them."""
    return {
        chr(ord("a") + i): data.draw(TYPES[name] | st.none() if "null" in form else TYPES[name])
        for i, (name, form) in enumerate(fields)
    }


def by_fastavro(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    """Return the bytes of a record's body as another Avro library writes them."""
    written = BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(schema), value)
    return written.getvalue()
