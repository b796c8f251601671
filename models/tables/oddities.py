"""What looks wrong about a table: found before the run, since a report would only be odd."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pandas as pd
from pandas.api import types

from millrace.models.tables.columns import Column, are_compact_dates, as_numbers, is_text

_LEAST_ROWS = 20
_NEARLY_ALL = 0.9
_FEW = 0.05
_ID = re.compile(
    r"(?i:(^|[_\W])(id|uuid|guid|key|index|nr|no)$|^unnamed)|[a-z](ID|Id|Key|Nr|UUID)$"
)
_TIME = re.compile(
    r"\s*(\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4}|\d\d?[- ][A-Za-z]{3,9}[- ]\d{4})"
    r"(\D|$)"
)
_WRITTEN = re.compile(r"\W{0,3}(\d{1,3}([,.' ]\d{3})+|\d+)([.,]\d+)?\W{0,3}")  # as $1,234.50 or 37%
_WORDS = 3  # for missing cells, such as "?"
_SAMPLE = 1_000
_EPOCH = range(900_000_000, 2_200_000_000)  # seconds: from 1998 to 2039
_UNITS = (1, 10**3, 10**6, 10**9)
_TOTAL = re.compile(r"\W*(grand\s+)?(sub)?(total|sum|summe|average|mean|count)\b.*", re.IGNORECASE)


def oddities(frame: pd.DataFrame, features: list[str], label: str) -> Iterator[str]:
    """Yield what looks wrong, one sentence each, with the option that changes it.

    Parameters
    ----------
    frame
        As `read_table` gives it.
    features
        Columns that a model will see.
    label
        The column of the labels.

    Examples
    --------
    >>> frame = pd.DataFrame({"order_id": range(20), "y": [0, 1] * 10})
    >>> [*oddities(frame, ["order_id"], "y")]
    ["'order_id' looks like an id: no two rows share one. --exclude order_id or --id order_id."]
    """
    footer = _footer(frame)
    if footer:
        yield footer
        frame = frame.iloc[:-1]
    labels = frame[label].dropna()
    if labels.empty:
        yield f"All labels are missing: there is nothing to learn from {label!r}."
    elif labels.nunique() == 1:
        yield f"All labels are {str(labels.iloc[0])!r}: there is nothing to tell apart."
    elif is_text(labels) or types.is_datetime64_any_dtype(labels.dtype):
        yield from _odd_labels(labels)
    for name in features:
        found = _oddity(frame[name], name)
        if found:
            yield found


def _odd_labels(labels: Column) -> Iterator[str]:
    distinct = labels.nunique()
    meant = labels.astype("string").str.strip().str.lower().nunique()
    if meant < distinct:
        yield (
            f"{labels.name!r} has {distinct:,} values, of which {distinct - meant:,} differ from"
            " another in blanks or capitals only: each is a class of its own."
        )
    if len(labels) >= _LEAST_ROWS and distinct > _NEARLY_ALL * len(labels):
        yield (
            f"{labels.name!r} has {distinct:,} values in {len(labels):,} rows: too many classes to"
            " learn anything of each."
        )


def _oddity(column: Column, name: str) -> str:
    known, given = column.dropna(), shlex.quote(name)
    if known.empty:
        return f"{name!r} is empty. --exclude {given}."
    if types.is_datetime64_any_dtype(column.dtype) or _are_times(known):
        return f"{name!r} looks like a time. --time {given} or --exclude {given}."
    distinct = known.nunique()
    is_unique = len(known) >= _LEAST_ROWS and distinct == len(known)
    if is_unique and (_is_counter(known) or (_ID.search(name) and not _has_fractions(known))):
        return (
            f"{name!r} looks like an id: no two rows share one. --exclude {given} or --id {given}."
        )
    return _odd_text(known, name) if is_text(column) else ""


def _odd_text(known: Column, name: str) -> str:
    if len(known) < _LEAST_ROWS:
        return ""
    distinct, given = known.nunique(), shlex.quote(name)
    numbers = as_numbers(known)
    bad = known[numbers.isna()]
    if bad.empty:
        return f"{name!r} is text of which each is a number. --numeric {given} reads it as such."
    are_few = len(bad) <= max(_FEW * len(known), 3)
    if are_few or (bad.nunique() <= _WORDS and 2 * len(bad) < len(known)):
        return (
            f"{name!r} is text because of cells that are no numbers: {len(bad):,}, the first of"
            f" them {bad.iloc[0]!r} in row {bad.index[0] + 1}. --numeric {given} reads them as"
            " missing."
        )
    if bool(known.astype("string").str.fullmatch(_WRITTEN).all()):
        return (
            f"{name!r} is text that looks like numbers, such as {known.iloc[0]!r}. If it is that,"
            f" write them as 1234.5 in the table; or --exclude {given}."
        )
    if distinct > _NEARLY_ALL * len(known):
        return (
            f"{name!r} is text with {distinct:,} values in {len(known):,} rows: too many to learn"
            f" anything of each. --exclude {given}."
        )
    return ""


def _footer(frame: pd.DataFrame) -> str:
    """Say that the last row is of another kind than all before it, if so."""
    if len(frame) < _LEAST_ROWS:
        return ""
    for position in range(len(frame.columns)):
        column = frame.iloc[:, position]
        last, before = column.iloc[-1], column.iloc[:-1].dropna()
        if not isinstance(last, str) or before.empty or not is_text(column):
            continue
        is_word_among_numbers = not _is_number(last) and bool(as_numbers(before).notna().all())
        is_word_among_times = not _TIME.match(last) and _are_times(before)
        if is_word_among_numbers or is_word_among_times or _is_total(last, before):
            return (
                f"The last row looks like a footer: its {str(column.name)!r} is {last!r}."
                f" --limit {len(frame) - 1:d} leaves it out."
            )
    return ""


def _is_total(last: str, before: Column) -> bool:
    return bool(_TOTAL.fullmatch(last)) and last not in {*before}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _are_times(known: Column) -> bool:
    """Whether cells are dates as text, or seconds to nanoseconds since the Unix epoch, in order."""
    if is_text(known):
        return all(isinstance(each, str) and _TIME.match(each) for each in known.head(_SAMPLE))
    if are_compact_dates(known):
        return True
    if not types.is_numeric_dtype(known.dtype) or types.is_bool_dtype(known.dtype):
        return False
    if not known.is_monotonic_increasing:
        return False
    least, most = int(known.iloc[0]), int(known.iloc[-1])
    return any(_EPOCH.start * unit <= least <= most < _EPOCH.stop * unit for unit in _UNITS)


def _is_counter(known: Column) -> bool:
    if not types.is_integer_dtype(known.dtype):
        return False
    return bool((known.diff().iloc[1:] == 1).all())


def _has_fractions(known: Column) -> bool:
    return bool(types.is_float_dtype(known.dtype)) and bool((known % 1 != 0).any())
