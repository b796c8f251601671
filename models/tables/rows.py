"""A table as a stream: a file of rows becomes events, under names and types that Avro has.

`replay` reads its rows here, for a pipeline that is inferred from the table (see `inference`) as
well as for one of the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

import pandas as pd

from millrace.models.tables.columns import Cell, TimeUnit, avro_type, cells

EVENT_ID = "event_id"
"""Name of the field that is added to identify an event."""

_CHUNK_ROWS = 10_000


def records(
    frame: pd.DataFrame, event_id: str | None, units: Mapping[str, TimeUnit] | None = None
) -> Iterator[dict[str, Cell]]:
    """Return one event per row, of plain Python values: fields in the order of the columns.

    Parameters
    ----------
    frame
        As `read_table` gives it.
    event_id
        Name of the field that identifies an event. If no column gives it, it is added, and
        holds the number of the row from 0, as text. None: there is no such field.
    units
        How fields hold a time, where it is not in milliseconds.

    Examples
    --------
    >>> next(records(pd.DataFrame({"a-b": [1, 2], "c": [0.5, None]}), "event_id"))
    {'event_id': '0', 'a_b': 1, 'c': 0.5}
    """
    names = field_names(str(each) for each in frame.columns)
    kinds = [avro_type(frame.iloc[:, i]) for i in range(len(names))]
    held = [(units or {}).get(name, "ms") for name in names]
    added = event_id if event_id not in names else None
    for start in range(0, len(frame), _CHUNK_ROWS):
        chunk = frame.iloc[start : start + _CHUNK_ROWS]
        columns = [
            cells(chunk.iloc[:, i], kind, unit)
            for i, (kind, unit) in enumerate(zip(kinds, held, strict=True))
        ]
        for row, values in enumerate(zip(*columns, strict=True), start):
            event: dict[str, Cell] = {} if added is None else {added: str(row)}
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


def _avro_name(column: str) -> str:
    """Avro 1.12 specification, section "Names"."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", column) or "_"
    return f"_{name}" if name[0].isdigit() else name


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{n}" for n in count(2))
