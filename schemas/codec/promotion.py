"""Primitive types that are read as others: promoted by the rules of Avro, and back again."""

from __future__ import annotations

from collections.abc import Callable

from millrace.schemas.codec.binary import nearest_float
from millrace.schemas.codec.matching import incompatible
from millrace.schemas.codec.reading import READING, Read, converting
from millrace.schemas.codec.types import Moment, Type, kind_of

_WHOLE = frozenset({"int", "long"})
_PROMOTIONS: dict[tuple[str, str], Callable[..., object]] = {
    ("int", "long"): int,
    ("int", "float"): nearest_float,
    ("int", "double"): float,
    ("long", "float"): nearest_float,
    ("long", "double"): float,
    ("float", "double"): float,
    ("string", "bytes"): str.encode,
    ("bytes", "string"): bytes.decode,
}


def moment(written: Moment, wanted: Moment) -> Read:
    """Return the function that reads a date or a time in the reader's unit."""

    def convert(units: int) -> int:
        found = units * written.nanoseconds // wanted.nanoseconds
        if not -(2**63) <= found < 2**63:
            raise ValueError("a time takes more than 64 bits")
        return found

    read = READING[written.base]
    return read if written.nanoseconds == wanted.nanoseconds else converting(read, convert)


def _whole(number: float) -> float:
    """Return a number as a whole one, where that is the same, and a long holds it."""
    return int(number) if number.is_integer() and abs(number) < 2**63 else number


def _text(data: bytes) -> str | bytes:
    """Return bytes as text, if they are UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


_BACK = _PROMOTIONS | {
    ("long", "int"): int,
    ("double", "float"): float,
    **{(real, whole): _whole for real in ("float", "double") for whole in _WHOLE},
    ("bytes", "string"): _text,
}


def primitive(written: Type, wanted: Type, *, back: bool) -> Read:
    """Return the function that reads a primitive type, or what it is promoted to.

    Raises
    ------
    IncompatibleError
        There is none.
    """
    promotions = _BACK if back else _PROMOTIONS
    kinds = kind, other = kind_of(written), kind_of(wanted)
    if kind in READING and kind == other:
        return READING[kind]
    if kinds in promotions:
        return converting(READING[kind], promotions[kinds])
    raise incompatible(written, wanted)
