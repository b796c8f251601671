"""A file is read as it is written, or refused with the line that is wrong."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from millrace.models.tables.reading import read_table
from millrace.models.tables.rows import records
from millrace.schemas import DefinitionError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file, and return its path."""

    def write(content: bytes | str | None, name: str = "t.csv") -> Path:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refusal(path: Path | str) -> str:
    with pytest.raises(DefinitionError) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_numbers_are_read_to_the_last_bit(write: Write) -> None:
    """A decimal becomes the float that Python makes of it, as a plain River loop would see."""
    texts = ["0.30000000000000004", "1.0000000000000002", "8.41e21", "0.056442999999999993"]
    path = write("x,y\n" + "".join(f"{text},1\n" for text in texts))
    rows = records(read_table(path).frame, "event_id")
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
    table = read_table(path)
    assert [*records(table.frame, "event_id")] == [*records(people, "event_id")]
    assert table.notes == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"x", "a .csv, .csv.gz or .parquet file; got {path}"),
        ("t.gz", b"x", "a .csv, .csv.gz or .parquet file; got {path}"),
        ("missing.csv", None, "a file that exists; got {path}"),
        ("t.csv.gz", b"no gzip", "{path}: BadGzipFile: Not a gzipped file"),
        ("t.csv", gzip.compress(b"a,b", mtime=0), "a CSV file; {path} is gzipped. Name it .csv.gz"),
        ("t.csv", b"PAR1....", "a CSV file; {path} is Parquet. Name it .parquet"),
        ("t.csv", b"PK\x03\x04..", "a CSV file; {path} is a spreadsheet or another archive"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), "a CSV file; {path} is in UTF-16. Convert it"),
        ("t.parquet", b"no parquet", "{path}: ArrowInvalid: "),
    ],
)
def test_files_that_cannot_be_used(
    name: str, content: bytes | None, message: str, write: Write
) -> None:
    """A file that is missing, of another kind or broken is an error of one line."""
    path = write(content, name)
    found = refusal(path)
    assert found.startswith("table must be a ")
    assert message.format(path=repr(str(path))) in found


def test_an_empty_table_is_refused(write: Write) -> None:
    """A file with a header and no rows has nothing to stream."""
    path = write("x,y\n")
    assert refusal(str(path)) == f"table must have one or more rows; got none in {str(path)!r}"


@pytest.mark.parametrize(
    ("content", "line", "cells"),
    [
        ("a,b\n1,2,x\n", 2, 3),
        ("a,b\n1,2,\n3,4,\n", 2, 3),  # a comma at the end
        ("a,b\n1,2\n1,2\n1,2,3,4\n", 4, 4),
        ('a,b\n"x\ny",2\n1,2,3\n', 4, 3),  # a cell of two lines
        ("a;b\n1;2\n1;2;3\n", 3, 3),
        ("\ufeffa,b\n\n1,2,3\n", 3, 3),  # a byte order mark, and a line without cells
    ],
)
def test_a_row_that_is_wider_than_the_header_is_refused(
    content: str, line: int, cells: int, write: Write
) -> None:
    """It would shift every column; the message has the line of the file."""
    found = refusal(write(content))
    assert "table must have 2 cells in each row, as many as its header" in found
    assert f"line {line} of " in found
    assert f" has {cells}. " in found


def test_a_row_with_fewer_cells_is_noted(write: Write) -> None:
    """What it lacks is missing."""
    table = read_table(write("a,b\n1,2\n3\n4\n"))
    assert table.frame["b"].isna().tolist() == [False, True, True]
    assert table.notes == (
        "Rows with fewer cells than the header: 2, the first of them in line 3. The cells that"
        " they lack are missing.",
    )


def test_a_column_without_name_and_cells_is_left_out(write: Write) -> None:
    """A header that ends with a comma, as all rows do, has nothing behind it."""
    table = read_table(write("a,b,\n1,2,\n3,4,\n"))
    assert [*table.frame] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("a;b\n1,5;x\n2,25;y\n", "a semicolon, and its numbers have a decimal comma."),
        ("a;b\n1.5;x,z\n2.25;y\n", "a semicolon."),
        ("a\tb\n1.5\tx\n2.25\ty\n", "a tab."),
        ("a|b\n1.5|x\n2.25|y\n", "a bar."),
    ],
)
def test_other_delimiters_are_recognised(content: str, note: str, write: Write) -> None:
    """By the header; the first numbers show whether a comma is between their digits."""
    table = read_table(write(content))
    assert table.frame["a"].tolist() == [1.5, 2.25]
    assert table.notes == (f"Between the cells of the file is {note}",)


def test_a_file_in_another_encoding_is_refused(write: Write) -> None:
    """The message says which byte is no UTF-8, and what to do."""
    found = refusal(write("a,b\n1,Zürich\n".encode("latin-1")))
    assert "must be UTF-8 text" in found
    assert "(byte 0xfc at 7)" in found
    assert "iconv" in found


@pytest.mark.parametrize("index", [pd.Index([5, 6], name="key"), pd.Index([5, 6])])
def test_an_index_with_a_name_is_a_column(index: pd.Index, tmp_path: Path) -> None:
    """Pandas keeps it apart; without a name it only numbers the rows."""
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1, 2]}, index=index).to_parquet(path)
    frame = read_table(path).frame
    assert frame.to_dict("list") == ({"key": [5, 6]} if index.name else {}) | {"a": [1, 2]}


@pytest.mark.parametrize("content", ["", "\n\n \n"])
def test_a_file_of_nothing_is_refused(content: str, write: Write) -> None:
    """It has no header."""
    assert "must have a header and rows; got none" in refusal(write(content))


def test_zeros_in_the_header_are_refused(write: Write) -> None:
    """As UTF-16 has them, without the mark by which it is known."""
    assert "iconv -f UTF-16LE" in refusal(write("a,b\n1,2\n".encode("utf-16-le")))


def test_empty_lines_count_for_nothing(write: Write) -> None:
    """Above the header, too."""
    table = read_table(write("\n\na,b\n\n1,2\n\n3,4\n"))
    assert table == (table.frame, ())
    assert table.frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize("above", ["# made by hand", "My title", "# one, two"])
def test_lines_above_the_header_are_named(above: str, write: Write) -> None:
    """The rows are not what is wrong."""
    found = refusal(write(f"{above}\na,b,c\n1,2,3\n"))
    assert f"Remove the lines above the header, the first of which is {above!r}" in found


def test_a_column_that_is_called_otherwise_than_in_the_file_is_noted(write: Write) -> None:
    """A second one of the same name, and one without."""
    table = read_table(write('"a\n1",y,y,\n1,2,3,4\n'))
    assert [*table.frame] == ["a\n1", "y", "y.1", "Unnamed: 3"]
    assert table.notes == (
        "Column 3 of the file is another 'y': it is called 'y.1'.",
        "Column 4 of the file has no name: it is called 'Unnamed: 3'.",
    )


def test_a_limit_leaves_out_what_follows(write: Write, tmp_path: Path) -> None:
    """A footer makes no text of numbers then, nor is its width looked at."""
    table = read_table(write("a,b\n1,2\n\n3,4\nTotal,2,x\n"), limit=2)
    assert table == (table.frame, ())
    assert table.frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    pd.DataFrame({"a": [1.5, 2.5]}).to_parquet(tmp_path / "t.parquet")
    assert len(read_table(tmp_path / "t.parquet", limit=1).frame) == 1


@pytest.mark.parametrize("index", ["a", None])
def test_columns_of_one_name_in_parquet_are_refused(index: str | None, tmp_path: Path) -> None:
    """Two columns, or an index and a column."""
    path = tmp_path / "t.parquet"
    if index:
        pd.DataFrame({"a": [1]}, index=pd.Index([5], name=index)).to_parquet(path)
    else:
        parquet.write_table(pa.table([[1], [2]], names=["a", "a"]), path)
    assert refusal(path) == "table must have columns of different names; got 'a' twice. Rename one"


def test_rows_of_several_lines_are_noted(write: Write) -> None:
    """A stray quote may have swallowed what is between it and the next one."""
    table = read_table(write('a,b\n"1\n2",x\n3,y\n\n"4,z\n5",w\n'))
    assert table.frame["a"].tolist() == ["1\n2", "3", "4,z\n5"]
    assert table.notes == (
        "Rows of several lines: 2, the first of them from line 2 on. A quote without an end makes"
        " one of many.",
    )


def test_a_header_without_names(write: Write) -> None:
    """It is the first line that is not empty, even so."""
    table = read_table(write("\n,,\n1,2,3\n"))
    assert table.notes == tuple(
        f"Column {at} of the file has no name: it is called 'Unnamed: {at - 1}'."
        for at in (1, 2, 3)
    )


@pytest.mark.parametrize(("rows", "line"), [('1,2\n"3,4\n', 3), ('"1,2\n3,4\n5,6\n', 2)])
def test_a_quote_without_an_end_is_refused(rows: str, line: int, write: Write) -> None:
    """The message has the line in which its row begins."""
    found = refusal(write("a,b\n" + rows))
    assert f"an end to each quote; the row that begins in line {line} of" in found


def test_parquet_asks_for_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow, a CSV file is read as ever, and a Parquet file is refused with the fix."""
    (tmp_path / "t.csv").write_text("x,y\n1,a\n")
    (tmp_path / "t.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert len(read_table(tmp_path / "t.csv").frame) == 1
    assert 'pip install "millrace[parquet]"' in refusal(tmp_path / "t.parquet")
