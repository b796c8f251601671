"""Reading a file of rows: what the file holds, and nothing that it does not hold.

A CSV file is looked through before pandas reads it. pandas shifts all columns where a row is wider
than the header, and says nothing.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

import pandas as pd

from millrace.models.tables.columns import readable
from millrace.schemas import DefinitionError

_KINDS = "a .csv, .csv.gz or .parquet file"
_DELIMITERS = ",;\t|"
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_SAMPLE_ROWS = 1_000
_OTHER_FILES = {
    b"\x1f\x8b": "gzipped. Name it .csv.gz",
    b"PAR1": "Parquet. Name it .parquet",
    b"PK\x03\x04": "a spreadsheet or another archive. Save it as CSV",
    b"\xff\xfe": "in UTF-16. Convert it, for example by iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "in UTF-16. Convert it, for example by iconv -f UTF-16 -t UTF-8",
}
"""First bytes of a file that is no CSV file to what it is, and how to make one of it."""
_SHOWN = 40  # letters of a header
_LONGEST_CELL = 16 * 1024 * 1024
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_DECIMAL_POINT = re.compile(r"[+-]?\d+\.\d+")


class Table(NamedTuple):
    """The rows of a file.

    Attributes
    ----------
    frame
        One row per event.
    notes
        What was made of the file that its author may not expect, one sentence each.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Layout:
    """How a CSV file is written: its header, what is between cells, and within numbers."""

    header: list[str]
    delimiter: str
    decimal: str
    notes: tuple[str, ...]


def read_table(path: Path | str, limit: int | None = None) -> Table:
    """Return the rows of a file, in which integers and missing cells keep their types.

    Numbers are read to the nearest float, so that a model sees what Python's `float` gives. The
    delimiter of a CSV file may be a comma, a semicolon, a tab or a bar; the header decides.

    Parameters
    ----------
    path
        Of the file.
    limit
        How many rows are read; by default all. What follows them has no part in anything.

    Raises
    ------
    DefinitionError
        The file is missing, of another kind, empty, or broken.

    Examples
    --------
    >>> read_table("data.xlsx")
    Traceback (most recent call last):
    millrace.schemas.errors.DefinitionError: table must be ...; got 'data.xlsx'
    """
    path = Path(path)
    is_csv = path.name.lower().endswith((".csv", ".csv.gz"))
    if not is_csv and path.suffix.lower() != ".parquet":
        raise DefinitionError(f"table must be {_KINDS}; got {str(path)!r}")
    if not path.is_file():
        raise DefinitionError(f"table must be a file that exists; got {str(path)!r}")
    try:
        table = _read_csv(path, limit) if is_csv else _read_parquet(path, limit)
    except DefinitionError:
        raise
    except UnicodeDecodeError as error:
        raise DefinitionError(
            f"table must be UTF-8 text; {str(path)!r} has another encoding (byte"
            f" {error.object[error.start]:#x} at {error.start}). Convert it, for example by"
            " iconv -f LATIN1 -t UTF-8"
        ) from error
    except Exception as error:  # pandas and pyarrow raise errors of many types for a broken file
        raise DefinitionError(
            f"table must be {_KINDS} that can be read; got {str(path)!r}:"
            f" {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if table.frame.empty:
        raise DefinitionError(f"table must have one or more rows; got none in {str(path)!r}")
    frame, notes = readable(table.frame)
    return Table(frame, (*table.notes, *notes))


def _read_parquet(path: Path, limit: int | None) -> Table:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra, for this alone
    except ImportError as error:
        raise DefinitionError(
            f"table must be CSV where pyarrow is not installed; got {str(path)!r}. To read Parquet:"
            ' pip install "millrace[parquet]"'
        ) from error
    _check_names(parquet.read_schema(path).names)
    frame = pd.read_parquet(path, dtype_backend="numpy_nullable")
    if any(name is not None for name in frame.index.names):  # pandas wrote an index, with names
        named = [str(each) for each in frame.index.names if each is not None]
        _check_names([*named, *map(str, frame.columns)])
        frame = frame.reset_index()
    return Table(frame.iloc[:limit])


def _check_names(names: Iterable[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DefinitionError(
            f"table must have columns of different names; got {twice[0]!r} twice. Rename one"
        )


def _read_csv(path: Path, limit: int | None) -> Table:
    layout = _check_layout(path, limit)
    # From 3.1 on, pandas reads the nearest float by default, and warns if it is asked to.
    is_exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    precision: Literal["round_trip"] | None = None if is_exact else "round_trip"
    try:
        frame = pd.read_csv(
            path,
            sep=layout.delimiter,
            decimal=layout.decimal,
            index_col=False,
            dtype_backend="numpy_nullable",
            float_precision=precision,
            nrows=limit,
        )
    except pd.errors.ParserError as error:
        if "inside string" not in str(error):
            raise
        raise DefinitionError(
            "table must have an end to each quote; the row that begins in line"
            f" {_last_row(path, layout.delimiter)} of {str(path)!r} has none"
        ) from error
    nameless = [at for at, name in enumerate(layout.header) if not name]
    empty = [at for at in nameless if bool(frame.iloc[:, at].isna().all())]
    renamed = [
        f"Column {at + 1} of the file {_unlike(name)}: it is called {str(made)!r}."
        for at, (name, made) in enumerate(zip(layout.header, frame.columns, strict=True))
        if name != made and at not in empty
    ]
    return Table(frame.drop(columns=frame.columns[empty]), (*layout.notes, *renamed))


def _unlike(name: str) -> str:
    return f"is another {name!r}" if name else "has no name"


def _check_layout(path: Path, limit: int | None) -> _Layout:
    """Look through a CSV file, and return how it is written.

    Raises
    ------
    DefinitionError
        There is no header, or a row is wider than it.
    """
    _check_kind(path)
    with _opened(path) as lines:
        header = next((line for line in lines if line.strip()), "")
    if not header or "\0" in header:
        if not header:
            raise DefinitionError(f"table must have a header and rows; got none in {str(path)!r}")
        raise DefinitionError(
            f"table must be UTF-8 text; {str(path)!r} has bytes of zero. Convert it, for example by"
            " iconv -f UTF-16LE -t UTF-8"
        )
    delimiter = max(_DELIMITERS, key=lambda each: len(next(csv.reader([header], delimiter=each))))
    narrow, first_narrow = 0, 0
    with _opened(path) as lines:
        names = next(filter(_is_row, csv.reader(lines, delimiter=delimiter)))
    long, first_long = 0, 0
    for line, lines_of_row, width, expected in _odd_rows(path, delimiter, limit):
        if width > expected:
            raise DefinitionError(
                f"table must have {expected} cells in each row, as many as its header; line {line}"
                f" of {str(path)!r} has {width}. {_fix(names, header)}"
            )
        if width < expected:
            narrow, first_narrow = narrow + 1, first_narrow or line
        if lines_of_row > 1:
            long, first_long = long + 1, first_long or line
    decimal = "." if delimiter == "," else _decimal(path, delimiter)
    notes = []
    if delimiter != ",":
        commas = ", and its numbers have a decimal comma" if decimal == "," else ""
        notes.append(f"Between the cells of the file is {_NAMES[delimiter]}{commas}.")
    if narrow:
        notes.append(
            f"Rows with fewer cells than the header: {narrow:,}, the first of them in line"
            f" {first_narrow}. The cells that they lack are missing."
        )
    if long:
        notes.append(
            f"Rows of several lines: {long:,}, the first of them from line {first_long} on. A quote"
            " without an end makes one of many."
        )
    return _Layout(names, delimiter, decimal, tuple(notes))


def _check_kind(path: Path) -> None:
    with path.open("rb") as file:
        first = file.read(4)
    for start, kind in _OTHER_FILES.items():
        if first.startswith(start) and not (path.suffix.lower() == ".gz" and "gzip" in kind):
            raise DefinitionError(f"table must be a CSV file; {str(path)!r} is {kind}")


def _fix(names: list[str], header: str) -> str:
    if header.startswith("#") or sum(map(bool, names)) <= 1:
        return (
            f"Remove the lines above the header, the first of which is {header[:_SHOWN].strip()!r}"
        )
    return "Remove what is behind the last column, or add its name to the header"


def _odd_rows(path: Path, delimiter: str, limit: int | None) -> Iterator[tuple[int, int, int, int]]:
    """Yield rows of several lines, or not as wide as the header.

    Of each: its first line, how many it has, its number of cells, and that of the header.
    """
    with _opened(path) as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        columns = rows = last = 0
        for cells in reader:
            if _is_row(cells):
                if columns and (len(cells) != columns or reader.line_num > last + 1):
                    yield last + 1, reader.line_num - last, len(cells), columns
                columns = columns or len(cells)
                rows += 1
            if rows - 1 == limit:
                return
            last = reader.line_num


def _last_row(path: Path, delimiter: str) -> int:
    """Return the line in which the last row begins."""
    begin = end = 0
    with _opened(path) as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        for _ in reader:
            begin, end = end + 1, reader.line_num
    return begin


def _is_row(cells: list[str]) -> bool:
    """Whether these are not the cells of an empty line."""
    return len(cells) > 1 or any(map(str.strip, cells))


def _decimal(path: Path, delimiter: str) -> str:
    """Return what is between the digits of a file's first numbers."""
    with _opened(path) as lines:
        rows = islice(csv.reader(lines, delimiter=delimiter), 1, _SAMPLE_ROWS)
        cells = [cell.strip() for row in rows for cell in row]
    commas = sum(map(bool, map(_DECIMAL_COMMA.fullmatch, cells)))
    points = sum(map(bool, map(_DECIMAL_POINT.fullmatch, cells)))
    return "," if commas > points else "."


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open("rb") as file, ExitStack() as stack:
        is_gzipped = path.suffix.lower() == ".gz"
        content = stack.enter_context(gzip.open(file)) if is_gzipped else file
        yield stack.enter_context(TextIOWrapper(content, encoding="utf-8-sig", newline=""))
