"""MongoDB's Extended JSON becomes plain JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from millrace.schemas import EventSchema
from millrace.streams.sources.envelopes.extended_json import ExtendedJson

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
TYPES: dict[str, Any] = {
    "text": "string",
    "long": "long",
    "micros": {"type": "long", "logicalType": "timestamp-micros"},
    "day": {"type": "int", "logicalType": "date"},
    "double": ["null", "double"],
    "decimal": ["null", DECIMAL],
    "either": ["string", "long"],
    "tags": {"type": "map", "values": "string"},
}
SCHEMA = EventSchema(
    {
        "type": "record",
        "name": "Row",
        "fields": [{"name": name, "type": each} for name, each in TYPES.items()],
    }
)
UUID = "73ffd264-44b3-4c69-90e8-e7d1dfc035d4"
DAY_MS = 86_400_000
DATE = {"$date": {"$numberLong": str(DAY_MS)}}


def plain(value: Any, schema: EventSchema | None = None, field: str = "x") -> Any:
    row = json.dumps({field: value}).encode()
    return json.loads(ExtendedJson(schema).plain(row))[field]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"$oid": "596e275826f08b2730779e1f"}, "596e275826f08b2730779e1f"),
        ({"$date": "2023-11-14T22:13:20.5Z"}, 1_700_000_000_500),
        ({"$date": {"$numberLong": "-1"}}, -1),
        ({"$date": 1_000}, 1_000),
        ({"$numberInt": "-7"}, -7),
        ({"$numberLong": "9223372036854775807"}, 2**63 - 1),
        ({"$numberDouble": "1.5"}, 1.5),
        ({"$numberDouble": "-1E+300"}, -1e300),
        ({"$numberDouble": "Infinity"}, math.inf),
        ({"$numberDouble": "-Infinity"}, -math.inf),
        ({"$numberDecimal": "12.50"}, 12.5),
        ({"$uuid": UUID}, UUID),
        ({"$binary": {"base64": "c//SZESzTGmQ6OfR38A11A==", "subType": "04"}}, UUID),
        ({"$binary": {"base64": "AQID", "subType": "00"}}, "AQID"),
        ({"$binary": "AQID", "$type": "00"}, "AQID"),
        ([{"$oid": "5f"}, {"a": {"$numberInt": "1"}}], ["5f", {"a": 1}]),
        ({"é": "\ud800", "n": {"$numberInt": "1"}}, {"é": "\ud800", "n": 1}),
    ],
)
def test_values(value: Any, found: Any) -> None:
    """In the canonical form and in the relaxed one, wherever they are."""
    got = plain(value)
    assert (got, type(got)) == (found, type(found))


def test_no_number() -> None:
    """It is one of JavaScript's, as Python's JSON reads and writes it."""
    assert math.isnan(plain({"$numberDouble": "NaN"}))
    assert math.isnan(plain({"$numberDecimal": "NaN"}))


@pytest.mark.parametrize(
    "value",
    [
        {"$oid": 7},
        {"$oid": "5f", "more": 1},
        {"$date": "soon"},
        {"$date": {"$numberLong": "soon"}},
        {"$date": None},
        {"$date": True},
        {"$numberInt": "1_000"},
        {"$numberLong": ""},
        {"$numberLong": "9" * 20},
        {"$numberDouble": "inf"},
        {"$numberDecimal": "1,5"},
        {"$binary": {"base64": "?"}},
        {"$binary": {"base64": "?", "subType": "00"}},
        {"$binary": None},
        {"$uuid": 7},
        {"$timestamp": {"t": 1, "i": 2}},
        {"$regularExpression": {"pattern": "a", "options": ""}},
        {"$minKey": 1},
        {"amount": 5, "$note": "a field of the user's own"},
        "$5",
    ],
)
def test_what_is_no_such_value_stays_as_it_is(value: Any) -> None:
    """Whoever reads the row says what is wrong with it."""
    assert plain(value) == value


@pytest.mark.parametrize(
    ("field", "date", "decimal"),
    [
        ("text", "1970-01-02T00:00:00.000Z", "12.50"),
        ("long", DAY_MS, 12.5),
        ("micros", DAY_MS * 1_000, 12.5),
        ("day", 1, 12.5),
        ("double", DAY_MS, 12.5),
        ("decimal", DAY_MS, "12.50"),
        ("either", DAY_MS, 12.5),
        ("unknown", DAY_MS, 12.5),
    ],
)
def test_what_a_field_takes(field: str, date: Any, decimal: Any) -> None:
    """A date is text, or a number in the field's unit; a decimal is text where that is exact."""
    assert plain(DATE, SCHEMA, field) == date
    assert plain({"$date": "1970-01-02T00:00:00Z"}, SCHEMA, field) == date
    assert plain({"$numberDecimal": "12.50"}, SCHEMA, field) == decimal


def test_fields_of_nested_objects() -> None:
    """They are known by their paths; in a list, nobody knows them."""
    assert plain({"a": DATE}, SCHEMA, "tags") == {"a": "1970-01-02T00:00:00.000Z"}
    assert plain([DATE], SCHEMA, "text") == [DAY_MS]


def test_a_date_that_cannot_be_text() -> None:
    """One after the year 9999 stays as it is."""
    late = {"$date": {"$numberLong": str(10**15)}}
    assert plain(late, SCHEMA, "text") == late
    assert plain(late, SCHEMA, "long") == 10**15


@pytest.mark.parametrize("row", [b'{"a": "$5"}', b'{"$oid": ', b'["$oid"' * 2_000, b'{"a": 1}'])
def test_rows_that_are_left_as_they_are(row: bytes) -> None:
    """Those without such values, and what is no JSON."""
    read = ExtendedJson(None).plain(row)
    assert read == row or json.loads(read) == json.loads(row)
