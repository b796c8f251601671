"""Records are the bytes that the Avro 1.12 specification says they are, and come back from them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import AvroType, Codec, DefinitionError, RecordError, RejectReason, shipped
from millrace.schemas.codec.avro import HEADER_SIZE_BYTES, MARKER, without_logical_types

LONGS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.booleans() | LONGS | st.floats(allow_nan=False) | TEXTS
KEYS = st.none() | TEXTS


def record(*types: object, name: str = "R") -> dict[str, Any]:
    """Return a record schema with a field of each type, called a, b, c and so on."""
    fields = [{"name": chr(ord("a") + i), "type": each} for i, each in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields}


def crc_64_avro(text: str) -> int:
    """Return the fingerprint by the algorithm of the section "Schema Fingerprints"."""
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in text.encode():
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty & -(fingerprint & 1))
    return fingerprint


def test_fingerprint_of_the_specification() -> None:
    """The CRC-64-AVRO of "int" is the published one, here and in fastavro."""
    assert crc_64_avro('"int"').to_bytes(8, "little").hex() == "8f5c393f1ad57572"
    assert fastavro.schema.fingerprint('"int"', "CRC-64-AVRO") == "8f5c393f1ad57572"


def test_header_is_marker_and_little_endian_fingerprint() -> None:
    """A header is C3 01 and the CRC of the canonical form: no docs, no defaults, full names."""
    schema = {
        "type": "record",
        "name": "R",
        "namespace": "n",
        "doc": "left out",
        "fields": [{"name": "a", "type": {"type": "long"}, "default": 1, "doc": "left out"}],
    }
    canonical = '{"name":"n.R","type":"record","fields":[{"name":"a","type":"long"}]}'
    expected = b"\xc3\x01" + crc_64_avro(canonical).to_bytes(8, "little")
    assert AvroType(schema).header == expected
    assert len(expected) == HEADER_SIZE_BYTES


ENUM = {"type": "enum", "name": "E", "symbols": ["X", "Y", "Z"]}


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("null", None, ""),
        ("boolean", True, "01"),
        ("boolean", False, "00"),
        ("int", 0, "00"),
        ("int", -1, "01"),
        ("int", 1, "02"),
        ("int", 63, "7e"),
        ("int", -64, "7f"),
        ("int", 64, "80 01"),
        ("int", -65, "81 01"),
        ("int", 8191, "fe 7f"),
        ("int", 8192, "80 80 01"),
        ("int", 2**31 - 1, "fe ff ff ff 0f"),
        ("long", 2**63 - 1, "fe ff ff ff ff ff ff ff ff 01"),
        ("long", -(2**63), "ff ff ff ff ff ff ff ff ff 01"),
        ("float", 1.0, "00 00 80 3f"),
        ("float", -2.5, "00 00 20 c0"),
        ("double", 1.0, "00 00 00 00 00 00 f0 3f"),
        ("double", float("inf"), "00 00 00 00 00 00 f0 7f"),
        ("bytes", b"", "00"),
        ("bytes", b"\x00\xff", "04 00 ff"),
        ("string", "foo", "06 66 6f 6f"),
        ("string", "é", "04 c3 a9"),
        ("string", "🌊", "08 f0 9f 8c 8a"),
        (["null", "string"], None, "00"),
        (["null", "string"], "a", "02 02 61"),
        (["string", "null"], None, "02"),
        ({"type": "array", "items": "long"}, [3, 27], "04 06 36 00"),
        ({"type": "array", "items": "long"}, [], "00"),
        ({"type": "map", "values": "double"}, {}, "00"),
        ({"type": "map", "values": "long"}, {"a": 1}, "02 02 61 02 00"),
        (ENUM, "Z", "04"),
        (record("boolean", name="Inner"), {"a": True}, "01"),
    ],
)
def test_encodes_as_the_specification_says(type_: object, value: object, expected: str) -> None:
    """A value is encoded as section "Binary Encoding" has it, and decodes to itself."""
    avro = AvroType(record(type_))
    encoded = avro.encode({"a": value})
    assert encoded == avro.header + bytes.fromhex(expected)
    assert avro.decode_body(encoded) == {"a": value}


def test_record_of_the_specification() -> None:
    """The specification's example record, a = 27 and b = "foo", is 36 06 66 6f 6f."""
    avro = AvroType(record("long", "string"))
    assert avro.encode({"a": 27, "b": "foo"})[HEADER_SIZE_BYTES:].hex() == "3606666f6f"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "00 01"),
        (False, "00 00"),
        (1, "02 02"),
        (1.0, "04 00 00 00 00 00 00 f0 3f"),
        ("1", "06 02 31"),
    ],
)
def test_a_feature_keeps_its_type(value: object, expected: str) -> None:
    """True, 1, 1.0 and "1" are four different features, and come back as such."""
    avro = shipped("feature_vector")
    encoded = avro.encode(
        {
            "event_id": "e",
            "key": None,
            "event_time_ms": -1,
            "label": None,
            "features": {"f": value},
        }
    )
    assert encoded[HEADER_SIZE_BYTES:] == bytes.fromhex(f"02 65 00 01 00 02 02 66 {expected} 00")
    decoded = avro.decode_body(encoded)["features"]["f"]
    assert decoded == value
    assert type(decoded) is type(value)


def test_null_is_no_feature() -> None:
    """A missing feature is absent; null in its place is a programming error."""
    vector = {"event_id": "e", "key": None, "event_time_ms": 0, "label": None}
    vector["features"] = {"f": None}
    with pytest.raises((TypeError, ValueError), match="requires a number"):
        shipped("feature_vector").encode(vector)


@given(
    st.fixed_dictionaries(
        {"event_id": TEXTS, "label": VALUES, "label_time_ms": st.none() | LONGS, "key": KEYS}
    )
)
def test_labels_round_trip(label: dict[str, object]) -> None:
    """Any label comes back equal, its type included."""
    codec = Codec([shipped("label"), shipped("feature_vector")])
    name, decoded = codec.decode(codec.encode("Label", label))
    assert (name, decoded) == ("Label", label)
    assert type(decoded["label"]) is type(label["label"])


@given(
    st.fixed_dictionaries(
        {
            "event_id": TEXTS,
            "key": KEYS,
            "event_time_ms": LONGS,
            "features": st.dictionaries(TEXTS, VALUES, max_size=5),
            "label": st.none() | VALUES,
            "label_delay_ms": st.none() | LONGS,
            "predicted": st.dictionaries(
                TEXTS,
                st.fixed_dictionaries(
                    {
                        "value": st.none() | VALUES,
                        "probabilities": st.dictionaries(
                            TEXTS, st.floats(min_value=0, max_value=1), max_size=3
                        ),
                    }
                ),
                max_size=3,
            ),
            "loss": st.none() | st.floats(allow_nan=False),
        }
    )
)
def test_examples_round_trip(example: dict[str, Any]) -> None:
    """Any example comes back equal, in the order of its features, with their types."""
    decoded = shipped("example").decode_body(shipped("example").encode(example))
    assert decoded == example
    assert [*decoded["features"]] == [*example["features"]]
    assert [*map(type, decoded["features"].values())] == [*map(type, example["features"].values())]


@given(
    st.dictionaries(TEXTS, VALUES, max_size=5),
    st.dictionaries(TEXTS, st.floats() | st.integers(-9, 9), max_size=3),
)
def test_maps_are_written_as_fastavro_writes_them(
    features: dict[str, object], probabilities: dict[str, float]
) -> None:
    """The bytes of a record that ends in maps are those of a plain Avro writer."""
    schema = record(
        "string",
        {"type": "map", "values": "double"},
        {"type": "map", "values": ["boolean", "long", "double", "string"]},
    )
    value = {"a": "x", "b": probabilities, "c": features}
    plain = BytesIO()
    fastavro.schemaless_writer(plain, fastavro.parse_schema(schema), value)
    assert AvroType(schema).encode(value)[HEADER_SIZE_BYTES:] == plain.getvalue()


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


def a_value(fields: list[tuple[str, str]], data: st.DataObject) -> dict[str, Any]:
    """Draw a record of such fields, named as `record` names them."""
    return {
        chr(ord("a") + i): data.draw(TYPES[name] | st.none() if "null" in form else TYPES[name])
        for i, (name, form) in enumerate(fields)
    }


@given(PLAIN_FIELDS, st.data())
def test_records_are_written_and_read_as_by_fastavro(
    fields: list[tuple[str, str]], data: st.DataObject
) -> None:
    """A record of plain fields, also within a record or a map, has fastavro's bytes, both ways."""
    plain = record(*(FORMS[form](name) for name, form in fields), name="Plain")
    schema = record(plain, {"type": "map", "values": {**plain, "name": "Another"}})
    value = {
        "a": a_value(fields, data),
        "b": {name: a_value(fields, data) for name in data.draw(st.sets(TEXTS, max_size=2))},
    }
    written = BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(schema), value)
    avro = AvroType(schema)
    assert avro.encode(value) == avro.header + written.getvalue()
    read = avro.decode_body(avro.header + written.getvalue())
    assert read == value
    kinds, wanted = [[type(each) for each in one["a"].values()] for one in (read, value)]
    assert kinds == wanted


def test_a_union_of_many_types() -> None:
    """From the 65th branch on, its number takes two bytes."""
    fields = [[{"name": f"f{i}", "type": "long"}] for i in range(64)]
    records = [{"type": "record", "name": f"R{i}", "fields": f} for i, f in enumerate(fields)]
    avro = AvroType(record([*records, "string", "null"]))
    for value in ({"f63": 1}, "text", None):
        assert avro.decode_body(avro.encode({"a": value})) == {"a": value}


def test_a_field_that_is_not_there_has_its_default() -> None:
    """The schema's default is written for it, within a record, too."""
    inner = record("long", "string", name="Inner")
    inner["fields"][1]["default"] = "none"
    avro = AvroType(record(inner))
    assert avro.decode_body(avro.encode({"a": {"a": 7}})) == {"a": {"a": 7, "b": "none"}}


@given(st.binary(max_size=60))
def test_any_bytes_are_a_record_or_a_record_error(body: bytes) -> None:
    """Whatever follows a known header decodes, or is malformed: nothing else is raised."""
    reason = None
    try:
        shipped("label").decode_body(shipped("label").header + body)
    except RecordError as error:
        reason = error.reason
    assert reason in (None, RejectReason.MALFORMED)


def test_every_truncation_is_malformed() -> None:
    """A record that is cut off anywhere in its body is malformed, and so is one with more."""
    avro = AvroType(record("long", "string", ["null", "double"]))
    whole = avro.encode({"a": 300, "b": "text", "c": 0.5})
    for size in range(HEADER_SIZE_BYTES, len(whole)):
        with pytest.raises(RecordError, match="malformed: R requires readable Avro"):
            avro.decode_body(whole[:size])
    with pytest.raises(RecordError, match=f"requires {len(whole)} bytes; got {len(whole) + 1}"):
        avro.decode_body(whole + b"\0")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", RejectReason.MALFORMED),
        (b"\xc3", RejectReason.MALFORMED),
        (b"\xc3\x01\x00", RejectReason.MALFORMED),
        (b'{"a": 1, "b": 2}', RejectReason.MALFORMED),
        (b"\xc3\x02" + bytes(8), RejectReason.MALFORMED),
        (MARKER + bytes(8), RejectReason.UNKNOWN_SCHEMA),
    ],
)
def test_what_is_not_known_is_refused(data: bytes, reason: RejectReason) -> None:
    """Bytes in another encoding are malformed; a fingerprint that is not ours is unknown."""
    with pytest.raises(RecordError) as caught:
        Codec([shipped("label")]).decode(data)
    assert caught.value.reason is reason


def test_unknown_fingerprint_is_shown() -> None:
    """An unknown schema is named by its fingerprint, so that its producer can be found."""
    with pytest.raises(RecordError, match="got fingerprint 0102030405060708"):
        Codec([]).decode(MARKER + bytes(range(1, 9)) + b"body")


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        [],
        {"type": "enum", "name": "E", "symbols": ["X"]},
        {"type": "record", "fields": []},
        {"type": "record", "name": "R"},
        {"type": "record", "name": "R", "fields": None},
        {"type": "record", "name": "R", "fields": ["a"]},
        record("no_such_type"),
        record({"type": "enum", "name": "E"}),
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}] * 2},
        {"type": "record", "name": "R", "fields": [{"name": "a-b", "type": "int"}]},
    ],
    ids=str,
)
def test_invalid_schema_is_a_definition_error(schema: Any) -> None:
    """A schema that Avro does not allow is refused when it is read, not when it is used."""
    with pytest.raises(DefinitionError):
        AvroType(schema)


def test_another_version_is_resolved() -> None:
    """A record of an older version is read by Avro's rules: promoted, defaulted, reordered."""
    old = AvroType(record("int", "string"))
    new_schema = record("long")
    new_schema["fields"] += [{"name": "z", "type": ["null", "long"], "default": None}]
    new = AvroType(new_schema)
    body = old.encode({"a": 7, "b": "dropped"})[HEADER_SIZE_BYTES:]
    assert new.read_as(body, old.schema) == {"a": 7, "z": None}


@pytest.mark.parametrize("body", [b"", b"\x0e", b"\x0e\x02a\x00"])
def test_broken_bytes_of_another_version_are_malformed(body: bytes) -> None:
    """Bytes of another version that end early or run on are malformed."""
    old = record("int", "string")
    with pytest.raises(RecordError) as caught:
        AvroType(record("long", "string")).read_as(body, old)
    assert caught.value.reason is RejectReason.MALFORMED


def test_incompatible_version_is_a_record_error() -> None:
    """A version that lacks a field without default cannot be read."""
    with pytest.raises(RecordError, match="requires readable Avro"):
        AvroType(record("long", "string")).read_as(b"\x02", record("long"))


def test_without_logical_types_copies_and_leaves_the_rest() -> None:
    """Only timestamps lose their logical type, however deep, and the original keeps it."""
    timestamp = {"type": "long", "logicalType": "timestamp-micros"}
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 4}
    schema = record(timestamp, ["null", timestamp], record(timestamp, name="In"), decimal)
    stripped = without_logical_types(schema)
    plain = {"type": "long"}
    assert stripped == record(plain, ["null", plain], record(plain, name="In"), decimal)
    assert schema["fields"][0]["type"] == timestamp
    assert timestamp["logicalType"] == "timestamp-micros"


def test_shipped_types_are_compiled_once() -> None:
    """A shipped type is the same object at every call; one that is not shipped is an error."""
    assert shipped("label") is shipped("label")
    with pytest.raises(FileNotFoundError):
        shipped("no_such_type")
