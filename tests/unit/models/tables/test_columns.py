"""Columns become numbers, booleans, times and text; what cannot is left out with a word."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from millrace.models.tables.columns import as_numbers, as_times, avro_type, cells, readable
from millrace.models.tables.reading import read_table
from millrace.models.tables.rows import records
from millrace.schemas import DefinitionError

TIME = {"type": "long", "logicalType": "timestamp-millis"}
DAY_MS = 24 * 60 * 60 * 1000


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([True, None], "boolean", "boolean"),
        ([1, None], "Int64", "long"),
        ([2**63 - 1], "UInt64", "long"),
        ([2**63], "UInt64", "double"),
        ([2**63 - 1], "Int64", "long"),
        ([None], "UInt64", "long"),
        ([1.0, None], "Float64", "double"),
        (["a", None], "string", "string"),
        (["2020-01-01"], "datetime64[ns]", TIME),
        (["2020-01-01"], "datetime64[s, UTC]", TIME),
    ],
)
def test_types_follow_from_the_column(values: list[Any], dtype: str, expected: object) -> None:
    """A time is a logical timestamp, and a number that no long can hold is a float."""
    assert avro_type(pd.Series(values, dtype=dtype)) == expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)), 1.5),
        (pa.array([Decimal("1e30"), None], pa.decimal256(40, 2)), 1e30),
        (pa.array([2**64 - 1, None], pa.uint64()), float(2**64)),
        (pa.array([7, None], pa.uint8()), 7),
        (pa.array([1.5, None], pa.float32()), 1.5),
        (pa.array(np.array([1.5, np.nan], "float16")), 1.5),
        (pa.array([datetime.timedelta(minutes=1, microseconds=500_000), None]), 60.5),
        (pa.array([datetime.date(1970, 1, 2), None]), DAY_MS),
        (pa.array([datetime.datetime(1970, 1, 2), None], pa.timestamp("ns")), DAY_MS),
        (pa.array([DAY_MS * 1000, None], pa.timestamp("us", "Europe/Zurich")), DAY_MS),
        (pa.array([datetime.time(1, 2), None]), "01:02:00"),
        (pa.array(["a", None]).dictionary_encode(), "a"),
        (pa.array(["a", None], pa.large_string()), "a"),
        (pa.array([True, None]), True),
        (pa.nulls(2), None),
    ],
)
def test_every_type_of_parquet_that_is_a_value(
    array: pa.Array, expected: object, tmp_path: Path
) -> None:
    """Numbers are numbers, whatever they are written as; a missing cell is None."""
    parquet.write_table(pa.table({"x": array, "y": [1, 2]}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.notes == ()
    first, second = records(table.frame, "id")
    assert first["x"] == expected
    assert type(first["x"]) is type(expected)
    assert second["x"] is None


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([b"x", None]), "bytes"),
        (pa.array([b"ab", None], pa.binary(2)), "bytes"),
        (pa.array([[1], None]), "lists"),
        (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), "lists"),
        (pa.array([{"a": 1}, None]), "records"),
    ],
)
def test_every_type_of_parquet_that_is_none(array: pa.Array, kind: str, tmp_path: Path) -> None:
    """The column is left out, and a sentence says why."""
    parquet.write_table(pa.table({"x": array, "y": [1, 2]}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert [*table.frame] == ["y"]
    assert table.notes == (f"The column 'x' is left out: it holds {kind}, which no model can see.",)


@pytest.mark.parametrize("blank", ["", " ", "\t "])
def test_blanks_among_numbers_are_missing(blank: str, tmp_path: Path) -> None:
    """One cell of blanks does not make text of a column of numbers."""
    (tmp_path / "t.csv").write_text(f"x,y\n1.5,a\n{blank},b\n2,c\n")
    frame = read_table(tmp_path / "t.csv").frame
    assert [row["x"] for row in records(frame, "id")] == [1.5, None, 2.0]


def test_blanks_among_text_are_missing(tmp_path: Path) -> None:
    """And the text stays as it is."""
    (tmp_path / "t.csv").write_text("x,y\n a,1\n  ,2\n")
    frame = read_table(tmp_path / "t.csv").frame
    assert [row["x"] for row in records(frame, "id")] == [" a", None]


def test_columns_of_one_name_stay_apart() -> None:
    """A frame may have them."""
    frame = pd.DataFrame([[1, Decimal(2)]], columns=["x", "x"])
    made, notes = readable(frame)
    assert made.to_numpy().tolist() == [[1.0, 2.0]]
    assert notes == []


def test_text_as_numbers_is_missing_where_it_is_none() -> None:
    """Whole numbers stay whole."""
    assert as_numbers(pd.Series(["1", "?", "3"], dtype="string")).tolist() == [1, pd.NA, 3]


@pytest.mark.parametrize(
    ("values", "expected_ms"),
    [
        (["1970-01-02", "1970-01-03T00:00:00Z"], [DAY_MS, 2 * DAY_MS]),
        (["02.01.1970", "03.01.1970 00:00"], [DAY_MS, 2 * DAY_MS]),
        ([1_700_000_000, 1_700_000_001], [1_700_000_000_000, 1_700_000_001_000]),
        ([1_700_000_000_000], [1_700_000_000_000]),
        ([1_700_000_000.5], [1_700_000_000_500]),
        (["02/01/1970", "13/01/1970"], [DAY_MS, 12 * DAY_MS]),
        (["02/01/1970", "1970-01-03", "13/01/1970"], [DAY_MS, 2 * DAY_MS, 12 * DAY_MS]),
        (["1-2-1970", "1-13-1970"], [DAY_MS, 12 * DAY_MS]),
        (["1970-01-02", "1970-01-13"], [DAY_MS, 12 * DAY_MS]),
        ([19700102, 19700103], [DAY_MS, 2 * DAY_MS]),
        ([1_700_000_000_000_000], [1_700_000_000_000]),
        ([1_700_000_000_000_000_000], [1_700_000_000_000]),
    ],
)
def test_times_are_read_from_text_and_numbers(values: list[Any], expected_ms: list[int]) -> None:
    """ISO dates, dates with the day first where that is seen, and counts since the epoch."""
    assert cells(as_times(pd.Series(values)), TIME) == expected_ms


def test_what_is_no_time_is_refused() -> None:
    """The message has the first row of which the time is not known."""
    with pytest.raises(DefinitionError, match=r"--time must be .*'day' has 'Total' in row 2"):
        as_times(pd.Series(["2025-01-01", "Total"], name="day"))


def test_days_and_months_in_both_orders_are_refused() -> None:
    """Half of them would be wrong, and nobody would know which."""
    with pytest.raises(DefinitionError, match=r"day first in '13/1/2025', and the month in '1/13"):
        as_times(pd.Series(["1/2/2025", "13/1/2025", "1/13/2025"], name="day"))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["10:30", "11:45"], "'at' has '10:30' in row 1"),
        ([1_700_000_000, None], "'at' is missing in row 2"),
        ([20250131, 20259999], "'at' has '20259999' in row 2"),
    ],
)
def test_a_time_needs_a_day(cells: list[Any], message: str) -> None:
    """Otherwise it would be that of today; and a missing cell is said to be missing."""
    with pytest.raises(DefinitionError, match=message):
        as_times(pd.Series(cells, name="at").convert_dtypes())
