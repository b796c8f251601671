"""Avro's plain types and maps of them, without asking the schema about each value.

Features and probabilities are most of what Millrace writes. fastavro tries every branch of a
union on every value; here the value's own type says which branch it is. And where all values of a
map are doubles, every record of the same names has the same bytes between them, so that one
unpacking reads them all. The bytes are Avro's (1.12 specification, "Binary Encoding"), and any
Avro library reads and writes them; records of any other type are left to fastavro.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

FEATURES = {"type": "map", "values": ["boolean", "long", "double", "string"]}
PROBABILITIES = {"type": "map", "values": "double"}

_BRANCHES = [bytes([index << 1]) for index in range(5)]
BOOLEAN, LONG, DOUBLE, STRING = _BRANCHES[:4]
_AFTER_NULL = _BRANCHES[1:]
_END = b"\x00"
_pack_double = Struct("<d").pack
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


def record_writer(fields: Iterable[Mapping[str, Any]]) -> Callable[[bytes, Any], bytes] | None:
    """Return the function that writes a header and a record; None where a field is not plain.

    It is compiled as one expression: to go over the fields costs a fifth of writing them.

    Examples
    --------
    >>> write = record_writer([{"name": "id", "type": "string"}, {"name": "n", "type": "long"}])
    >>> write(b"", {"id": "a", "n": 1}).hex()
    '026102'
    """
    names = [each["name"] for each in fields]
    writers = [writer(each["type"]) for each in fields]
    if None in writers:
        return None
    parts = "".join(f", write_{i}(record[{name!r}])" for i, name in enumerate(names))
    scope = {f"write_{i}": write for i, write in enumerate(writers)}
    source = f"lambda header, record: join((header{parts}))"
    made: Callable[[bytes, Any], bytes]
    made = eval(source, {**scope, "join": b"".join})  # noqa: S307 - repr quotes the names
    return made


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
        return shape_of(tuple(features), DOUBLE).write(features.values())
    parts = [_long(len(features))]
    for name, value in features.items():
        parts.append(_key(name))
        if type(value) is float:
            parts.append(DOUBLE + _pack_double(value))
        else:
            parts.append(_value(value, _BRANCHES))
    parts.append(_END)
    return b"".join(parts)


def write_probabilities(probabilities: Mapping[str, float]) -> bytes:
    """Return the Avro binary of a map of doubles."""
    if not probabilities:
        return _END
    return shape_of(tuple(probabilities), b"").write(probabilities.values())


@lru_cache(_MOST_KEYS)
def _key(name: str) -> bytes:
    """Return a map's key as bytes: the same few come with every record."""
    return _text(name)


def _text(value: str) -> bytes:
    encoded = str.encode(value)
    size = len(encoded)
    return (_SMALL[size] if size < len(_SMALL) else _long(size)) + encoded


def _value(value: Any, branches: Sequence[bytes]) -> bytes:
    """Return a value with its branch: `branches` are those of boolean, long, double and string."""
    kind = type(value)
    if kind is bool:
        return branches[0] + (b"\x01" if value else b"\x00")
    if isinstance(value, int):
        return branches[1] + _long(value)
    if isinstance(value, float):
        return branches[2] + _pack_double(value)
    if isinstance(value, str):
        return branches[3] + _text(value)
    raise TypeError(f"a value requires a number, a boolean or text; got {value!r}")


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
    "null or value": lambda value: b"\x00" if value is None else _value(value, _AFTER_NULL),
    "value": lambda value: _value(value, _BRANCHES),
    "features": write_features,
    "probabilities": write_probabilities,
}
_UNIONS = {
    ("null", "string"): "null or string",
    ("boolean", "long", "double", "string"): "value",
    ("null", "boolean", "long", "double", "string"): "null or value",
}


class Shape:
    """A map of certain names whose values are all doubles: the same bytes around them every time.

    Parameters
    ----------
    names
        In order; at least one.
    kind
        The byte before each value: `DOUBLE` in a union, nothing elsewhere.
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
def shape_of(names: tuple[str, ...], kind: bytes) -> Shape:
    return Shape(names, kind)
