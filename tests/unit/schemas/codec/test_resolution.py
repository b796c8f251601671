"""What others wrote is read by Avro's rules; what they wrote to do harm is refused in time."""

from __future__ import annotations

import struct
import time
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import AvroType, RecordError, RejectReason
from millrace.schemas.codec.avro import HEADER_SIZE_BYTES
from millrace.schemas.codec.binary import write_long
from millrace.schemas.codec.parsing import parse_record
from tests.unit.schemas.any_schemas import Drawn, schemas
from tests.unit.schemas.avro_schemas import ENUM, by_fastavro, map_of, record
from tests.unit.schemas.schema_pairs import Pair, pairs

WANTED: AvroType[Any] = AvroType(record("string"))
SECOND: AvroType[Any] = AvroType({**record(), "fields": [{"name": "b", "type": "string"}]})
FIXED = {"type": "fixed", "name": "F", "size": 4}


def array_of(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


def decimal(precision: int, scale: int, base: str = "bytes") -> dict[str, Any]:
    declared = {"type": base, "logicalType": "decimal", "precision": precision, "scale": scale}
    return declared | ({"name": f"D{scale}", "size": 8} if base == "fixed" else {})


def time_in(unit: str, base: str = "long") -> dict[str, str]:
    return {"type": base, "logicalType": unit}


def read(body: bytes, written: Any, wanted: AvroType[Any] = WANTED) -> Any:
    return wanted.decoder_of(parse_record(written)).decode(body, 0)


def converted(written: Any, wanted: Any, value: object) -> object:
    """Return what a value of one type is as another."""
    body = by_fastavro(record(written), {"a": value})
    return read(body, record(written), AvroType(record(wanted)))["a"]


def refused(body: bytes, written: Any, wanted: AvroType[Any] = WANTED) -> RecordError:
    """Return why bytes are refused, which must not take long."""
    begun = time.process_time()
    with pytest.raises(RecordError) as caught:
        read(body, written, wanted)
    assert time.process_time() - begun < 10
    return caught.value


@pytest.mark.parametrize(
    ("written", "wanted", "value", "expected"),
    [
        ("int", "long", 5, 5),
        ("int", "float", 2**24 + 1, 2.0**24),
        ("int", "double", 5, 5.0),
        ("long", "float", 3, 3.0),
        ("long", "double", 2**53 + 1, 2.0**53),
        ("float", "double", 0.5, 0.5),
        ("string", "bytes", "é", "é".encode()),
        ("bytes", "string", "é".encode(), "é"),
        ("int", ["null", "double"], 5, 5.0),
        ("int", ["double", "long"], 5, 5),
        ("long", ["double", "long"], 2**53 + 1, 2**53 + 1),
        ("long", ["float", "double", "null"], 3, 3.0),
        (["null", "int"], "int", 7, 7),
        (["null", "int"], ["long", "null"], None, None),
        (["double", "long"], ["double", "long"], 2**53 + 1, 2.0**53),
        ({**ENUM, "symbols": ["Y", "X"]}, ENUM, "Y", "Y"),
        ({**ENUM, "symbols": ["W"]}, {**ENUM, "default": "Z"}, "W", "Z"),
        ({**ENUM, "name": "Other"}, ENUM, "Z", "Z"),
        (FIXED, {**FIXED, "name": "G"}, b"abcd", b"abcd"),
        (array_of("int"), array_of("double"), [1, 2], [1.0, 2.0]),
        (map_of("int"), map_of(["null", "long"]), {"x": 1}, {"x": 1}),
        (decimal(4, 2), decimal(4, 2), Decimal("12.34"), Decimal("12.34")),
        (decimal(4, 2), decimal(9, 4), Decimal("12.34"), Decimal("12.3400")),
        (decimal(4, 2, "fixed"), decimal(9, 4), Decimal("-0.01"), Decimal("-0.0100")),
        (decimal(4, 2), "bytes", Decimal("12.34"), b"\x04\xd2"),
        ("bytes", decimal(4, 2), b"\x04\xd2", Decimal("12.34")),
        (time_in("timestamp-millis"), time_in("timestamp-micros"), 1_500, 1_500_000),
        (time_in("timestamp-micros"), time_in("timestamp-millis"), 1_999, 1),
        (time_in("timestamp-micros"), time_in("timestamp-millis"), -1, -1),
        (time_in("local-timestamp-millis"), time_in("timestamp-nanos"), 2, 2_000_000),
        (time_in("date", "int"), time_in("timestamp-millis"), 2, 2 * 86_400_000),
        (time_in("timestamp-millis"), "long", 1_500, 1_500),
        ("long", time_in("timestamp-micros"), 1_500, 1_500),
        (time_in("timestamp-millis"), ["null", time_in("timestamp-micros")], 1, 1_000),
    ],
    ids=str,
)
def test_types_are_converted(written: Any, wanted: Any, value: Any, expected: Any) -> None:
    """Avro's promotions, and conversions that lose nothing: units of times, scales of decimals."""
    found = converted(written, wanted, value)
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(expected, Decimal):
        assert str(found) == str(expected)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("string", "long"),
        ("double", "float"),
        ("long", "int"),
        ("null", "string"),
        ("string", ["null", "long"]),
        (array_of("string"), array_of("long")),
        (map_of("string"), map_of("long")),
        (array_of("long"), map_of("long")),
        (FIXED, {**FIXED, "size": 5}),
        (FIXED, "bytes"),
        (ENUM, "string"),
        (decimal(4, 2), decimal(4, 1)),
        (decimal(9, 2), decimal(4, 2)),
        (decimal(4, 2), "string"),
        (time_in("timestamp-millis"), time_in("date", "int")),
        (record("string", name="I"), record("long", name="I")),
        (["string", "bytes"], "long"),
    ],
    ids=str,
)
def test_types_that_cannot_be_converted(written: Any, wanted: Any) -> None:
    """A schema whose values can never be read is incompatible, and the field is named."""
    error = refused(b"", record(written), AvroType(record(wanted)))
    assert error.reason is RejectReason.INCOMPATIBLE_SCHEMA
    assert "field 'a'" in error.detail
    assert len(error.detail) < 300


@pytest.mark.parametrize(
    ("written", "wanted", "value"),
    [
        (["null", "string"], "string", None),
        (["int", "string"], ["null", "long"], "text"),
        ({**ENUM, "symbols": ["W", "X"]}, ENUM, "W"),
    ],
    ids=str,
)
def test_values_that_the_reader_does_not_have(written: Any, wanted: Any, value: object) -> None:
    """Where only some values fit, a record with another is incompatible, and the rest is read."""
    with pytest.raises(RecordError, match=r"^incompatible_schema: "):
        converted(written, wanted, value)


def test_defaults_of_every_type() -> None:
    """What the writer lacks has the default of the reader, whatever its type, nested too."""
    inner = record("bytes", "long", name="Inner")
    inner["fields"][0]["default"] = "\u00fe"
    inner["fields"][1]["default"] = 7
    defaults: list[tuple[Any, Any, Any]] = [
        ("null", None, None),
        ("boolean", True, True),
        ("int", 1, 1),
        ("long", 2**40, 2**40),
        ("float", 0.1, struct.unpack("<f", struct.pack("<f", 0.1))[0]),
        ("double", 1, 1.0),
        ("bytes", "\u0000\u00ff", b"\x00\xff"),
        ("string", "\u00ff", "\u00ff"),
        (FIXED, "\u00ff\u0001ab", b"\xff\x01ab"),
        (ENUM, "Y", "Y"),
        (decimal(4, 2), "\u0004\u00d2", Decimal("12.34")),
        (decimal(4, 2), "1", Decimal("0.49")),
        (decimal(9, 3, "fixed"), "\u0000" * 7 + "\u0001", Decimal("0.001")),
        (time_in("timestamp-micros"), 5, 5),
        (time_in("date", "int"), 5, 5),
        ({"type": "string", "logicalType": "uuid"}, "x", "x"),
        ({"type": "fixed", "name": "U", "size": 2, "logicalType": "duration"}, "ab", b"ab"),
        (["bytes", "null"], "\u00ff", b"\xff"),
        (["null", "bytes"], None, None),
        (["null", "bytes"], "\u00ff", b"\xff"),
        (["null", decimal(5, 1)], "\u000a", Decimal("1.0")),
        ([decimal(5, 1), "null"], "\u000a", Decimal("1.0")),
        (["double", "long"], 2**53 + 1, 2.0**53),
        (array_of("bytes"), ["\u00ff"], [b"\xff"]),
        (map_of({**FIXED, "name": "G"}), {"k": "\u00ff\u00ffab"}, {"k": b"\xff\xffab"}),
        (array_of({"type": "enum", "name": "S", "symbols": ["A"]}), ["A"], ["A"]),
        (inner, {}, {"a": b"\xfe", "b": 7}),
        (array_of("Inner"), [{}, {"b": 1}], [{"a": b"\xfe", "b": 7}, {"a": b"\xfe", "b": 1}]),
    ]
    wanted = record("string", name="R")
    wanted["fields"] += [
        {"name": f"f{n}", "type": declared, "default": default}
        for n, (declared, default, _) in enumerate(defaults)
    ]
    avro: AvroType[Any] = AvroType(wanted)
    expected = {"a": "x"} | {f"f{n}": value for n, (_, _, value) in enumerate(defaults)}
    for found in (read(b"\x02x", record("string"), avro), avro.decode(avro.encode({"a": "x"}))):
        assert found == expected
        assert [*map(type, found.values())] == [*map(type, expected.values())]
        assert [*found] == [*expected]
    found["f23"].append(b"changed")
    assert read(b"\x02x", record("string"), avro) == expected


def test_fields_are_those_of_the_reader() -> None:
    """Fields are found by name and alias, in the reader's order; what it lacks is dropped."""
    wanted = record("long", "string", "boolean")
    wanted["fields"][1] |= {"aliases": ["old", "z"]}
    written = record("string", "bytes", array_of("int"))
    for field, name in zip(written["fields"], ("z", "gone", "also_gone"), strict=True):
        field["name"] = name
    written["fields"] += [{"name": "c", "type": "boolean"}, {"name": "a", "type": "int"}]
    value = {"z": "text", "gone": b"x", "also_gone": [1], "c": True, "a": 4}
    found = read(by_fastavro(written, value), written, AvroType(wanted))
    assert [*found.items()] == [("a", 4), ("b", "text"), ("c", True)]


@given(schemas(), st.data())
def test_what_is_added_by_others_is_dropped(drawn: Drawn, data: st.DataObject) -> None:
    """Fields of any type that the reader does not have are passed over, to the last byte."""
    value = data.draw(drawn.values)
    written = record("string", drawn.declared, "string", name="Outer")
    body = by_fastavro(written, {"a": "1", "b": value, "c": "2"})
    assert read(body, written) == {"a": "1"}
    for size in range(len(body)):
        refused(body[:size], written)
    refused(body + b"\0", written)


@given(schemas(), st.binary(max_size=100))
def test_any_bytes_in_any_type(drawn: Drawn, body: bytes) -> None:
    """Whatever bytes come for whatever schema are a record, or malformed."""
    avro: AvroType[Any] = AvroType(drawn.declared)
    reason = RejectReason.MALFORMED
    try:
        avro.decode(avro.header + body)
    except RecordError as error:
        reason = error.reason
    assert reason is RejectReason.MALFORMED


EMPTY = {"type": "record", "name": "Empty", "fields": []}
ZERO = {"type": "fixed", "name": "Zero", "size": 0}
HOLLOW = record("null", EMPTY, name="Hollow")


@pytest.mark.parametrize("count", [2**62, 2**63 - 1, -(2**62), -(2**63), 10**6, -(10**6)])
@pytest.mark.parametrize(
    "items",
    ["null", EMPTY, ZERO, HOLLOW, "long", "string", array_of("null"), EMPTY | {"name": "X"}],
)
def test_counts_are_bounded_by_what_is_left(count: int, items: Any) -> None:
    """An array or a map cannot say that it has more than its bytes can hold."""
    size = b"\x00" if count < 0 else b""
    for declared in (array_of(items), map_of(items)):
        body = b"\x02x" + write_long(count) + size + b"\x00" * 9
        assert refused(body, record("string", declared)).reason is RejectReason.MALFORMED
        avro: AvroType[Any] = AvroType(record("string", declared))
        with pytest.raises(RecordError, match=r"^malformed: "):
            avro.decode(avro.header + body)


def test_values_that_take_no_bytes() -> None:
    """Some of them are allowed in a record, but not for every byte again."""
    written = record("string", array_of("null"))
    assert read(b"\x02x" + write_long(1_000) + b"\x00", written) == {"a": "x"}
    again = (write_long(9_000) + b"\x00") * 1_000
    many = b"\x02x" + write_long(1_000) + again + b"\x00"
    refused(many, record("string", array_of(array_of("null"))))


@pytest.mark.parametrize("length", [-1, -(2**62), 2**62, 2**31, 50])
@pytest.mark.parametrize("declared", ["string", "bytes", map_of("null"), decimal(4, 2)])
def test_lengths_in_what_is_dropped(length: int, declared: Any) -> None:
    """A negative or absurd length is refused in a field that nobody reads, too."""
    prefix = b"\x02" if declared == map_of("null") else b""
    body = prefix + write_long(length) + b"\x02x"
    assert refused(body, record(declared, "string"), SECOND).reason is RejectReason.MALFORMED


NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "v", "type": "int"}, {"name": "next", "type": ["null", "Node"]}],
}
TREE = {
    "type": "record",
    "name": "Tree",
    "fields": [{"name": "children", "type": array_of("Tree")}],
}


@pytest.mark.parametrize(("written", "level"), [(NODE, b"\x02\x02"), (TREE, b"\x02")])
def test_depth_of_data_is_bounded(written: Any, level: bytes) -> None:
    """A recursive record is read to 64 levels; whatever is deeper is refused, and nothing fails."""
    avro: AvroType[Any] = AvroType(written)
    end, levels = (b"\x02\x00", 1) if written is NODE else (b"\x00", 2)
    deepest = 64 // levels - 1
    body = level * deepest + end + b"\x00" * (deepest if written is TREE else 0)
    assert avro.decode(avro.encode(avro.decode(avro.header + body))) is not None
    for depth in (deepest + 1, 2_500, 200_000):
        body = level * depth + end + b"\x00" * (depth if written is TREE else 0)
        with pytest.raises(RecordError, match="nested more than 64 levels deep"):
            avro.decode(avro.header + body)
        refused(b"\x02x" + body, record("string", written))


def test_diamonds_do_not_unfold() -> None:
    """A schema that doubles with every record costs no more than its text, and neither do bytes."""
    fields: list[dict[str, Any]] = [{"name": "a", "type": "string"}]
    fields.append({"name": "r0", "type": {"type": "record", "name": "R0", "fields": []}})
    for n in range(1, 60):
        double = [{"name": each, "type": f"R{n - 1}"} for each in ("x", "y")]
        each = {"type": "record", "name": f"R{n}", "fields": double}
        fields.append({"name": f"r{n}", "type": ["null", each]})
    written = {**record(), "fields": fields}
    assert read(b"\x02x" + b"\x00" * 59, written) == {"a": "x"}
    refused(b"\x02x" + b"\x00" * 58 + b"\x02", written)


def test_little_bytes_do_not_become_much_memory() -> None:
    """Records that lie around one byte each are counted."""
    inside: Any = "int"
    for level in range(58):
        inside = record(inside, name=f"N{level}")
    many = 200_000
    body = b"\x02x" + write_long(many) + b"\x02" * many + b"\x00"
    assert "more values than" in refused(body, record("string", array_of(inside))).detail


@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * 9 + b"\x02",
        b"\x80" * 10 + b"\x00",
        b"\x80" * 100_000 + b"\x00",
        b"\xff" * 10 + b"\x01",
    ],
    ids=len,
)
@pytest.mark.parametrize("declared", ["long", "int", ["null", "long"], array_of("long"), ENUM])
def test_numbers_of_more_than_64_bits(body: bytes, declared: Any) -> None:
    """A number that no long can hold is refused: as a value, a branch, a count or a symbol."""
    written = record(declared, "string")
    assert refused(body + b"\x00\x02x", written, SECOND).reason is RejectReason.MALFORMED
    avro: AvroType[Any] = AvroType(written)
    with pytest.raises(RecordError, match=r"more than 64 bits|no such branch|KeyError"):
        avro.decode(avro.header + body + b"\x00\x02x")


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**62])
def test_an_int_of_more_than_32_bits(value: int) -> None:
    """An int has 32 bits, when it is read and when it is written, compiled or not."""
    for schema in (record("int"), record("int", ENUM)):
        avro: AvroType[Any] = AvroType(schema)
        with pytest.raises(RecordError, match="more than the 32 bits of an int"):
            avro.decode(avro.header + write_long(value) + b"\x00" * (len(schema["fields"]) - 1))
        with pytest.raises(OverflowError, match="does not fit into the 32 bits of an Avro int"):
            avro.encode({"a": value, "b": "X"})


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_a_branch_or_a_symbol_that_is_not_there(index: int) -> None:
    """An index counts from the start, and within the list."""
    for declared in (ENUM, ["null", "boolean", ENUM]):
        refused(b"\x02x" + write_long(index), record("string", declared))


@pytest.mark.parametrize("size", [5_000, 400_000])
def test_a_decimal_of_absurd_size(size: int) -> None:
    """A decimal with more digits than its precision is refused, and is not computed first."""
    body = b"\x02x" + write_long(size) + b"\x7f" * size
    assert "a decimal of" in refused(body, record("string", decimal(1_000, 0))).detail
    assert (
        "more than 4 digits"
        in refused(b"\x02x\x06\x7f\xff\xff", record("string", decimal(4, 2))).detail
    )


def test_recursive_records_are_resolved() -> None:
    """Of two recursive schemas each level is converted, and has the defaults."""
    wanted = {
        "type": "record",
        "name": "Wanted",
        "fields": [
            {"name": "v", "type": "double"},
            {"name": "next", "type": ["null", "Wanted"], "default": None},
            {"name": "more", "type": array_of("bytes"), "default": ["\u00ff"]},
        ],
    }
    body = by_fastavro(NODE, {"v": 1, "next": {"v": 2, "next": None}})
    expected = {"v": 2.0, "next": None, "more": [b"\xff"]}
    assert read(body, NODE, AvroType(wanted)) == {"v": 1.0, "next": expected, "more": [b"\xff"]}
    incompatible = {**wanted, "fields": [{"name": "v", "type": "string"}, wanted["fields"][1]]}
    assert "field 'v'" in refused(body, NODE, AvroType(incompatible)).detail


def test_nested_unions_are_resolved_in_time() -> None:
    """Trying the branches of a union does not begin again at every level."""
    declared: Any = "int"
    for _ in range(30):
        declared = ["null", array_of(declared)]
    body = AvroType(record("string", declared)).encode({"a": "x", "b": None})[HEADER_SIZE_BYTES:]
    begun = time.process_time()
    assert read(body, record("string", declared), AvroType(record("string", declared))) == {
        "a": "x",
        "b": None,
    }
    assert time.process_time() - begun < 5


@given(pairs(), st.data())
def test_any_pair_is_resolved_as_by_fastavro(pair: Pair, data: st.DataObject) -> None:
    """Of any two schemas, what one wrote has the value that fastavro reads, or both refuse it."""
    body = by_fastavro(pair.written, data.draw(pair.values))
    expected = _by_fastavro(body, pair)
    try:
        found = read(body, pair.written, AvroType(pair.wanted))
    except RecordError:
        found = "refused"
    assert found == expected


def _by_fastavro(body: bytes, pair: Pair) -> object:
    schemas = [*map(fastavro.parse_schema, (pair.written, pair.wanted))]
    try:
        return fastavro.schemaless_reader(BytesIO(body), *schemas)
    except Exception:  # it has no error of its own for what it does not expect
        return "refused"


def test_names_where_a_union_has_several() -> None:
    """Of several records of a union, the one of the writer's name or alias is read, or none."""
    one, two = record("long", name="One"), record("long", "long", name="Two")
    two["fields"][1]["default"] = 5
    both = AvroType[Any](record([one, {**two, "namespace": "n", "aliases": ["Old"]}]))
    for name, expected in (
        ("One", {"a": 1}),
        ("Two", {"a": 1, "b": 5}),
        ("n.Old", {"a": 1, "b": 5}),
    ):
        written = record([record("long", name=name)])
        assert read(by_fastavro(written, {"a": {"a": 1}}), written, both)["a"] == expected
    error = refused(b"", record([record("long", name="Other")]), both)
    assert "record Other cannot be read as record One or record Two" in error.detail
    alone = AvroType[Any](record([one]))
    written = record([record("long", name="Other")])
    assert read(by_fastavro(written, {"a": {"a": 1}}), written, alone) == {"a": {"a": 1}}
