"""A column of a table: what its cells are, in the types that an event can have."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from pandas.api import types

from millrace.schemas import DefinitionError

TimeUnit: TypeAlias = Literal["ms", "us", "ns", "text"]
"""How a field holds a time: as a number since the Unix epoch, or as text."""

Cell: TypeAlias = bool | int | float | str | None
Column: TypeAlias = "pd.Series[Any]"

_LONGEST_LONG = 2**63
_SECONDS = "%Y-%m-%d %H:%M:%S"
_DAY_OR_MONTH = r"^\s*(\d\d?)([-/.])(\d\d?)\2\d"
_TIME_OF_DAY = r"\s*\d\d?:\d\d"
_COMPACT_RANGE = (19_000_000, 20_999_999)  # as seconds they would be in 1970
_COMPACT = r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"


def readable(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of numbers, booleans, times and text, and what was left out of it, and why.

    A decimal number becomes a float, as does a whole number that needs 64 bits and no sign. A
    duration becomes its seconds, a date the time at which it begins. Text of blanks is missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"price": [Decimal("1.5")], "tags": [["a"]]})
    >>> table, notes = readable(frame)
    >>> table.to_dict("list"), notes
    ({'price': [1.5]}, ["The column 'tags' is left out: it holds lists, which no model can see."])
    """
    columns, notes = {}, []
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        made = _readable(column)
        if made is None:
            kind = _OTHERS.get(type(_first(column)), type(_first(column)).__name__)
            notes.append(
                f"The column {str(name)!r} is left out: it holds {kind}, which no model can see."
            )
        else:
            columns[position] = made
    if not notes and all(columns[at] is frame.iloc[:, at] for at in columns):
        return frame, notes
    made_frame = pd.concat([*columns.values()], axis=1) if columns else frame.iloc[:, :0]
    made_frame.columns = frame.columns.take([*columns])
    return made_frame, notes


def avro_type(column: Column) -> str | dict[str, str]:
    """Return the Avro type of a column's values: times are milliseconds, the rest text."""
    if types.is_bool_dtype(column.dtype):
        return "boolean"
    if types.is_integer_dtype(column.dtype):
        is_unsigned = types.is_unsigned_integer_dtype(column.dtype)
        return "double" if is_unsigned and bool((column >= _LONGEST_LONG).any()) else "long"
    if types.is_float_dtype(column.dtype):
        return "double"
    if types.is_datetime64_any_dtype(column.dtype):
        return {"type": "long", "logicalType": "timestamp-millis"}
    return "string"


def cells(column: Column, kind: str | dict[str, str], unit: TimeUnit = "ms") -> list[Cell]:
    """Return a column's cells as plain Python values of the Avro type `kind`, None if missing.

    Times are numbers in `unit`, or text in ISO 8601.
    """
    is_missing = column.isna()
    if isinstance(kind, dict):
        times = pd.to_datetime(column, utc=True)
        column = times.map(str) if unit == "text" else times.dt.as_unit(unit).astype("int64")
    if kind == "double":
        column = column.astype("Float64")
    found: list[Cell] = column.tolist()
    if kind == "string":
        found = [str(each) for each in found]
    if is_missing.any():
        return [None if gone else each for each, gone in zip(found, is_missing, strict=True)]
    return found


def as_numbers(column: Column) -> Column:
    """Return text as numbers, missing where it is none."""
    return pd.to_numeric(column.astype("object"), errors="coerce").convert_dtypes()


def as_times(column: Column) -> Column:
    """Return dates as text, or whole numbers since the Unix epoch, as times in UTC.

    In dates such as 1/2/2024 the month is first, unless dots are between or a row shows that the
    day is. Whole numbers such as 20240131 are dates.

    Raises
    ------
    DefinitionError
        A cell is missing, or is no time; or days are first in some rows, months in others.
    """
    if types.is_datetime64_any_dtype(column.dtype):
        found = pd.to_datetime(column, utc=True)
    elif is_text(column):
        found = pd.to_datetime(column, utc=True, errors="coerce", format="mixed")
        days_first = _have_days_first(column)
        if bool(days_first.any()):
            other = pd.to_datetime(column, utc=True, errors="coerce", format="mixed", dayfirst=True)
            found = found.mask(days_first, other)
        has_no_day = column.astype("string").str.match(_TIME_OF_DAY).fillna(False)
        found = found.mask(has_no_day.astype(bool))  # pandas would take the day of today
    elif types.is_integer_dtype(column.dtype) and bool(column.between(*_COMPACT_RANGE).all()):
        found = pd.to_datetime(column.astype("string"), utc=True, errors="coerce", format="%Y%m%d")
    else:
        found = pd.to_datetime(column, utc=True, errors="coerce", unit=_epoch_unit(column))
    if bool(found.isna().any()):
        row = int(found.isna().to_numpy().argmax())
        is_missing = bool(column.isna().iloc[row])
        kind = "is missing" if is_missing else f"has {str(column.iloc[row])!r}"
        raise DefinitionError(
            f"--time must be a column of times; {column.name!r} {kind} in row {row + 1}"
        )
    return found


def span(times: Column) -> str:
    """Return the first and the last of times in UTC, as text: they show how dates were read."""
    return f"from {times.min():{_SECONDS}} to {times.max():{_SECONDS}} in UTC"


def are_compact_dates(column: Column) -> bool:
    """Whether the cells are whole numbers such as 20240131."""
    if not types.is_integer_dtype(column.dtype):
        return False
    return bool(column.dropna().astype("string").str.fullmatch(_COMPACT).all())


def _have_days_first(column: Column) -> Column:
    parts = column.astype("string").str.extract(_DAY_OR_MONTH)
    first, second = (pd.to_numeric(parts[each]) > 12 for each in (0, 2))
    if bool(first.any()) and bool(second.any()):
        days, months = (column[each.fillna(False)].iloc[0] for each in (first, second))
        raise DefinitionError(
            f"--time must be a column of times; {column.name!r} has the day first in {days!r}, and"
            f" the month in {months!r}"
        )
    between = parts[1] == "." if not bool(first.any()) else parts[1].notna()
    return (between & (not bool(second.any()))).fillna(False).astype(bool)


def _epoch_unit(column: Column) -> Literal["s", "ms", "us", "ns"]:
    """Return the unit in which numbers since the Unix epoch are of our time."""
    largest = float(column.abs().max())
    units: tuple[Literal["s", "ms", "us", "ns"], ...] = ("s", "ms", "us", "ns")
    return next((unit for i, unit in enumerate(units) if largest < 1e11 * 1e3**i), "ns")


def is_text(column: Column) -> bool:
    """Whether the cells are text."""
    return avro_type(column) == "string"


def _readable(column: Column) -> Column | None:
    """Return a column in a type that events have; None where there is none."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _readable(column.astype(dtype.categories.dtype))
    if types.is_timedelta64_dtype(dtype):
        return column.dt.total_seconds().astype("Float64")
    if dtype == "float16":  # of which pandas makes no index
        return column.astype("Float64")
    if types.is_unsigned_integer_dtype(dtype) and bool((column >= _LONGEST_LONG).any()):
        return column.astype("Float64")
    if types.is_string_dtype(dtype) or types.is_object_dtype(dtype):
        convert = _CONVERSIONS.get(type(_first(column)))
        return None if convert is None else convert(column)
    return column if types.is_numeric_dtype(dtype) or _is_time(column) else None


def _is_time(column: Column) -> bool:
    return types.is_bool_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype)


def _first(column: Column) -> object:
    present = column.dropna()
    return present.iloc[0] if len(present) else ""


def _text(column: Column) -> Column:
    """Return text, or the numbers that it is once blanks are missing."""
    blank = column.astype("string").str.strip() == ""
    if not blank.any():
        return column
    rest = column.mask(blank.fillna(False))
    numbers = as_numbers(rest)
    return numbers if int(numbers.notna().sum()) == int(rest.notna().sum()) else rest


def _dates(column: Column) -> Column:
    return pd.to_datetime(column, utc=True)


_CONVERSIONS: Mapping[type, Callable[[Column], Column]] = {
    str: _text,
    bool: lambda column: column.astype("boolean"),
    int: lambda column: column.astype("Float64"),
    float: lambda column: column.astype("Float64"),
    Decimal: lambda column: column.map(float, na_action="ignore").astype("Float64"),
    datetime.date: _dates,
    datetime.datetime: _dates,
    datetime.time: lambda column: column.astype("string"),
    datetime.timedelta: lambda column: pd.to_timedelta(column).dt.total_seconds(),
}
"""Type of the first cell of a column of objects to what the column becomes."""

_OTHERS: Mapping[type, str] = {
    bytes: "bytes",
    list: "lists",
    tuple: "lists",
    np.ndarray: "lists",
    dict: "records",
}
