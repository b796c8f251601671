"""A file of rows becomes events of plain values, under names that Avro has."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.tables.rows import (
    avro_type,
    field_names,
    free_event_id,
    read_table,
    records,
)
from millrace.schemas import DefinitionError


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


def test_numbers_are_read_to_the_last_bit(tmp_path: Path) -> None:
    """A decimal becomes the float that Python makes of it, as a plain River loop would see."""
    texts = ["0.30000000000000004", "1.0000000000000002", "8.41e21", "0.056442999999999993"]
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{text},1\n" for text in texts))
    rows = records(read_table(tmp_path / "t.csv"), "event_id")
    assert [row["x"] for row in rows] == [float(text) for text in texts]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "T.CSV"])
def test_every_kind_of_file(name: str, tmp_path: Path, people: pd.DataFrame) -> None:
    """CSV, gzipped CSV and Parquet give the same events."""
    path, csv = tmp_path / name, tmp_path / "people.csv"
    if path.suffix == ".parquet":
        people.to_parquet(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(csv.read_bytes()))
    else:
        path.write_bytes(csv.read_bytes())
    assert [*records(read_table(path), "event_id")] == [*records(people, "event_id")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"x", "a .csv, .csv.gz or .parquet file; got {path}"),
        ("t.gz", b"x", "a .csv, .csv.gz or .parquet file; got {path}"),
        ("missing.csv", None, "a file that exists; got {path}"),
        ("t.csv", b"", "a .csv, .csv.gz or .parquet file that can be read; got {path}: EmptyData"),
        ("t.csv", b"x,y\n1,2\n1,2,3\n", "{path}: ParserError: Error tokenizing data. C error"),
        ("t.csv.gz", b"no gzip", "{path}: BadGzipFile: Not a gzipped file"),
        ("t.parquet", b"no parquet", "{path}: ArrowInvalid: "),
    ],
)
def test_files_that_cannot_be_used(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    """A file that is missing, of another kind or broken is an error of one line."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DefinitionError) as caught:
        read_table(path)
    assert str(caught.value).startswith("table must be a ")
    assert message.format(path=repr(str(path))) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    """A file with a header and no rows has nothing to stream."""
    path = tmp_path / "t.csv"
    path.write_text("x,y\n")
    with pytest.raises(DefinitionError) as caught:
        read_table(str(path))
    assert str(caught.value) == f"table must have one or more rows; got none in {str(path)!r}"


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


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        ([True, None], "boolean", "boolean"),
        ([1, None], "Int64", "long"),
        ([2**63 - 1], "UInt64", "long"),
        ([2**63], "UInt64", "string"),
        ([2**63 - 1], "Int64", "long"),
        ([2**63, 1, None], "UInt64", "string"),
        ([None], "UInt64", "long"),
        ([1.0, None], "Float64", "double"),
        (["a", None], "string", "string"),
        (["2020-01-01"], "datetime64[ns]", {"type": "long", "logicalType": "timestamp-millis"}),
        (["2020-01-01"], "datetime64[s, UTC]", {"type": "long", "logicalType": "timestamp-millis"}),
    ],
)
def test_types_follow_from_the_column(cells, dtype, expected) -> None:
    """An integer that no Avro long can hold is text; a time is a logical timestamp."""
    assert avro_type(pd.Series(cells, dtype=dtype)) == expected


def test_rows_are_numbered_across_chunks() -> None:
    """Ids continue from chunk to chunk, and the whole column decides the type."""
    large = pd.array([1] * 10_001 + [2**63], dtype="UInt64")
    events = [*records(pd.DataFrame({"x": large}), "event_id")]
    assert [event["event_id"] for event in events] == [str(i) for i in range(10_002)]
    assert (events[0]["x"], events[-1]["x"]) == ("1", str(2**63))


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
