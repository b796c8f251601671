"""A file of rows becomes events of plain values, under names that Avro has."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.tables.rows import (
    field_names,
    free_event_id,
    records,
)


def test_events_are_plain_values_in_the_tables_order(people: pd.DataFrame) -> None:
    """Integers stay integers beside missing cells, and what is missing is None."""
    first, second, third = records(people, "event_id")
    assert [*first] == [
        "event_id",
        "name",
        "age",
        "height",
        "is_member",
        "_1st",
        "city",
        "note",
        "y",
    ]
    assert [*first.values()] == ["0", "ann", 31, 1.75, True, 0.1, "Bern", None, 1]
    assert (second["event_id"], second["age"], second["note"]) == ("1", None, "x")
    assert (third["event_id"], third["height"]) == ("2", None)
    kinds = [type(each) for each in first.values()]
    assert kinds == [str, str, int, float, bool, float, str, type(None), int]


def test_an_id_is_added_where_no_column_gives_it() -> None:
    """An added id is the number of the row; a column that is the id is left as it is."""
    frame = pd.DataFrame({"event_id": [7, 8], "y": [0, 1]})
    assert [event["event_id"] for event in records(frame, "event_id")] == [7, 8]
    assert [event["row"] for event in records(frame, "row")] == ["0", "1"]
    assert [*next(records(frame, "row"))] == ["row", "event_id", "y"]
    assert [*next(records(frame, "y"))] == ["event_id", "y"]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["region-centroid-col", "1", ""], ["region_centroid_col", "_1", "_"]),
        (["a b", "a_b", "a-b"], ["a_b_2", "a_b", "a_b_3"]),
        (["a b", "a_b_2", "a_b"], ["a_b_3", "a_b_2", "a_b"]),
    ],
)
def test_columns_are_renamed_where_avro_requires_it(columns: list[str], names: list[str]) -> None:
    """What no name can hold is replaced; a number tells apart what would be the same."""
    assert field_names(columns) == names


def test_the_name_of_an_added_id_is_free() -> None:
    """Underscores are appended until no field has the name."""
    assert free_event_id(["x"]) == "event_id"
    assert free_event_id(["event-id", "x"]) == "event_id_"
    assert free_event_id(["event_id", "event_id_"]) == "event_id__"


def test_rows_are_numbered_across_chunks() -> None:
    """Ids continue from chunk to chunk, and the whole column decides the type."""
    large = pd.array([1] * 10_001 + [2**64 - 1], dtype="UInt64")
    events = [*records(pd.DataFrame({"x": large}), "event_id")]
    assert [event["event_id"] for event in events] == [str(i) for i in range(10_002)]
    assert (events[0]["x"], events[-1]["x"]) == (1.0, 2.0**64)


def test_times_are_milliseconds() -> None:
    """A time counts from the Unix epoch, in UTC if it has no zone; a missing one is None."""
    times = pd.to_datetime(["1970-01-01T00:00:01.500", None])
    zoned = pd.to_datetime(["1970-01-01T01:00:02+01:00"] * 2)
    frame = pd.DataFrame({"at": times, "zoned": zoned})
    assert [(e["at"], e["zoned"]) for e in records(frame, "id")] == [(1500, 2000), (None, 2000)]


@given(st.lists(st.text("aé1_- ", max_size=3), min_size=1, max_size=8, unique=True))
def test_field_names_are_valid_unique_and_stable(names: list[str]) -> None:
    """Any columns get valid, distinct names; those that are valid keep theirs."""
    fields = field_names(names)
    assert len({*fields}) == len(names)
    for name, field in zip(names, fields, strict=True):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", field)
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            assert field == name
    assert free_event_id(names) not in fields


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("ms", 1500),
        ("us", 1_500_250),
        ("ns", 1_500_250_125),
        ("text", "1970-01-01 00:00:01.500250125+00:00"),
    ],
)
def test_times_in_the_unit_of_a_field(unit: Any, expected: Any) -> None:
    """A field may hold times in smaller units, or as text."""
    frame = pd.DataFrame({"at": pd.to_datetime(["1970-01-01T00:00:01.500250125", None])})
    assert [each["at"] for each in records(frame, "id", {"at": unit})] == [expected, None]
