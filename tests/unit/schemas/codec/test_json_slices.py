"""Many documents in one loop are what each of them is by itself, or are left out."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import pytest

from millrace.schemas import AvroType
from millrace.schemas.codec.documents import MisfitError, document_reader
from millrace.schemas.codec.json_slices import json_row_reader
from millrace.schemas.codec.slices import Parts, Row
from millrace.schemas.codec.types import Record
from tests.unit.schemas.avro_schemas import ENUM

MOMENT = {"type": "long", "logicalType": "timestamp-micros"}
TYPES: tuple[Any, ...] = (
    *("null", "boolean", "int", "long", "float", "double", "string", ENUM, MOMENT),
    *(["null", each] for each in ("boolean", "int", "long", "float", "double", "string", ENUM)),
    *(["long", "double"], ["int", "long"], ["null", "boolean", "long", "double", "string"]),
)
NOT_READ: tuple[Any, ...] = (
    *("bytes", {"type": "array", "items": "long"}, {"type": "map", "values": "long"}),
    *(["string", ENUM], ["float", "double"], ["long", "float"]),
)
VALUES = (
    *(
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "1.0",
        "-0.0",
        "1e2",
        "1e400",
        "1e-400",
        "NaN",
    ),
    *("2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "9007199254740993"),
    *("-9223372036854775808", "-9223372036854775809", "1" + "0" * 400, "0.1", "3.4e38", "1e39"),
    *('""', '"a"', '"Z"', '"é"', r'"\u00e9"', r'"\ud83d\ude00"', r'"\ud800"', '"\\n"', "[]", "{}"),
)


def declared(schema: Any, default: Any = ...) -> Record:
    field = {"name": "a", "type": schema} | ({} if default is ... else {"default": default})
    avro: AvroType[Any] = AvroType({"type": "record", "name": "R", "fields": [field]})
    return avro.type


def alone(record: Record, data: bytes) -> tuple[str, Any] | None:
    try:
        return "R", document_reader(record)(json.loads(data))
    except (ValueError, MisfitError, RecursionError):
        return None


@pytest.mark.parametrize("schema", TYPES, ids=str)
def test_values_of_every_type(schema: Any) -> None:
    """What is read has the value and the type that it has by itself; most of what fits is read."""
    record = declared(schema)
    read = json_row_reader(Row("R", record))
    documents = [f'{{"a": {value}}}'.encode() for value in VALUES]
    expected = [alone(record, each) for each in documents]
    rows = read(documents)
    for data, row, each in zip(documents, rows, expected, strict=True):
        assert row is None or repr(row) == repr(each), data
    assert sum(row is not None for row in rows) > 0.4 * sum(each is not None for each in expected)


def nested(schema: Any, default: Any = ...) -> Any:
    field = {"name": "b", "type": schema, "aliases": ["c"]}
    field |= {} if default is ... else {"default": default}
    return {"type": "record", "name": "Inner", "fields": [field, {"name": "d", "type": "long"}]}


@pytest.mark.parametrize("schema", TYPES, ids=str)
@pytest.mark.parametrize("is_nullable", [False, True], ids=["record", "or null"])
def test_records_in_records(schema: Any, is_nullable: bool) -> None:
    """What is in them is read as it is at the top, fields in the order of the schema."""
    record = declared(["null", nested(schema)] if is_nullable else nested(schema))
    read = json_row_reader(Row("R", record))
    inside = [f'{{"d": 7, "b": {value}, "x": [{{}}]}}' for value in VALUES]
    inside += ['{"b": 1}', '{"d": 7}', '{"d": 7, "c": 1}', '{"d": "7", "b": 1}', "null", "[]", "7"]
    documents = [f'{{"a": {each}}}'.encode() for each in inside]
    expected = [alone(record, each) for each in documents]
    rows = read(documents)
    for data, row, each in zip(documents, rows, expected, strict=True):
        assert row is None or repr(row) == repr(each), data
    assert sum(row is not None for row in rows) > 0.4 * sum(each is not None for each in expected)


@pytest.mark.parametrize("default", [None, {"b": 1, "d": 2}])
def test_defaults_of_records_in_records(default: Any) -> None:
    """A default is read if it is null; where it is a record, the documents are left out."""
    types = ["null", nested("long", 3)] if default is None else [nested("long", 3), "null"]
    record = declared(types, default)
    documents = [b"{}", b'{"a": null}', b'{"a": {"d": 1}}', b'{"a": {"d": 1, "b": 2}}']
    rows = json_row_reader(Row("R", record))(documents)
    expected = [alone(record, each) for each in documents]
    assert rows == (expected if default is None else [None] * 4)


def test_a_record_that_holds_itself_is_left_to_others() -> None:
    """As one that is in it over and over."""
    fields: list[Any] = [{"name": "next", "type": ["null", "Node"]}, {"name": "x", "type": "long"}]
    node: AvroType[Any] = AvroType({"type": "record", "name": "Node", "fields": fields})
    assert json_row_reader(Row("Node", node.type))([b'{"next": null, "x": 1}']) == [None]


@pytest.mark.parametrize("schema", NOT_READ, ids=str)
def test_types_that_are_left_to_others(schema: Any) -> None:
    """Documents of a type that msgspec might read otherwise are left out."""
    assert json_row_reader(Row("R", declared(schema)))([b'{"a": 1}', b'{"a": "a"}']) == [None, None]


@pytest.mark.parametrize(
    ("rest", "is_read"),
    [
        ('"b": [1, {"c": null}]', True),
        (r'"b": "\u0000"', True),
        ('"a": 2', True),
        ('"b": "\udcff"', False),  # not UTF-8
        ('"b": "\x01"', False),
        ('"b": ' + "9" * 4_301, False),  # more digits than Python reads
        ('"b": 01', False),
        ('"b": 1,', False),
        ('"b": 1}', False),
    ],
)
def test_what_others_wrote_beside_it(rest: str, is_read: bool) -> None:
    """Unknown fields are ignored, as long as they are JSON as Python reads it."""
    record = declared("long")
    data = f'{{"a": 1, {rest}}}'.encode(errors="surrogateescape")
    assert json_row_reader(Row("R", record))([data]) == [alone(record, data)]
    assert (alone(record, data) is not None) is is_read


def test_large_documents() -> None:
    """A document may be long where the schema knows all of its fields."""
    record = declared("string")
    data = json.dumps({"a": "x" * 5_000}).encode()
    assert json_row_reader(Row("R", record))([data]) == [("R", {"a": "x" * 5_000})]
    assert json_row_reader(Row("R", record), max_bytes=len(data) - 1)([data]) == [None]


def test_defaults_and_parts() -> None:
    """A field that is missing has its default; rows have the parts that are asked for."""
    record = declared("float", 0.1)
    row = Row("R", record, Parts((None, "a"), ("a",)))
    assert json_row_reader(row)([b"{}"]) == [
        ("R", None, struct.unpack("f", struct.pack("f", 0.1))[0], {})
    ]


def test_doubles_to_the_last_bit() -> None:
    """Doubles are those that Python reads."""
    rng = random.Random(1)
    doubles = [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(2_000)]
    texts = [f"{each:.{rng.randrange(30)}e}" for each in doubles if abs(each) < 1e307]
    texts += [str(2**power + rng.randrange(-3, 4)) for power in range(50, 300)]
    rows = json_row_reader(Row("R", declared("double")))(
        [f'{{"a": {each}}}'.encode() for each in texts]
    )
    read = [row and row[1]["a"] for row in rows]
    assert [each for each in zip(texts, read, strict=True) if each[1] != float(each[0])] == []


@pytest.mark.parametrize("data", [b'{"old": 1}', b'{"old": 1, "a": 2}', b'{"older": null}'])
def test_aliases_are_left_out(data: bytes) -> None:
    """A document that has an alias is left to what reads one by one, a default notwithstanding."""
    fields = [{"name": "a", "type": "long", "default": 0, "aliases": ["old", "older"]}]
    avro: AvroType[Any] = AvroType({"type": "record", "name": "R", "fields": fields})
    read = json_row_reader(Row("R", avro.type))
    assert read([b'{"a": 3}', data, b"{}"]) == [("R", {"a": 3}), None, ("R", {"a": 0})]
