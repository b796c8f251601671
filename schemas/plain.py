"""Avro's plain types and maps of them, without asking the schema about each value.

Features and probabilities are most of what Millrace writes. fastavro tries every branch of a
union on every value; here the value's own type says which branch it is. And where all values of a
map are doubles, every record of the same names has the same bytes between them, so that one
unpacking reads them all. The bytes are Avro's (1.12 specification, "Binary Encoding"), and any
Avro library reads and writes them; records of any other type are left to fastavro.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, NamedTuple

FEATURES = {"type": "map", "values": ["boolean", "long", "double", "string"]}
PROBABILITIES = {"type": "map", "values": "double"}

_BOOLEAN, _LONG, _DOUBLE, _STRING = (bytes([index << 1]) for index in range(4))
_END = b"\x00"
_DOUBLE_SIZE_BYTES = 8
_double = Struct("<d")
_pack_double = _double.pack
_keys: dict[str, bytes] = {}
_MOST_KEYS = 10_000
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
    parts = [_long(len(features))]
    for name, value in features.items():
        parts.append(_keys.get(name) or _key(name))
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
    parts = [_long(len(probabilities))]
    for name, value in probabilities.items():
        parts.append(_keys.get(name) or _key(name))
        parts.append(_pack_double(value))
    parts.append(_END)
    return b"".join(parts)


def _key(name: str) -> bytes:
    """Return a map's key as bytes, and remember it: the same few come with every record."""
    if len(_keys) >= _MOST_KEYS:
        _keys.clear()
    _keys[name] = key = _text(name)
    return key


def _text(value: str) -> bytes:
    encoded = str.encode(value)
    return _long(len(encoded)) + encoded


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


def _long(value: int) -> bytes:
    """Return a whole number in zig-zag and variable length: seven bits a byte, lowest first."""
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"an Avro long requires 64 bits; got {value}")
    rest = (value << 1) ^ (value >> 63)
    if rest < 0x80:
        return bytes((rest,))
    if 1 << 35 <= rest < 1 << 42:  # milliseconds since 1970 are of this size
        return bytes(
            (
                *(rest & 0x7F | 0x80, rest >> 7 & 0x7F | 0x80, rest >> 14 & 0x7F | 0x80),
                *(rest >> 21 & 0x7F | 0x80, rest >> 28 & 0x7F | 0x80, rest >> 35),
            )
        )
    encoded = bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


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


class _Shape(NamedTuple):
    """The bytes around the values of a map of certain names, all doubles."""

    names: tuple[str, ...]
    layout: Struct
    around: tuple[bytes, ...]


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
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def read(self, data: bytes, start: int) -> tuple[dict[str, Any], int]:
        """Return the map that begins at `data[start]`, and where it ends.

        Raises
        ------
        Exception
            Of whatever kind the broken bytes lead to.
        """
        shape = self._shape
        if shape is not None and len(data) - start >= shape.layout.size:
            unpacked = shape.layout.unpack_from(data, start)
            if unpacked[::2] == shape.around:
                values = zip(shape.names, unpacked[1::2], strict=True)
                return dict(values), start + shape.layout.size
        found, end = self._read_each(data, start)
        if found and all(type(value) is float for value in found.values()):
            self._learn(tuple(found))
        return found, end

    def _learn(self, names: tuple[str, ...]) -> None:
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        self._shape = self._shapes.get(names)
        if self._shape is None:
            self._shape = self._shapes[names] = self._shape_of(names)

    def _shape_of(self, names: tuple[str, ...]) -> _Shape:
        kind = _DOUBLE if self._is_union else b""
        around = [_text(name) + kind for name in names]
        around[0] = _long(len(names)) + around[0]
        around.append(_END)
        layout = "d".join(f"{len(each)}s" for each in around)
        return _Shape(names, Struct(f"<{layout}"), tuple(around))

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
            return _double.unpack_from(data, at)[0], at + _DOUBLE_SIZE_BYTES
        if kind == _LONG:
            return _read_long(data, at)
        if kind == _BOOLEAN:
            return bool(data[at]), at + 1
        if kind == _STRING:
            return _read_text(data, at)
        raise ValueError(f"a feature requires a known type; got branch {kind!r}")


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    rest = shift = 0
    while True:
        byte = data[at]
        at += 1
        rest |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (rest >> 1) ^ -(rest & 1), at
        shift += 7


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = _read_long(data, at)
    if not 0 <= size <= len(data) - at:
        raise ValueError(f"text requires {size} bytes; got {len(data) - at}")
    return data[at : at + size].decode(), at + size
