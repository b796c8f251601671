"""What is written are the bytes that any Avro library writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import AvroType, shipped
from millrace.schemas.codec.avro import HEADER_SIZE_BYTES
from millrace.schemas.codec.reader import record_reader
from millrace.schemas.codec.writer import record_writer
from tests.unit.schemas.avro_schemas import (
    FEATURE,
    FORMS,
    PLAIN_FIELDS,
    TEXTS,
    VALUES,
    a_value,
    by_fastavro,
    map_of,
    parsed,
    record,
)


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
    vector = {"event_id": "e", "key": None, "event_time_ms": -1, "label": None}
    encoded = avro.encode({**vector, "features": {"f": value}})
    assert encoded[HEADER_SIZE_BYTES:] == bytes.fromhex(f"02 65 00 01 00 02 02 66 {expected} 00")
    decoded = avro.decode(encoded)["features"]["f"]
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "00"),
        (True, "02 01"),
        (1, "04 02"),
        (1.0, "06 00 00 00 00 00 00 f0 3f"),
        ("1", "08 02 31"),
    ],
)
def test_an_optional_label_keeps_its_type(value: object, expected: str) -> None:
    """A label that may be missing has null before the other types."""
    avro = AvroType(record(["null", *FEATURE]))
    encoded = avro.encode({"a": value})
    assert encoded[HEADER_SIZE_BYTES:] == bytes.fromhex(expected)
    assert type(avro.decode(encoded)["a"]) is type(value)


@pytest.mark.parametrize("value", [None, b"bytes", [1]])
def test_what_is_no_feature(value: object) -> None:
    """A missing feature is absent; null or another type in its place is a programming error."""
    vector = {"event_id": "e", "key": None, "event_time_ms": 0, "label": None}
    with pytest.raises(
        TypeError, match=r"^a feature or a label must be a number, a boolean or text; got"
    ):
        shipped("feature_vector").encode({**vector, "features": {"f": value}})


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_number_beyond_a_long(value: int) -> None:
    """A whole number that takes more than 64 bits is refused, not cut."""
    with pytest.raises(OverflowError, match=f"^{value} does not fit into the 64 bits"):
        AvroType(record("long")).encode({"a": value})


@given(
    st.dictionaries(TEXTS, VALUES, max_size=5),
    st.dictionaries(TEXTS, st.floats() | st.integers(-9, 9), max_size=3),
    st.dictionaries(TEXTS, st.integers(-9, 9) | st.none(), max_size=3),
)
def test_maps_are_written_as_by_fastavro(
    features: dict[str, object],
    probabilities: dict[str, float],
    others: dict[str, int | None],
) -> None:
    """The bytes of maps, of features and of other types, are those of fastavro."""
    schema = record("string", map_of("double"), map_of(FEATURE), map_of(["long", "null"]))
    value = {"a": "x", "b": probabilities, "c": features, "d": others}
    assert AvroType(schema).encode(value)[HEADER_SIZE_BYTES:] == by_fastavro(schema, value)


@given(PLAIN_FIELDS, st.data())
def test_records_are_written_and_read_as_by_fastavro(
    fields: list[tuple[str, str]], data: st.DataObject
) -> None:
    """A record of plain fields, also within a record or a map, has fastavro's bytes, both ways."""
    plain = record(*(FORMS[form](name) for name, form in fields), name="Plain")
    schema = record(plain, map_of({**plain, "name": "Another"}))
    value = {
        "a": a_value(fields, data),
        "b": {name: a_value(fields, data) for name in data.draw(st.sets(TEXTS, max_size=2))},
    }
    avro = AvroType(schema)
    written = avro.header + by_fastavro(schema, value)
    assert avro.encode(value) == written
    read = avro.decode(written)
    assert read == value
    kinds, wanted = [[type(each) for each in one["a"].values()] for one in (read, value)]
    assert kinds == wanted


@pytest.mark.parametrize("size", [0, 63, 64, 8191, 8192, 1_048_575, 1_048_576])
def test_text_of_any_size(size: int) -> None:
    """A text is written and read where its size takes one, two, three and four bytes."""
    schema, value = record("string"), {"a": "x" * size}
    avro = AvroType(schema)
    assert avro.encode(value) == avro.header + by_fastavro(schema, value)
    assert avro.decode(avro.encode(value)) == value


PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
FIXED = {"type": "fixed", "name": "F", "size": 2}


@pytest.mark.parametrize(
    "declared",
    [
        *PRIMITIVES,
        *({"type": each} for each in PRIMITIVES),
        *(["null", each] for each in PRIMITIVES[1:]),
        *([each, "null"] for each in PRIMITIVES[1:]),
        FEATURE,
        ["null", *FEATURE],
        record("long", name="In"),
    ],
    ids=str,
)
def test_plain_types_are_compiled(declared: Any) -> None:
    """No record of plain types, of maps or of records of them, is left to fastavro."""
    for each in (declared, map_of(declared), record(declared, name="Outer")):
        assert record_writer(parsed(each), b"") is not None
        assert record_reader(parsed(each)) is not None


@pytest.mark.parametrize(
    "declared",
    [FIXED, {"type": "array", "items": "int"}, ["long", "string"], ["long", "double", "null"]],
)
def test_other_types_are_not_compiled(declared: Any) -> None:
    """No writer is made for a record with a field that is not plain, however deep it lies."""
    assert record_writer(parsed(declared), b"") is None
    assert record_writer(parsed(record("long", declared, name="In")), b"") is None
    assert record_writer(parsed(map_of(declared)), b"") is None
    assert record_writer(parsed("long"), b"") is not None


def test_a_missing_field_has_its_default() -> None:
    """The schema's default is written for it, within a record, too."""
    inner = record("long", "string", name="Inner")
    inner["fields"][1]["default"] = "none"
    avro = AvroType(record(inner))
    assert avro.decode(avro.encode({"a": {"a": 7}})) == {"a": {"a": 7, "b": "none"}}


def test_a_missing_field_without_default() -> None:
    """A record that lacks a field is refused, and the field is named."""
    with pytest.raises(ValueError, match="no default for b"):
        AvroType(record("long", "long")).encode({"a": 7})
