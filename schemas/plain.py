"""Avro's plain types and maps of them, without asking the schema about each value.

Features and probabilities are most of what Millrace writes. fastavro tries every branch of a
union on every value; here the value's own type says which branch it is. And where all values of a
map are doubles, every record of the same names has the same bytes between them, so that one
unpacking reads them all. The bytes are Avro's (1.12 specification, "Binary Encoding"), and any
Avro library reads and writes them; records of any other type are left to fastavro.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from struct import Struct
from typing import Any, TypeAlias

FEATURES = {"type": "map", "values": ["boolean", "long", "double", "string"]}
PROBABILITIES = {"type": "map", "values": "double"}

_BOOLEAN, _LONG, _DOUBLE, _STRING = (bytes([index << 1]) for index in range(4))
_END = b"\x00"
_DOUBLE_SIZE_BYTES = 8
_LONG_BITS = 64
_double = Struct("<d")
_pack_double = _double.pack
_MOST_KEYS = 10_000
_MOST_LONGS = 4_096  # times and versions come again within a batch
_MOST_SHAPES = 1_000


def writer(declared: Any) -> Callable[[Any], bytes] | None:
    """Return the function that writes values of an Avro type; None where it is not a plain one."""
    if isinstance(declared, list):
        name = _UNIONS.get(tuple(map(str, declared)), "")
    else:
        name = "features" if declared == FEATURES else str(declared)
        name = "probabilities" if declared == PROBABILITIES else name
    return _WRITERS.get(name)


def write_features(features: Mapping[str, bool | int | float | str]) -> bytes:
    """Return the Avro binary of a map of features.

    Raises
    ------
    TypeError, OverflowError
        A value is not a boolean, a whole number of 64 bits, a float or text.

    Examples
    --------
    >>> write_features({"x": 0.0, "on": True}).hex()
    '040278040000000000000000046f6e000100'
    """
    if not features:
        return _END
    if {*map(type, features.values())} == {float}:
        return _shape(tuple(features), _DOUBLE).write(features.values())
    parts = [_long(len(features))]
    for name, value in features.items():
        parts.append(_key(name))
        if type(value) is float:
            parts.append(_DOUBLE + _pack_double(value))
        else:
            parts.append(_value(value, 0))
    parts.append(_END)
    return b"".join(parts)


def write_probabilities(probabilities: Mapping[str, float]) -> bytes:
    """Return the Avro binary of a map of doubles."""
    if not probabilities:
        return _END
    return _shape(tuple(probabilities), b"").write(probabilities.values())


@lru_cache(_MOST_KEYS)
def _key(name: str) -> bytes:
    """Return a map's key as bytes: the same few come with every record."""
    return _text(name)


def _text(value: str) -> bytes:
    encoded = str.encode(value)
    size = len(encoded)
    return (_SMALL[size] if size < len(_SMALL) else _long(size)) + encoded


def _value(value: Any, first_branch: int) -> bytes:
    """Return a value with its branch of a union that begins with boolean, long, double, string."""
    kind = type(value)
    if kind is bool:
        branch, written = 0, b"\x01" if value else b"\x00"
    elif isinstance(value, int):
        branch, written = 1, _long(value)
    elif isinstance(value, float):
        branch, written = 2, _pack_double(value)
    elif isinstance(value, str):
        branch, written = 3, _text(value)
    else:
        raise TypeError(f"a value requires a number, a boolean or text; got {value!r}")
    return bytes(((branch + first_branch) << 1,)) + written


@lru_cache(_MOST_LONGS, typed=True)
def _long(value: int) -> bytes:
    """Return a whole number in zig-zag and variable length: seven bits a byte, lowest first."""
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"an Avro long requires 64 bits; got {value}")
    rest = (value << 1) ^ (value >> 63)
    if rest < 0x80:
        return bytes((rest,))
    encoded = bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


_SMALL = [_long(size) for size in range(64)]
_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "boolean": lambda value: b"\x01" if value else b"\x00",
    "long": _long,
    "double": _pack_double,
    "string": _text,
    "null or string": lambda value: b"\x00" if value is None else b"\x02" + _text(value),
    "null or value": lambda value: b"\x00" if value is None else _value(value, 1),
    "value": lambda value: _value(value, 0),
    "features": write_features,
    "probabilities": write_probabilities,
}
_UNIONS = {
    ("null", "string"): "null or string",
    ("boolean", "long", "double", "string"): "value",
    ("null", "boolean", "long", "double", "string"): "null or value",
}


class _Shape:
    """A map of certain names whose values are all doubles: the same bytes around them every time.

    Parameters
    ----------
    names
        In order; at least one.
    kind
        The byte before each value: `_DOUBLE` in a union, nothing elsewhere.
    """

    def __init__(self, names: tuple[str, ...], kind: bytes) -> None:
        around = [_text(name) + kind for name in names]
        around[0] = _long(len(names)) + around[0]
        around.append(_END)
        self.names = names
        self._around = tuple(around)
        self._layout = Struct("<" + "d".join(f"{len(each)}s" for each in around))
        self._blank = [part for each in around for part in (each, 0.0)][:-1]

    def write(self, values: Iterable[Any]) -> bytes:
        parts = self._blank.copy()
        parts[1::2] = values
        return self._layout.pack(*parts)

    def read(self, data: bytes, start: int) -> tuple[dict[str, Any], int] | None:
        """Return the map that begins at `data[start]` and where it ends; None for another shape."""
        end = start + self._layout.size
        if end > len(data):
            return None
        parts = self._layout.unpack_from(data, start)
        if parts[::2] != self._around:
            return None
        return dict(zip(self.names, parts[1::2], strict=True)), end


@lru_cache(_MOST_SHAPES)
def _shape(names: tuple[str, ...], kind: bytes) -> _Shape:
    return _Shape(names, kind)


class MapReader:
    """Reads maps, faster where they are of the shape of the one before.

    Parameters
    ----------
    is_union
        Whether values are features, each with its type before it; otherwise doubles.

    Examples
    --------
    >>> MapReader(is_union=True).read(write_features({"x": 0.5, "on": True}), 0)
    ({'x': 0.5, 'on': True}, 18)
    """

    def __init__(self, is_union: bool) -> None:
        self._is_union = is_union
        self._shape: _Shape | None = None

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
            self._shape = _shape(tuple(found), _DOUBLE if self._is_union else b"")
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
        kind = _DOUBLE
        if self._is_union:
            kind, at = data[at : at + 1], at + 1
        if kind == _DOUBLE:
            return _read_double(data, at)
        if kind == _LONG:
            return _read_long(data, at)
        if kind == _BOOLEAN:
            return _read_boolean(data, at)
        if kind == _STRING:
            return _read_text(data, at)
        raise ValueError(f"a feature requires a known type; got branch {kind!r}")


_ValueReader: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
Reader: TypeAlias = Callable[[bytes, int, dict[str, Any]], int]
"""Reads one or more fields at an offset into a record, and returns where they end."""


def reader(fields: Iterable[Mapping[str, Any]]) -> Reader | None:
    """Return the function that reads a record's fields; None where one is not of a plain type.

    It raises whatever broken bytes lead it to.

    Examples
    --------
    >>> read = reader([{"name": "id", "type": "string"}, {"name": "x", "type": ["null", "double"]}])
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
