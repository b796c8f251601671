"""The reading half of `schemas.plain`: records of plain fields, and maps of plain values.

Both raise whatever broken bytes lead them to: `schemas.avro` makes one error of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from struct import Struct
from typing import Any, TypeAlias

from schemas.plain import BOOLEAN, DOUBLE, LONG, STRING, Shape, shape_of

_DOUBLE_SIZE_BYTES = 8
_LONG_BITS = 64
_double = Struct("<d")


class MapReader:
    """Reads maps, faster where they are of the shape of the one before.

    Parameters
    ----------
    is_union
        Whether values are features, each with its type before it; otherwise doubles.

    Examples
    --------
    >>> from schemas.plain import write_features
    >>> MapReader(is_union=True).read(write_features({"x": 0.5, "on": True}), 0)
    ({'x': 0.5, 'on': True}, 18)
    """

    def __init__(self, is_union: bool) -> None:
        self._is_union = is_union
        self._shape: Shape | None = None

    def read(self, data: bytes, start: int) -> tuple[dict[str, Any], int]:
        """Return the map that begins at `data[start]`, and where it ends.

        Raises
        ------
        Exception
            Of whatever kind the broken bytes lead to.
        """
        if self._shape is not None and (read := self._shape.read(data, start)) is not None:
            return read
        found, end = self._read_each(data, start)
        if {*map(type, found.values())} == {float}:
            self._shape = shape_of(tuple(found), DOUBLE if self._is_union else b"")
        return found, end

    def _read_each(self, data: bytes, at: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        count, at = _read_long(data, at)
        while count:
            if count < 0:  # such a block says its size, for readers that skip it
                _, at = _read_long(data, at)
            for _ in range(abs(count)):
                name, at = _read_text(data, at)
                found[name], at = self._read_value(data, at)
            count, at = _read_long(data, at)
        return found, at

    def _read_value(self, data: bytes, at: int) -> tuple[Any, int]:
        kind = DOUBLE
        if self._is_union:
            kind, at = data[at : at + 1], at + 1
        if kind == DOUBLE:
            return _read_double(data, at)
        if kind == LONG:
            return _read_long(data, at)
        if kind == BOOLEAN:
            return _read_boolean(data, at)
        if kind == STRING:
            return _read_text(data, at)
        raise ValueError(f"a feature requires a known type; got branch {kind!r}")


_ValueReader: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
Reader: TypeAlias = Callable[[bytes, int, dict[str, Any]], int]
"""Reads one or more fields at an offset into a record, and returns where they end."""


def fields_reader(fields: Iterable[Mapping[str, Any]]) -> Reader | None:
    """Return the function that reads a record's fields; None where one is not of a plain type.

    It raises whatever broken bytes lead it to.

    Examples
    --------
    >>> id_field = {"name": "id", "type": "string"}
    >>> read = fields_reader([id_field, {"name": "x", "type": ["null", "double"]}])
    >>> record = {}
    >>> read(bytes.fromhex("026102000000000000e03f"), 0, record), record
    (11, {'id': 'a', 'x': 0.5})
    """
    steps: list[Reader] = []
    for is_double, run in groupby(fields, lambda field: field["type"] == "double"):
        if is_double:
            steps.append(_doubles_reader([field["name"] for field in run]))
            continue
        for field in run:
            read = _value_reader(field["type"])
            if read is None:
                return None
            steps.append(_field_reader(field["name"], read))

    def read_all(data: bytes, at: int, record: dict[str, Any]) -> int:
        for step in steps:
            at = step(data, at, record)
        return at

    return read_all


def _doubles_reader(names: list[str]) -> Reader:
    layout = Struct(f"<{len(names)}d")

    def read(data: bytes, at: int, record: dict[str, Any]) -> int:
        record.update(zip(names, layout.unpack_from(data, at), strict=True))
        return at + layout.size

    return read


def _field_reader(name: str, read_value: _ValueReader) -> Reader:
    def read(data: bytes, at: int, record: dict[str, Any]) -> int:
        record[name], at = read_value(data, at)
        return at

    return read


def _value_reader(declared: Any) -> _ValueReader | None:
    if isinstance(declared, dict) and declared.keys() == {"type"}:
        declared = declared["type"]
    if not isinstance(declared, list):
        return _VALUE_READERS.get(declared) if isinstance(declared, str) else None
    branches = [_value_reader(each) for each in declared]
    if None in branches:
        return None

    def read(data: bytes, at: int) -> tuple[Any, int]:
        branch, at = _read_long(data, at)
        if branch < 0:
            raise IndexError(f"a union requires a branch from 0; got {branch}")
        return branches[branch](data, at)  # type: ignore[misc] # none of them is None

    return read


def _read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    return bool(data[at]), at + 1


def _read_double(data: bytes, at: int) -> tuple[float, int]:
    return _double.unpack_from(data, at)[0], at + _DOUBLE_SIZE_BYTES


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    rest = shift = 0
    while shift < _LONG_BITS:
        byte = data[at]
        at += 1
        rest |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (rest >> 1) ^ -(rest & 1), at
        shift += 7
    raise ValueError(f"a long requires {_LONG_BITS} bits; got more")


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = _read_long(data, at)
    if not 0 <= size <= len(data) - at:
        raise ValueError(f"text requires {size} bytes; got {len(data) - at}")
    return data[at : at + size].decode(), at + size


_VALUE_READERS: dict[str, _ValueReader] = {
    "null": lambda _, at: (None, at),
    "boolean": _read_boolean,
    "int": _read_long,
    "long": _read_long,
    "double": _read_double,
    "string": _read_text,
}
