"""Numbers and text in Avro's binary encoding (1.12 specification, "Binary Encoding").

A whole number is in zig-zag form, seven bits a byte, the lowest first; text is its size in bytes
and UTF-8. Broken bytes may raise any exception here: `avro` turns it into a `RecordError`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from struct import Struct

_SHIFTS = tuple(range(0, 64, 7))
_MAX_CACHED = 4_096  # times and versions repeat within a batch

FLOAT = Struct("<f")
_INTS = range(-(2**31), 2**31)

write_double = Struct("<d").pack


def write_boolean(value: object) -> bytes:
    return b"\x01" if value else b"\x00"


@lru_cache(_MAX_CACHED, typed=True)
def write_long(value: int) -> bytes:
    """Return a whole number as bytes.

    Raises
    ------
    OverflowError
        The number takes more than 64 bits.
    """
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"{value} does not fit into the 64 bits of an Avro long")
    rest = (value << 1) ^ (value >> 63)
    if rest < 0x80:
        return bytes((rest,))
    if rest < 0x4000:
        return bytes((rest & 0x7F | 0x80, rest >> 7))
    if rest < 0x200000:
        return bytes((rest & 0x7F | 0x80, rest >> 7 & 0x7F | 0x80, rest >> 14))
    encoded = bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def write_int(value: int) -> bytes:
    """Return a whole number of 32 bits as bytes.

    Raises
    ------
    OverflowError
        The number takes more.
    """
    if value not in _INTS:
        raise OverflowError(f"{value} does not fit into the 32 bits of an Avro int")
    return write_long(value)


def nearest_float(value: float) -> float:
    """Return the nearest number of 32 bits; beyond them it is infinite.

    Examples
    --------
    >>> nearest_float(0.1), nearest_float(-1e300)
    (0.10000000149011612, -inf)
    """
    try:
        nearest: float = FLOAT.unpack(FLOAT.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return nearest


def write_float(value: float) -> bytes:
    return FLOAT.pack(nearest_float(value))


def write_bytes(value: bytes) -> bytes:
    return write_long(len(value)) + bytes(value)


_SMALL = [write_long(size) for size in range(64)]


def write_text(value: str) -> bytes:
    encoded = str.encode(value)
    size = len(encoded)
    return (_SMALL[size] if size < len(_SMALL) else write_long(size)) + encoded


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `data[at]`, and where it ends."""
    rest = 0
    for shift in _SHIFTS:
        byte = data[at]
        at += 1
        if byte < 0x80:
            rest += byte << shift
            if rest < 2**64:
                return rest >> 1 ^ -(rest & 1), at
        rest += (byte - 0x80) << shift
    raise ValueError("a whole number takes more than 64 bits")


def read_int(data: bytes, at: int) -> tuple[int, int]:
    """Return the number of 32 bits that begins at `data[at]`, and where it ends."""
    value, at = read_long(data, at)
    if value not in _INTS:
        raise ValueError("a whole number takes more than the 32 bits of an int")
    return value, at


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the bytes whose size begins at `data[at]`, and where they end."""
    size = data[at]
    if size & 0x81:  # negative, or of more than one byte
        size, at = read_long(data, at)
    else:
        size >>= 1
        at += 1
    if not 0 <= size <= len(data) - at:
        raise ValueError(f"a length of {size} bytes, where {len(data) - at} are left")
    return data[at : at + size], at + size


def read_block(data: bytes, at: int) -> tuple[int, int]:
    """Return how many items the next block of an array or a map has, and where they begin."""
    count, at = read_long(data, at)
    if count < 0:  # such a block says its size, for readers that skip it
        size, at = read_long(data, at)
        if size < 0:
            raise ValueError(f"a block of {size} bytes")
    return abs(count), at


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """Return the text whose size begins at `data[at]`, and where it ends."""
    size = data[at]
    if size & 0x81:  # negative, or of more than one byte
        size, at = read_long(data, at)
        if size < 0:
            raise ValueError(f"a text of {size} bytes")
    else:
        size >>= 1
        at += 1
    return data[at : at + size].decode(), at + size
