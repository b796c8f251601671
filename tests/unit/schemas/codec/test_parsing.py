"""A schema from anybody is read in bounded time, or refused by name."""

from __future__ import annotations

import json
import time
from typing import Any

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from millrace.schemas import AvroType, DefinitionError
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.codec.parsing import MAX_SCHEMA_BYTES, load, parse_record
from millrace.schemas.codec.types import Array, Decimals, Fixed, Moment, Record
from tests.unit.schemas.avro_schemas import ENUM, map_of, record


def array_of(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


def nested(levels: int, wrap: Any, inside: object = "int") -> Any:
    """Wrap a type so many times."""
    for level in range(levels):
        inside = wrap(inside, level)
    return inside


WRAPPERS = {
    "arrays": lambda inside, _: array_of(inside),
    "maps": lambda inside, _: map_of(inside),
    "records": lambda inside, level: record(inside, name=f"N{level}"),
    "optional records": lambda inside, level: ["null", record(inside, name=f"N{level}")],
    "wrapped": lambda inside, _: {"type": inside} if inside != "int" else {"type": {"type": "int"}},
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_depth_of_a_schema_is_bounded(kind: str) -> None:
    """A schema may have 64 levels, and one that has more is refused at once."""
    parse_record(record(nested(63, WRAPPERS[kind])))
    for levels in (64, 5_000):
        with pytest.raises(DefinitionError, match=r"^schema must be nested at most 64 levels"):
            parse_record(record(nested(levels, WRAPPERS[kind])))


def test_depth_counts_names_too() -> None:
    """Levels that are reached by names count: each of these records holds the one before."""
    chain = [record("int", name="N0")] + [record(f"N{n}", name=f"N{n + 1}") for n in range(90)]
    fields = [{"name": f"f{n}", "type": each} for n, each in enumerate(chain)]
    parse_record({**record(), "fields": fields[:63]})
    for length in (64, 90):
        with pytest.raises(DefinitionError, match="at most 64 levels deep"):
            parse_record({**record(), "fields": fields[:length]})


@pytest.mark.parametrize(
    "text", ["[" * 400_000, '{"a":' * 100_000, '{"type": "record", "fields": ' + "[" * 9_000]
)
def test_json_that_is_nested_without_end(text: str) -> None:
    """A schema whose text is nested too deep for any parser is refused."""
    with pytest.raises(DefinitionError, match="at most 64 levels deep"):
        load(text, "it")


@pytest.mark.parametrize("character", ["x", "é"])
def test_size_of_a_schema_is_bounded(character: str) -> None:
    """A schema of more than a megabyte is refused before it is parsed."""
    text = json.dumps({"doc": character * (MAX_SCHEMA_BYTES // 2)}, ensure_ascii=False)
    loaded = json.loads(text)
    if character == "x":
        assert load(text, "it") == loaded
    with pytest.raises(DefinitionError, match=r"at most 1048576 bytes; got it, which has more"):
        load(text * (2 if character == "x" else 1), "it")


@pytest.mark.parametrize("text", ["{", "", "NaN1", '{"a": ' + "9" * 5_000 + "}"])
def test_text_that_is_no_json(text: str) -> None:
    """What is no JSON is called by the name that the caller gives it."""
    with pytest.raises(DefinitionError, match=r"^schema must be JSON; got the file: "):
        load(text, "the file")


LINKED = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}


def of_records(**records: list[Any]) -> Any:
    """Return a record whose fields declare records, each with a field of each of some types."""
    return record(*(["null", record(*types, name=name)] for name, types in records.items()))


@pytest.mark.parametrize(
    "schema",
    [
        record("R"),
        record(["R"]),
        record(record("R", name="Inner")),
        record(record(["R", "Inner"], name="Inner")),
        of_records(A=["A"]),
        of_records(A=[record("A", name="B")]),
    ],
    ids=str,
)
def test_a_record_without_end(schema: Any) -> None:
    """A record that always holds another of its own has no value, and is refused."""
    with pytest.raises(DefinitionError, match="got one that always holds another of its own"):
        parse_record(schema)


@pytest.mark.parametrize(
    "declared",
    [["null", "R"], ["R", "int"], array_of("R"), map_of("R"), record(["null", "R"], name="Inner")],
    ids=str,
)
def test_a_record_that_may_hold_another(declared: Any) -> None:
    """A recursive record with an end is legal Avro."""
    assert isinstance(parse_record(record(declared)), Record)


def test_names_are_resolved_in_their_namespace() -> None:
    """A name belongs to the namespace around it, unless it has one of its own."""
    inner = {"type": "fixed", "name": "F", "size": 2}
    other = {"type": "fixed", "name": "other.F", "size": 3}
    schema = {**record(inner, other, "F", "n.F", "other.F"), "namespace": "n"}
    sizes = [each.size for each in parse_record(schema).fields.values() if isinstance(each, Fixed)]
    assert sizes == [2, 3, 2, 2, 3]


def test_references_bring_their_names() -> None:
    """A schema may use what others declare."""
    references = [{**ENUM, "namespace": "n"}, {**record("n.E", name="Inner"), "namespace": "n"}]
    found = parse_record(record("n.Inner", array_of("n.E")), references)
    inner = found.fields["a"]
    assert isinstance(inner, Record)
    assert found.fields["b"] == Array(inner.fields["a"])
    with pytest.raises(DefinitionError, match=r"got 'n\.Inner'"):
        parse_record(record("n.Inner"), references[:1])


def decimal(base: Any = "bytes", **more: object) -> dict[str, object]:
    return {"type": base, "logicalType": "decimal", **more}


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (decimal(precision=4, scale=2), Decimals("bytes", 4, 2)),
        (decimal(precision=4), Decimals("bytes", 4, 0)),
        (
            decimal("fixed", name="F", size=3, precision=5),
            Decimals(Fixed("F", 3), 5, 0),
        ),
        (decimal(precision=2, scale=3), "bytes"),
        (decimal(precision=0), "bytes"),
        (decimal(precision="4"), "bytes"),
        (decimal(), "bytes"),
        (decimal("string", precision=4), "string"),
        ({"type": "long", "logicalType": "timestamp-millis"}, Moment("long", 1_000_000)),
        ({"type": "long", "logicalType": "local-timestamp-micros"}, Moment("long", 1_000)),
        ({"type": "int", "logicalType": "date"}, Moment("int", 86_400 * 10**9)),
        ({"type": "long", "logicalType": "date"}, "long"),
        ({"type": "int", "logicalType": "timestamp-millis"}, "int"),
        ({"type": "long", "logicalType": ["odd"]}, "long"),
        ({"type": "int", "logicalType": "time-millis"}, "int"),
        ({"type": "string", "logicalType": "uuid"}, "string"),
        ({"type": {"type": "long"}, "logicalType": "timestamp-nanos"}, Moment("long", 1)),
    ],
    ids=str,
)
def test_logical_types(declared: Any, expected: object) -> None:
    """A logical type that Avro does not allow where it is counts for nothing."""
    assert parse_record(record(declared)).fields["a"] == expected


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (decimal(precision=10**9), "precision must be at most 1000; got 1000000000"),
        ([], "a union must be"),
        (["null", ["int"]], "a union must be"),
        ([array_of("int"), array_of("long")], "a union must be"),
        ({"type": "fixed", "name": "F", "size": -1}, "the size of fixed 'F' must be"),
        ({"type": "fixed", "name": "F", "size": True}, "the size of fixed 'F' must be"),
        ({"type": "fixed", "name": "F", "size": 10**12}, "the size of fixed 'F' must be"),
        ({"type": "fixed", "name": "int", "size": 1}, "a type's name must be unique"),
        ({**ENUM, "symbols": ["A", "A"]}, "the symbols of enum 'E' must be unique"),
        ({**ENUM, "symbols": ["A b"]}, "a symbol must be of letters"),
        ({**ENUM, "symbols": [{}]}, "a symbol must be of letters"),
        ({**ENUM, "default": "W"}, "the symbols of enum 'E' must be unique, and its default"),
        ({**ENUM, "name": "x'+y"}, "a type's name must be of letters"),
        ({**ENUM, "namespace": "a b"}, "a type's name must be of letters"),
        ({**ENUM, "namespace": {}}, "a type's name must be of letters"),
        (record("int", name="a..b"), "a type's name must be of letters"),
        (record("int"), "a type's name must be unique; got 'R' twice"),
        ({"type": "record", "name": "I", "fields": [{"name": "a'b"}]}, "a field's name must be"),
        ("no_such_type", "a type must be one of Avro's"),
        ({"type": "array"}, "a type must be one of Avro's"),
        ({"type": "map", "values": None}, "a type must be valid Avro; got None"),
        (None, "a type must be valid Avro"),
        ({"no": "type"}, "a type must be valid Avro"),
    ],
    ids=str,
)
def test_what_is_no_avro(declared: Any, message: str) -> None:
    """What a schema may not hold is refused, and named, without showing all of the schema."""
    with pytest.raises(DefinitionError, match=f"^{message}") as caught:
        parse_record(record(declared))
    assert len(str(caught.value)) < 400


def test_a_message_does_not_hold_the_schema() -> None:
    """However long a schema is, its error is a line."""
    with pytest.raises(DefinitionError) as caught:
        AvroType({"type": "x" * 100_000})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("fields", [20_000])
def test_a_large_schema_is_read_in_proportion(fields: int) -> None:
    """A schema near the limit takes about a second, also the pipeline's own."""
    schema = {**record(), "fields": [{"name": f"f{n}", "type": "long"} for n in range(fields)]}
    begun = time.process_time()
    avro: AvroType[Any] = AvroType(schema)
    avro.decoder_of(parse_record(schema))
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    "schema",
    [
        {**record(ENUM, "E"), "namespace": "n"},
        {**record({**ENUM, "namespace": "m"}, "m.E"), "namespace": "n"},
        record(record("int", name="x.Inner"), ["null", "x.Inner"], name="y.R"),
        {**record(record(ENUM, name="Inner"), "Inner"), "namespace": "a.b", "doc": "left out"},
        record(["null", "R"], array_of("R"), name="R"),
        record({"type": "string", "logicalType": "uuid"}, decimal(precision=3)),
        record(decimal("fixed", name="D", size=4, precision=3), "D"),
    ],
    ids=str,
)
def test_fingerprints_of_names(schema: Any) -> None:
    """Full names, references and logical types have the fingerprint of another library."""
    text = to_parsing_canonical_form(fastavro.parse_schema(schema, _force=True))
    expected = MARKER + bytes.fromhex(fingerprint(text, "CRC-64-AVRO"))
    assert AvroType(schema).header == expected
