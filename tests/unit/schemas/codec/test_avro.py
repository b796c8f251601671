"""Records are the bytes that the Avro 1.12 specification says they are, and come back from them."""

from __future__ import annotations

from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import AvroType, Codec, DefinitionError, RecordError, RejectReason, shipped
from millrace.schemas.codec.avro import HEADER_SIZE_BYTES, MARKER, Decoder
from millrace.schemas.codec.parsing import parse_record
from tests.unit.schemas.avro_schemas import ENUM, KEYS, LONGS, TEXTS, VALUES, record


def crc_64_avro(text: str) -> int:
    """Return the fingerprint by the algorithm of the section "Schema Fingerprints"."""
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in text.encode():
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty & -(fingerprint & 1))
    return fingerprint


def read_as(avro: AvroType[Any], body: bytes, written: dict[str, Any]) -> Any:
    """Read what another schema wrote."""
    return avro.decoder_of(parse_record(written)).decode(body, 0)


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
    assert avro.decode(encoded) == {"a": value}


def test_record_of_the_specification() -> None:
    """The specification's example record, a = 27 and b = "foo", is 36 06 66 6f 6f."""
    avro = AvroType(record("long", "string"))
    assert avro.encode({"a": 27, "b": "foo"})[HEADER_SIZE_BYTES:].hex() == "3606666f6f"


@given(
    st.fixed_dictionaries(
        {
            "event_id": TEXTS,
            "label": VALUES,
            "label_time_ms": st.none() | LONGS,
            "key": KEYS,
            "source": st.none() | TEXTS,
        }
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
            "block": st.none() | st.integers(0, 2**60),
            "settled": st.integers(0, 2**60),
        }
    )
)
def test_examples_round_trip(example: dict[str, Any]) -> None:
    """Any example comes back equal, in the order of its features, with their types."""
    decoded = shipped("example").decode(shipped("example").encode(example))
    assert decoded == example
    assert [*decoded["features"]] == [*example["features"]]
    assert [*map(type, decoded["features"].values())] == [*map(type, example["features"].values())]


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
    with pytest.raises(RecordError, match=r"its fingerprint is 0102030405060708$"):
        Codec([]).decode(MARKER + bytes(range(1, 9)) + b"body")


@pytest.mark.parametrize(
    ("data", "shown"), [(b"", "b''"), (b'{"event_id": 1}', "b'{\"event_id'")], ids=repr
)
def test_what_is_not_avro_is_shown(data: bytes, shown: str) -> None:
    """What is in another encoding is shown by its first bytes."""
    with pytest.raises(RecordError) as caught:
        shipped("label").decode(data)
    assert caught.value.detail == (
        f"the record is not in Avro single-object encoding: it begins with {shown}"
    )


def test_a_type_decodes_no_other() -> None:
    """A type decodes the records of its own schema; another one's are of an unknown schema."""
    label = {"event_id": "1", "label": 0.5, "label_time_ms": None, "key": None, "source": None}
    data = shipped("label").encode(label)
    assert shipped("label").decode(data) == label
    with pytest.raises(RecordError) as caught:
        shipped("alert").decode(data)
    assert caught.value.reason is RejectReason.UNKNOWN_SCHEMA


def test_types_are_told_apart_by_name_and_fingerprint() -> None:
    """A codec encodes by a type's name, and decodes what any of its types wrote."""
    one, other = AvroType(record("long", name="n.One")), AvroType(record("long", name="Other"))
    codec = Codec([one, other])
    assert one.name == "One"
    assert codec.encode("One", {"a": 1}) == one.encode({"a": 1})
    assert codec.decode(other.encode({"a": 1})) == ("Other", {"a": 1})
    with pytest.raises(KeyError):
        codec.encode("n.One", {"a": 1})


def test_a_later_type_of_the_same_fingerprint_wins() -> None:
    """Of two types that differ only in what a fingerprint leaves out, the later one is used."""
    logical = record({"type": "long", "logicalType": "timestamp-millis"})
    codec = Codec([AvroType(logical), AvroType(record("long"))])
    assert codec.decode(AvroType(record("long")).encode({"a": 5})) == ("R", {"a": 5})


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("string", "schema must be an Avro record; got 'string'"),
        ([], r"schema must be an Avro record; got \[\]"),
        (ENUM, "schema must be an Avro record; got {'name': 'E'"),
        ({"type": "record", "fields": []}, "a type's name must be of letters.*; got None"),
        (
            {"type": "record", "name": "R"},
            "the schema's fields must be a list of objects; got None",
        ),
        (
            {"type": "record", "name": "R", "fields": {}},
            "the schema's fields must be a list of objects; got {}",
        ),
        (
            {"type": "record", "name": "R", "fields": ["a"]},
            "the schema's fields must be a list of objects; got",
        ),
        (
            {"type": "record", "name": "R", "fields": [{"type": "int"}]},
            "a field's name must be of letters.*; got None",
        ),
        ({"type": "record", "name": "R", "fields": [{"name": "a"}]}, "field 'a' must have a type"),
        (record("no_such_type"), "a type must be one of Avro's, .*; got 'no_such_type'"),
        (record({"type": "enum", "name": "E"}), "the symbols of enum 'E' must be a list; got None"),
        (
            {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}] * 2},
            "a field's name must be unique; got 'a' twice",
        ),
        *(
            (
                {"type": "record", "name": "R", "fields": [{"name": name, "type": "int"}]},
                "a field's name must be of letters, digits and '_', and not begin with a digit;"
                f" got '{name}'",
            )
            for name in ("a-b", "1a", "", "é", "a ")
        ),
    ],
    ids=str,
)
def test_invalid_schema_is_a_definition_error(schema: Any, message: str) -> None:
    """A schema that Avro does not allow is refused when it is read, not when it is used."""
    with pytest.raises(DefinitionError, match=f"^{message}"):
        AvroType(schema)


@pytest.mark.parametrize("name", ["a", "_", "A1", "_1"])
def test_names_that_avro_allows(name: str) -> None:
    """A field's name may hold letters, digits and underscores."""
    avro = AvroType({"type": "record", "name": "R", "fields": [{"name": name, "type": "int"}]})
    assert avro.decode(avro.encode({name: 1})) == {name: 1}


def test_earlier_versions_are_read_as_today() -> None:
    """What an earlier version wrote has today's shape; what is written has today's schema."""
    earlier, first = record("int", "string"), record("int")
    today = record("long")
    today["fields"] += [{"name": "z", "type": "string", "aliases": ["b"], "default": "none"}]
    avro = AvroType(today, [first, earlier])
    for codec in (avro, Codec([avro])):
        decode = codec.decode
        first_one = decode(AvroType(first).encode({"a": 7}))
        renamed = decode(AvroType(earlier).encode({"a": 7, "b": "kept"}))
        assert first_one in ({"a": 7, "z": "none"}, ("R", {"a": 7, "z": "none"}))
        assert renamed in ({"a": 7, "z": "kept"}, ("R", {"a": 7, "z": "kept"}))
    written = avro.encode({"a": 7, "z": "new"})
    assert written == AvroType(today).encode({"a": 7, "z": "new"})
    assert avro.decode(written) == {"a": 7, "z": "new"}


def test_broken_bytes_of_an_earlier_version() -> None:
    """Bytes of an earlier version that end early or run on are malformed."""
    earlier = AvroType(record("int", "string"))
    avro = AvroType(record("long", "string"), [earlier.schema])
    whole = earlier.encode({"a": 300, "b": "text"})
    for data in (whole[:-1], whole[:HEADER_SIZE_BYTES], whole + b"\0"):
        with pytest.raises(RecordError, match=r"^malformed: "):
            avro.decode(data)


def test_lack_of_memory_is_no_fault_of_the_record() -> None:
    """Any error in reading is the record's, but for a lack of memory."""

    def raising(error: Exception) -> Decoder:
        def read(data: bytes, start: int) -> tuple[object, int]:
            raise error

        return Decoder("R", read)

    with pytest.raises(MemoryError):
        raising(MemoryError()).decode(b"")
    with pytest.raises(RecordError, match=r"could not decode the bytes as R: OSError\('x'\)"):
        raising(OSError("x")).decode(b"")


def test_an_earlier_version_that_is_no_avro() -> None:
    """An earlier version is checked, too."""
    with pytest.raises(DefinitionError, match="a type must be one of Avro's"):
        AvroType(record("long"), [record("no_such_type")])


def test_another_version_is_resolved() -> None:
    """A record of an older version is read by Avro's rules: promoted, defaulted, reordered."""
    old = AvroType(record("int", "string"))
    new_schema = record("long")
    new_schema["fields"] += [{"name": "z", "type": ["null", "long"], "default": None}]
    new = AvroType(new_schema)
    body = old.encode({"a": 7, "b": "dropped"})[HEADER_SIZE_BYTES:]
    assert read_as(new, body, old.schema) == {"a": 7, "z": None}


@pytest.mark.parametrize("body", [b"", b"\x0e", b"\x0e\x02a\x00"])
def test_broken_bytes_of_another_version_are_malformed(body: bytes) -> None:
    """Bytes of another version that end early or run on are malformed."""
    old = record("int", "string")
    with pytest.raises(RecordError) as caught:
        read_as(AvroType(record("long", "string")), body, old)
    assert caught.value.reason is RejectReason.MALFORMED


def test_incompatible_version_is_a_record_error() -> None:
    """A version that lacks a field without default cannot be read: the field is named."""
    with pytest.raises(RecordError) as caught:
        read_as(AvroType(record("long", "string")), b"\x02", record("long"))
    assert caught.value.reason is RejectReason.INCOMPATIBLE_SCHEMA
    assert caught.value.detail == (
        "the schema that the record was written with cannot be read as R: the writer's record 'R'"
        " lacks the field 'b', which has no default"
    )
