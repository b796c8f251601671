"""A table as a stream: a file of rows becomes events, under names and types that Avro has.

`replay` reads its rows here, for a pipeline that is inferred from the table (see `inference`) as
well as for one of the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd
from pandas.api import types

from millrace.schemas import DefinitionError

EVENT_ID = "event_id"
"""Name of the field that is added to identify an event."""

Cell: TypeAlias = bool | int | float | str | None
Column: TypeAlias = "pd.Series[Any]"

_CHUNK_ROWS = 10_000
_KINDS = "a .csv, .csv.gz or .parquet file"


def read_table(path: Path | str) -> pd.DataFrame:
    """Return the rows of a file, in which integers and missing cells keep their types.

    Numbers are read to the nearest float, so that a model sees what Python's `float` gives.

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
        frame = _read_csv(path) if is_csv else pd.read_parquet(path, dtype_backend="numpy_nullable")
    except Exception as error:  # pandas and pyarrow raise errors of many types for a broken file
        raise DefinitionError(
            f"table must be {_KINDS} that can be read; got {str(path)!r}:"
            f" {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if frame.empty:
        raise DefinitionError(f"table must have one or more rows; got none in {str(path)!r}")
    return frame


def records(frame: pd.DataFrame, event_id: str) -> Iterator[dict[str, Cell]]:
    """Return one event per row, of plain Python values: fields in the order of the columns.

    Parameters
    ----------
    frame
        As `read_table` gives it.
    event_id
        Name of the field that identifies an event. If no column gives it, it is added, and
        holds the number of the row from 0, as text.

    Examples
    --------
    >>> next(records(pd.DataFrame({"a-b": [1, 2], "c": [0.5, None]}), "event_id"))
    {'event_id': '0', 'a_b': 1, 'c': 0.5}
    """
    names = field_names(str(each) for each in frame.columns)
    kinds = [avro_type(frame.iloc[:, i]) for i in range(len(names))]
    is_added = event_id not in names
    for start in range(0, len(frame), _CHUNK_ROWS):
        chunk = frame.iloc[start : start + _CHUNK_ROWS]
        columns = [_cells(chunk.iloc[:, i], kind) for i, kind in enumerate(kinds)]
        for row, values in enumerate(zip(*columns, strict=True), start):
            event: dict[str, Cell] = {event_id: str(row)} if is_added else {}
            event.update(zip(names, values, strict=True))
            yield event


def field_names(columns: Iterable[str]) -> list[str]:
    """Return an Avro name for each column, unique and as close to the column's own as possible.

    Examples
    --------
    >>> field_names(["region-centroid-col", "1", "a b", "a_b"])
    ['region_centroid_col', '_1', 'a_b_2', 'a_b']
    """
    columns = [*columns]
    taken = {*columns}
    names = []
    for column in columns:
        name = _avro_name(column)
        if name != column:
            name = next(n for n in _numbered(name) if n not in taken)
            taken.add(name)
        names.append(name)
    return names


def free_event_id(columns: Iterable[str]) -> str:
    """Return `event_id`, with underscores appended until no column has that name."""
    taken = {*field_names(columns)}
    return next(name for name in (EVENT_ID + "_" * n for n in count()) if name not in taken)


def avro_type(column: Column) -> str | dict[str, str]:
    """Return the Avro type of a column's values: times are milliseconds, the rest text."""
    if types.is_bool_dtype(column.dtype):
        return "boolean"
    if types.is_integer_dtype(column.dtype):
        is_unsigned = types.is_unsigned_integer_dtype(column.dtype)
        return "string" if is_unsigned and bool((column >= 2**63).any()) else "long"
    if types.is_float_dtype(column.dtype):
        return "double"
    if types.is_datetime64_any_dtype(column.dtype):
        return {"type": "long", "logicalType": "timestamp-millis"}
    return "string"


def _read_csv(path: Path) -> pd.DataFrame:
    # From 3.1 on, pandas reads the nearest float by default, and warns if it is asked to.
    is_exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    precision: Literal["round_trip"] | None = None if is_exact else "round_trip"
    return pd.read_csv(path, dtype_backend="numpy_nullable", float_precision=precision)


def _cells(column: Column, kind: str | dict[str, str]) -> list[Cell]:
    """Return a column's cells as plain Python values of the Avro type `kind`, None if missing."""
    is_missing = column.isna()
    if isinstance(kind, dict):
        column = pd.to_datetime(column, utc=True).dt.as_unit("ms").astype("int64")
    cells: list[Cell] = column.tolist()
    if kind == "string":
        cells = [str(each) for each in cells]
    if is_missing.any():
        return [None if gone else each for each, gone in zip(cells, is_missing, strict=True)]
    return cells


def _avro_name(column: str) -> str:
    """Avro 1.12 specification, section "Names"."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", column) or "_"
    return f"_{name}" if name[0].isdigit() else name


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{n}" for n in count(2))
