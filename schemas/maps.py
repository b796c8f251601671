"""Avro maps of plain values, written without asking each value's type of the schema.

Features and probabilities are most of what Millrace writes. fastavro tries every branch of a
union on every value; here the value's own type says which branch it is, which makes writing a
feature vector several times faster. The bytes are the same (Avro 1.12 specification, "Complex
Types", Maps and Unions), and fastavro reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

FEATURES = {"type": "map", "values": ["boolean", "long", "double", "string"]}
PROBABILITIES = {"type": "map", "values": "double"}

_BOOLEAN, _LONG, _DOUBLE, _STRING = (bytes([index << 1]) for index in range(4))
_TRUE, _FALSE = _BOOLEAN + b"\x01", _BOOLEAN + b"\x00"
_END = b"\x00"
_pack_double = Struct("<d").pack
_keys: dict[str, bytes] = {}
_MOST_KEYS = 10_000


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
        kind = type(value)
        if kind is float:
            parts.append(_DOUBLE + _pack_double(value))
        elif kind is bool:
            parts.append(_TRUE if value else _FALSE)
        elif isinstance(value, int):
            parts.append(_LONG + _long(value))
        elif isinstance(value, float):  # a subclass, such as NumPy's
            parts.append(_DOUBLE + _pack_double(value))
        elif isinstance(value, str):
            parts.append(_STRING + _text(value))
        else:
            raise TypeError(f"a feature requires a number, a boolean or text; got {value!r}")
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
    encoded = value.encode()
    return _long(len(encoded)) + encoded


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
