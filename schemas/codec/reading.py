"""Reading values of any type from bytes that may come from anybody.

Lengths and counts are held against the bytes that are left, and a `Meter` bounds what a record may
unfold to. Broken bytes may raise any exception: `avro` turns it into a `RecordError`.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, TypeAlias

from millrace.schemas.codec.binary import FLOAT, read_block, read_bytes, read_int, read_long
from millrace.schemas.codec.types import MAX_DEPTH, Enum

Read: TypeAlias = Callable[[bytes, int, "Meter"], tuple[object, int]]
"""Returns the value that begins at an offset, and its end."""

_PARTS_PER_BYTE = 1
_PARTS_AT_LEAST = 10_000
_DOUBLE = Struct("<d")


class IncompatibleError(Exception):
    """What was written cannot be read with the reader's schema."""


class Meter:
    """What one record may still unfold to.

    It counts parts that bytes alone do not bound: records, arrays and maps, of which many can be
    nested around one byte, and values that take none, such as null.

    Parameters
    ----------
    size_bytes
        Of the record.
    levels
        How deep it may be nested.
    """

    __slots__ = ("left", "levels")

    def __init__(self, size_bytes: int, levels: int) -> None:
        self.levels = levels
        self.left = _PARTS_AT_LEAST + size_bytes * _PARTS_PER_BYTE

    def enter(self, parts: int = 1) -> None:
        """Begin a record, an array or a map."""
        self.levels -= 1
        if self.levels < 0:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        self.spend(parts)

    def spend(self, parts: int) -> None:
        self.left -= parts
        if self.left < 0:
            raise ValueError("more values than a record of this size may have")

    def leave(self) -> None:
        self.levels += 1


def raising(error: IncompatibleError) -> Read:
    """Return what refuses a value that was written with a type that cannot be read."""
    message = str(error)

    def read(_data: bytes, _at: int, _meter: Meter) -> tuple[object, int]:
        raise IncompatibleError(message)

    return read


def converting(read: Read, convert: Callable[[Any], object]) -> Read:
    """Return what reads a value and converts it."""

    def read_converted(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
        value, at = read(data, at, meter)
        return convert(value), at

    return read_converted


def array_reader(read_item: Read, *, is_empty: bool) -> Read:
    """Return what reads an array; its items are empty if all of them take no bytes."""

    def read(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
        found: list[object] = []
        meter.enter()
        count, at = read_block(data, at)
        while count:
            if is_empty:
                meter.spend(count)
            elif count > len(data) - at:
                raise ValueError(
                    f"an array of {count} items, where {len(data) - at} bytes are left"
                )
            for _ in range(count):
                item, at = read_item(data, at, meter)
                found.append(item)
            count, at = read_block(data, at)
        meter.leave()
        return found, at

    return read


def map_reader(read_value: Read) -> Read:
    def read(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
        found: dict[str, object] = {}
        meter.enter()
        count, at = read_block(data, at)
        while count:
            if count > len(data) - at:
                raise ValueError(f"a map of {count} values, where {len(data) - at} bytes are left")
            for _ in range(count):
                name, at = read_bytes(data, at)
                found[name.decode()], at = read_value(data, at, meter)
            count, at = read_block(data, at)
        meter.leave()
        return found, at

    return read


def enum_reader(written: Enum, wanted: Enum, *, keeps: bool = False) -> Read:
    """Return what reads an enum; a symbol that is unknown is its default, or may be kept."""
    symbols = [
        each if each in wanted.symbols else wanted.default or (each if keeps else None)
        for each in written.symbols
    ]

    def read(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
        index, at = read_long(data, at)
        if not 0 <= index < len(symbols):
            raise IndexError("an enum has no such symbol")
        if (symbol := symbols[index]) is None:
            raise IncompatibleError(
                f"enum {wanted.name!r} lacks the symbol {written.symbols[index]!r}"
            )
        return symbol, at

    return read


def fixed_reader(size: int) -> Read:
    def read(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
        if at + size > len(data):
            raise ValueError(f"a fixed of {size} bytes, where {len(data) - at} are left")
        return data[at : at + size], at + size

    return read


def _boolean(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
    return data[at] != 0, at + 1


def _string(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
    text, at = read_bytes(data, at)
    return text.decode(), at


def _long(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
    byte = data[at]
    return ((byte >> 1) ^ -(byte & 1), at + 1) if byte < 0x80 else read_long(data, at)


READING: dict[str, Read] = {
    "null": lambda _data, at, _: (None, at),
    "boolean": _boolean,
    "int": lambda data, at, _: read_int(data, at),
    "long": _long,
    "float": lambda data, at, _: (FLOAT.unpack_from(data, at)[0], at + 4),
    "double": lambda data, at, _: (_DOUBLE.unpack_from(data, at)[0], at + 8),
    "bytes": lambda data, at, _: read_bytes(data, at),
    "string": _string,
}
