"""Writing many records of a type at once: each field as a column.

The bytes are those of `writer`, record by record. What is alike in all records is found once: the
names of a map, the width of numbers, the branch of a union. Where a column holds several kinds,
each kind is a column of its own, and what is rare is written value by value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from struct import pack
from typing import Any, TypeAlias, cast

import numpy as np

from millrace.schemas.codec.binary import write_long, write_text
from millrace.schemas.codec.doubles import MAP_END
from millrace.schemas.codec.rows import Part, holes, joined
from millrace.schemas.codec.types import Map, NotPlainError, Record, Type, Union, plain
from millrace.schemas.codec.writer import BRANCHES, Write, value_writer

Column: TypeAlias = Sequence[Any] | Mapping[str, Sequence[Any]]
"""A field's values in all records. A map's may be columns, too: at least one, and without gaps."""

WriteColumn: TypeAlias = Callable[[Any], list[Part]]
"""Returns the parts of a column of at least one value."""

FEW = 16
"""Fewer values than that are cheaper to write one by one."""

_SHIFTS = np.arange(0, 70, 7, dtype=np.uint64)
_PYTHON_TYPES = {"null": type(None), "boolean": bool, "long": int, "double": float, "string": str}


def column_writer(declared: Type) -> WriteColumn:
    r"""Return the function that writes a column of a plain type.

    It raises an error where a value is not of the type, which need not say which value it is.

    Examples
    --------
    >>> write = column_writer(Record("R", {"id": "string", "n": Union(("null", "long"))}))
    >>> joined(write([{"id": "a", "n": 1}, {"id": "bc", "n": None}]), 2)
    [b'\x02a\x02\x02', b'\x04bc\x00']
    """
    match declared:
        case Record(fields=fields):
            writers = {name: column_writer(each) for name, each in fields.items()}
            return partial(_write_records, writers)
        case Map(values):
            return partial(_write_maps, column_writer(values), value_writer(declared))
        case Union():
            return _union_writer(declared)
        case "null" | "boolean" | "double" | "long" | "string":
            return _PRIMITIVES[declared]
    return partial(_write_each, value_writer(declared))


def field_writers(declared: Record) -> dict[str, WriteColumn]:
    """Return what writes the column of each field; empty where one of them is not plain."""
    try:
        fields = cast("Record", plain(declared)).fields
        return {name: column_writer(each) for name, each in fields.items()}
    except (NotPlainError, SyntaxError, RecursionError):
        return {}


def columns_of(records: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Column]:
    """Return these fields of records, each as a column."""
    return {name: [*map(itemgetter(name), records)] for name in names}


def records_of(columns: Mapping[str, Column]) -> list[dict[str, Any]]:
    """Return the records whose fields are given as columns."""
    each = [records_of(each) if isinstance(each, Mapping) else each for each in columns.values()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*each, strict=True)]


def write_fields(writers: Mapping[str, WriteColumn], columns: Mapping[str, Column]) -> list[Part]:
    """Return the parts of records, field by field."""
    return [part for name, write in writers.items() for part in write(columns[name])]


def _write_records(writers: Mapping[str, WriteColumn], records: Sequence[Any]) -> list[Part]:
    return write_fields(writers, columns_of(records, writers))


def _write_each(write: Write, values: Sequence[Any]) -> list[Part]:
    return [[*map(write, values)]]


def _write_maps(write_values: WriteColumn, write: Write, maps: Any) -> list[Part]:
    if isinstance(maps, Mapping):
        return _write_named(write_values, maps)
    names = [*maps[0]]
    if [*chain.from_iterable(maps)] == names * len(maps):  # no map has a name twice
        columns = zip(*map(dict.values, maps), strict=True)
        return _write_named(write_values, dict(zip(names, columns, strict=True)))
    again = partial(_write_maps, write_values, write)
    return [_by_kind(again, write, maps, map(tuple, maps))]


def _write_named(write_values: WriteColumn, columns: Mapping[str, Sequence[Any]]) -> list[Part]:
    """Return the parts of maps that have the same names, in the same order."""
    if not columns:
        return [MAP_END]
    parts: list[Part] = [write_long(len(columns))]
    for name, values in columns.items():
        parts += write_text(name), *write_values(values)
    return [*parts, MAP_END]


def _union_writer(declared: Union) -> WriteColumn:
    """Return the function that writes values whose branch follows from their Python type."""
    write = value_writer(declared)
    branches = [
        partial(_write_branch, prefix, column_writer(each))
        for prefix, each in zip(BRANCHES, declared.branches, strict=False)
    ]
    by_type = {
        _PYTHON_TYPES[each]: branch
        for each, branch in zip(declared.branches, branches, strict=True)
        if each in _PYTHON_TYPES
    }
    otherwise: WriteColumn = partial(_write_each, write)
    if len(branches) == 2:  # null and another type
        otherwise = branches[declared.branches[0] == "null"]
    return partial(_write_union, by_type, otherwise, write)


def _write_branch(branch: bytes, write: WriteColumn, values: Sequence[Any]) -> list[Part]:
    return [branch, *write(values)]


def _write_union(
    by_type: Mapping[type, WriteColumn],
    otherwise: WriteColumn,
    write: Write,
    values: Sequence[Any],
) -> list[Part]:
    types = {*map(type, values)}
    if len(types) == 1:
        return by_type.get(types.pop(), otherwise)(values)
    again = partial(_write_union, by_type, otherwise, write)
    return [_by_kind(again, write, values, map(type, values))]


def _by_kind(
    write_alike: WriteColumn, write: Write, values: Sequence[Any], kinds: Iterable[Hashable]
) -> list[bytes]:
    """Return the bytes of each value; those of a kind are written together, unless they are few."""
    kinds = [*kinds]
    by_kind: defaultdict[Hashable, list[Any]] = defaultdict(list)
    for kind, value in zip(kinds, values, strict=True):
        by_kind[kind].append(value)
    written = {
        kind: map(write, some) if len(some) < FEW else iter(joined(write_alike(some), len(some)))
        for kind, some in by_kind.items()
    }
    return [*map(next, map(written.__getitem__, kinds))]


def _write_nulls(_: Sequence[None]) -> list[Part]:
    return []


def _write_booleans(values: Sequence[object]) -> list[Part]:
    return [holes(bytes(map(bool, values)), 1)]


def _write_doubles(values: Sequence[float]) -> list[Part]:
    return [holes(pack(f"<{len(values)}d", *values), 8)]


def _write_longs(values: Sequence[int]) -> list[Part]:
    if _is_one(values):
        return [holes(write_long(values[0]))]
    numbers = np.frombuffer(pack(f"={len(values)}q", *values), np.int64)
    zigzag = (numbers << 1 ^ numbers >> 63).view(np.uint64)
    least, most = _width(zigzag.min()), _width(zigzag.max())
    rest = zigzag[:, None] >> _SHIFTS[:most]
    written = rest.astype(np.uint8) & 0x7F
    if least == most:
        written[:, :-1] |= 0x80
        return [holes(written.tobytes(), most)]
    goes_on = rest[:, 1:] != 0
    written[:, :-1] |= goes_on.astype(np.uint8) << 7
    data, sizes = written.tobytes(), (goes_on.sum(axis=1) + 1).tolist()
    starts = range(0, len(data), most)
    return [[data[start : start + size] for start, size in zip(starts, sizes, strict=True)]]


def _width(zigzag: np.uint64) -> int:
    """Return how many bytes a number takes."""
    return (int(zigzag).bit_length() + 6) // 7 or 1


def _write_texts(values: Sequence[str]) -> list[Part]:
    if _is_one(values):
        return [holes(write_text(values[0]))]
    encoded = [*map(str.encode, values)]
    sizes = [*map(len, encoded)]
    if _is_one(sizes):
        return [write_long(sizes[0]), holes(b"".join(encoded), sizes[0])]
    return [[*map(write_long, sizes)], encoded]


def _is_one(values: Sequence[Any]) -> bool:
    """Whether all values are the same."""
    return values[0] == values[-1] and values.count(values[0]) == len(values)


_PRIMITIVES: dict[str, WriteColumn] = {
    "null": _write_nulls,
    "boolean": _write_booleans,
    "long": _write_longs,
    "double": _write_doubles,
    "string": _write_texts,
}
