"""Many records in one loop are what each of them is by itself, or are left out."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from millrace.schemas import AvroType, Codec, RecordError, shipped
from millrace.schemas.codec.slices import Parts
from tests.unit.schemas.avro_schemas import ENUM, record
from tests.unit.schemas.codec.test_reader import EVERY_TYPE, EVERY_VALUE, OTHER_TYPES, OTHER_VALUES

EVERY: AvroType[Any] = AvroType(EVERY_TYPE)
NUMBERS = record("double", ["null", "double"], ["long", "float"], "float", ENUM, name="Numbers")


def alone(codec: Codec, data: bytes | None) -> tuple[str, Any] | None:
    try:
        return codec.decode(data or b"")
    except RecordError:
        return None


def test_rows_are_records() -> None:
    """Whatever bytes come, a row is what the record decodes to; what is broken is left out."""
    rng = random.Random(1)
    label = {"event_id": "e", "label": 7, "label_time_ms": 2**40, "key": None}
    whole = [EVERY.encode(EVERY_VALUE), shipped("label").encode(label)]
    values: list[bytes | None] = [None, b"", *whole]
    for _ in range(3_000):
        data = bytearray(rng.choice(whole))
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(2)] = rng.randbytes(rng.randrange(3))
        values.append(bytes(data))
    codec = Codec([EVERY, shipped("label")])
    rows = codec.row_reader({})(values)
    assert [*map(repr, rows)] == [repr(alone(codec, each)) for each in values]
    assert 500 < sum(row is not None for row in rows) < 2_500


def test_parts() -> None:
    """A row has the fields that are asked for, in their order, and its record lacks others."""
    codec = Codec([EVERY])
    read = codec.row_reader({EVERY.name: Parts(("f", None, "c"), {"c", *"hijkl"})})
    record = {name: value for name, value in EVERY_VALUE.items() if name in "abdefg"}
    assert read([EVERY.encode(EVERY_VALUE)]) == [(EVERY.name, "text", None, -70, record)]


def test_types_that_are_not_plain() -> None:
    """A record with an array is left out, and those beside it are read."""
    other: AvroType[Any] = AvroType({**OTHER_TYPES, "name": "Other"})
    codec = Codec([other, EVERY])
    values = [other.encode(OTHER_VALUES), EVERY.encode(EVERY_VALUE)]
    assert codec.row_reader({})(values) == [None, (EVERY.name, EVERY_VALUE)]
    assert Codec([other]).row_reader({})(values) == [None, None]


@pytest.mark.parametrize("field", "abcd")
def test_numbers_that_are_not_finite(field: str) -> None:
    """A record is left out where a field that must be finite is not; another field may be."""
    numbers: AvroType[Any] = AvroType(NUMBERS)
    value = {"a": 1.5, "b": None, "c": 2**40, "d": -1e30, "e": "Z"}
    codec = Codec([numbers])
    kept = codec.row_reader({}, finite={*"abcde"} - {field})
    checked = codec.row_reader({}, finite={*"abcde"})
    assert checked([numbers.encode(value)]) == [codec.decode(numbers.encode(value))]
    for odd in (math.nan, math.inf, -math.inf):
        data = numbers.encode(value | {field: odd})
        assert checked([data]) == [None]
        assert repr(kept([data])) == repr([codec.decode(data)])


def test_size() -> None:
    """A record of more bytes than are allowed is left out."""
    data = EVERY.encode(EVERY_VALUE)
    codec = Codec([EVERY])
    assert codec.row_reader({}, max_bytes=len(data))([data]) != [None]
    assert codec.row_reader({}, max_bytes=len(data) - 1)([data]) == [None]


def test_schema_beyond_the_compiler() -> None:
    """Where Python cannot compile a schema, the loop leaves all records out, and `decode` reads."""
    inner: Any = "long"
    for level in range(60):
        others = [{**ENUM, "name": f"E{level}_{number}"} for number in range(62)]
        inner = ["null", *others, {**record(inner), "name": f"R{level}"}]
    deep: AvroType[Any] = AvroType({**record(inner), "name": "Deep"})
    codec = Codec([deep, shipped("label")])
    data = deep.encode({"a": None})
    assert codec.decode(data) == ("Deep", {"a": None})
    assert codec.row_reader({})([data]) == [None]
