"""Times in ISO 8601 lose nothing that their unit can hold."""

from __future__ import annotations

import pytest

from millrace.schemas import RecordError, RejectReason
from millrace.streams.sources.values import iso_to_units

MS, MICROS, NANOS = 1, 1_000, 1_000_000


@pytest.mark.parametrize(
    ("text", "units_per_ms", "expected"),
    [
        ("1970-01-01T00:00:01.123456Z", MICROS, 1_123_456),
        ("1970-01-01T00:00:01.123456789Z", NANOS, 1_123_456_789),
        ("1970-01-01T00:00:01.123456789Z", MICROS, 1_123_456),
        ("1970-01-01T00:00:01.123999Z", MS, 1_123),
        ("1970-01-01T00:00:01.9999999999999Z", NANOS, 1_999_999_999),
        ("1970-01-01T00:00:01.1Z", NANOS, 1_100_000_000),
        ("1970-01-01T00:00:01,25", MS, 1_250),
        ("1970-01-01 00:00:01.25+00:00", MS, 1_250),
        ("1970-01-01T01:00:00.000001+01:00", MICROS, 1),
        ("1969-12-31T16:00:00.000001-08:00", MICROS, 1),
        ("19700101T000001.000002Z", MICROS, 1_000_002),
        ("1969-12-31T23:59:59.999999Z", MICROS, -1),
        ("1969-12-31T23:59:59.9999999Z", MICROS, -1),
        ("1969-12-31T23:59:59.5Z", MS, -500),
        ("1970-01-02", MS, 86_400_000),
        ("1970-01-01t00:00:01.5z", MS, 1_500),
        ("1970-01-01T00:00", MS, 0),
        ("2262-04-11T23:47:16.854775807Z", NANOS, 2**63 - 1),
        ("2023-11-14T22:13:20.123456Z", MICROS, 1_700_000_000_123_456),
    ],
)
def test_a_time_in_its_unit(text: str, units_per_ms: int, expected: int) -> None:
    """What is smaller than the unit is cut off, and nothing else, before 1970 too."""
    assert iso_to_units(text, units_per_ms) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "12", "1970-13-01", "1970-01-01T00:00.5", "1970-01-01T00.5"),
        *("1970-01-01T00:00:00.", "1970-01-01T00:00:00.5.5", "1970-01-01T00:00:00+01:00:00.5"),
        *("1970-01-01T00:00:00.\u0661", "x" * 100_000, "9" * 100_000, "1970-01-01.5"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_time(text: str) -> None:
    """Other text is rejected, and shown in part."""
    with pytest.raises(RecordError) as caught:
        iso_to_units(text, MICROS)
    assert caught.value.reason is RejectReason.TIMESTAMP_OUT_OF_RANGE
    assert len(caught.value.detail) < 200
