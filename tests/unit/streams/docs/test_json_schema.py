"""JSON Schema says of JSON what the readers of events say, and what outputs are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas.codec.documents import MisfitError, document_reader
from millrace.schemas.codec.parsing import parse_record
from millrace.streams.docs.json_schema import JsonSchemas
from millrace.streams.docs.values import made_up
from millrace.streams.formats.json import to_json
from millrace.streams.topology.codec import SHIPPED
from tests.unit.schemas.any_schemas import Drawn, schemas
from tests.unit.schemas.avro_schemas import record
from tests.unit.streams.docs.definitions import ORDER
from tests.unit.streams.docs.fitting import fits

JSON = st.sampled_from([None, True, 3, 2**40, 1.5, "X", "text", "0.01", [], {}, ["X"], {"a": 1}])
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
ENUM = {"type": "enum", "name": "E", "symbols": ["X", "Y"]}
INNER = {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "int"}]}


def of_field(declared: Any, *, are_written: bool = False, **said: Any) -> Any:
    """Return the JSON Schema of a record's only field."""
    fields = [{"name": "a", "type": declared, **said}]
    schemas = JsonSchemas(are_written=are_written)
    schemas.of({"type": "record", "name": "R", "fields": fields})
    return schemas.named["R"]["properties"]["a"]


@given(schemas(as_json=True))
def test_what_is_made_up_fits(drawn: Drawn) -> None:
    """A made-up record of any types, which the reader takes, fits the JSON Schema."""
    found = JsonSchemas()
    schema = found.of(drawn.declared)
    value = json.loads(json.dumps(made_up(parse_record(drawn.declared))))
    assert fits(value, schema, found.named)


@pytest.mark.parametrize(
    "declared",
    [
        *("null", "boolean", "int", "double", "string", ENUM, INNER),
        *(["null", "int"], ["null", ENUM], {"type": "array", "items": "string"}),
        *({"type": "map", "values": "int"}, ["null", "double", "string"]),
    ],
    ids=str,
)
@given(value=JSON)
def test_what_the_reader_takes_fits_and_nothing_else(declared: Any, value: Any) -> None:
    """The JSON Schema of a type refuses what the reader of events refuses."""
    schema = record(declared)
    found = JsonSchemas()
    reference = found.of(schema)
    try:
        document_reader(parse_record(schema))({"a": value})
        is_read = True
    except MisfitError:
        is_read = False
    assert fits({"a": value}, reference, found.named) == is_read


@pytest.mark.parametrize("value", ["12.50", 12.5, 3])
def test_a_decimal_is_a_number_or_text(value: object) -> None:
    """A decimal may be either, as the reader has it."""
    assert fits(value, of_field(DECIMAL), {})


def test_a_field_with_a_default_need_not_be_there() -> None:
    """Neither need be one that may have another name: JSON Schema cannot say which of the two."""
    found = JsonSchemas()
    found.of(ORDER)
    order = found.named["shop.v1.Order"]
    assert {"items", "verdict"}.isdisjoint(order["required"])
    assert order["properties"]["items"]["default"] == 1
    assert "`pieces`" in order["properties"]["items"]["description"]


def test_docs_are_descriptions() -> None:
    """What the Avro schema says in words is there, of records, fields and references."""
    said = of_field(INNER | {"doc": "Of the record."}, doc="Of the field.")
    assert said == {
        "allOf": [{"$ref": "#/components/schemas/Inner"}],
        "description": "Of the field.",
    }
    assert of_field("int", doc="How many.")["description"] == "How many."


def test_a_record_that_holds_others_of_its_kind() -> None:
    """A recursive record refers to itself."""
    found = JsonSchemas()
    found.of(ORDER)
    line = found.named["shop.v1.Line"]["properties"]
    assert {"$ref": "#/components/schemas/shop.v1.Line"} in line["part_of"]["anyOf"]
    assert line["parts"]["items"] == {"$ref": "#/components/schemas/shop.v1.Line"}


@pytest.mark.parametrize("name", [*SHIPPED])
def test_outputs_in_json_fit(name: str) -> None:
    """A record of any type of Millrace's fits once it is written as JSON; NaN and bytes as well."""
    avro = SHIPPED[name]
    value = made_up(avro.type)
    for field in avro.fields:
        if "bytes" in str(field["type"]):
            value[str(field["name"])] = b"\xff"
        if field["type"] == "double":
            value[str(field["name"])] = float("nan")
    if name == "Reject":
        value["headers"] = [{"name": "a", "value": b"\xff"}]
    found = JsonSchemas(are_written=True)
    schema = found.of(avro.schema)
    assert fits(json.loads(to_json(value)), schema, found.named)
    assert not fits({}, schema, found.named)
