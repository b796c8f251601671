"""A schema's fingerprint: what a record in single-object encoding says of its writer.

It is the CRC-64-AVRO of the schema in "Parsing Canonical Form" (Avro 1.12 specification): full
names, and nothing that a reader of the bytes does not need.
"""

from __future__ import annotations

import json

from millrace.schemas.codec.types import (
    Array,
    Decimals,
    Enum,
    Fixed,
    Map,
    Moment,
    Record,
    Type,
    Union,
)

_EMPTY = 0xC15D213AA4D7A795


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_EMPTY & -(value & 1))
    return value


_TABLE = [_entry(byte) for byte in range(256)]


def fingerprint_of(declared: Type) -> bytes:
    """Return the eight bytes of the fingerprint, little-endian.

    Examples
    --------
    >>> fingerprint_of("int").hex()
    '8f5c393f1ad57572'
    """
    text = json.dumps(_canonical(declared, set()), separators=(",", ":"))
    fingerprint = _EMPTY
    for byte in text.encode():
        fingerprint = (fingerprint >> 8) ^ _TABLE[(fingerprint ^ byte) & 0xFF]
    return fingerprint.to_bytes(8, "little")


def _canonical(declared: Type, named: set[str]) -> object:  # noqa: PLR0911 - one for each type
    """Return the JSON of a type; one of the `named`, which came before, is its name."""
    match declared:
        case str():
            return declared
        case Moment() | Decimals():
            return _canonical(declared.base, named)
        case Union():
            return [_canonical(each, named) for each in declared.branches]
        case Array():
            return {"type": "array", "items": _canonical(declared.items, named)}
        case Map():
            return {"type": "map", "values": _canonical(declared.values, named)}
    if declared.name in named:
        return declared.name
    named.add(declared.name)
    match declared:
        case Fixed():
            return {"name": declared.name, "type": "fixed", "size": declared.size}
        case Enum():
            return {"name": declared.name, "type": "enum", "symbols": declared.symbols}
        case Record():
            fields = [
                {"name": name, "type": _canonical(each, named)}
                for name, each in declared.fields.items()
            ]
            return {"name": declared.name, "type": "record", "fields": fields}
