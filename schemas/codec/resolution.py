"""Reading what another schema wrote, by the rules of "Schema Resolution" (Avro 1.12).

The writer's and the reader's types become one function, which also reads a type as itself. Bytes
may come from anybody: lengths and counts are held against the bytes that are left, and a `Meter`
bounds what a record may unfold to. Broken bytes may raise any exception: `avro` turns it into a
`RecordError`.

Where the specification leaves a choice, nothing is lost: a whole number read into a union stays
one; a date or timestamp is converted from the writer's unit. Names of records, enums and fixed
need not be equal: the reader knows what it wants to read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any, TypeAlias

from millrace.schemas.codec import decimals
from millrace.schemas.codec.binary import (
    FLOAT,
    nearest_float,
    read_block,
    read_bytes,
    read_int,
    read_long,
)
from millrace.schemas.codec.documents import default_maker
from millrace.schemas.codec.types import (
    MAX_DEPTH,
    Array,
    Decimals,
    Enum,
    Fixed,
    Map,
    Moment,
    Record,
    Type,
    Union,
    kind_of,
)

Read: TypeAlias = Callable[[bytes, int, "Meter"], tuple[object, int]]
"""Returns the value that begins at an offset, and its end."""

_PARTS_PER_BYTE = 1
_PARTS_AT_LEAST = 10_000
_DEFAULTS_PER_PART = 8
_DOUBLE = Struct("<d")
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


def resolved(
    written: Type, wanted: Type, levels: int = MAX_DEPTH
) -> Callable[[bytes, int], tuple[object, int]]:
    r"""Return the function that reads what one type wrote as another.

    Raises
    ------
    IncompatibleError
        No value of the one can be read as the other.

    Examples
    --------
    >>> resolved("int", Union(("null", "double")))(b"\x06", 0)
    (3.0, 1)
    """
    read = _Resolution().read(written, wanted)
    return lambda data, at: read(data, at, Meter(len(data), levels))


class _Resolution:
    """Pairs of records are resolved once: they may be used many times, or refer to themselves."""

    def __init__(self) -> None:
        self._records: dict[tuple[int, int], Read | IncompatibleError | None] = {}
        self._empty: dict[int, bool] = {}

    def read(self, written: Type, wanted: Type) -> Read:  # noqa: PLR0911 - one for each type
        """Return the function that reads `written` as `wanted`."""
        if isinstance(written, Union):
            return self._of_union(written, wanted)
        if isinstance(wanted, Union):
            return self._into_union(written, wanted)
        match written, wanted:
            case Record(), Record():
                return self._of_record(written, wanted)
            case Array(), Array():
                return _array(self.read(written.items, wanted.items), self._is_empty(written.items))
            case Map(), Map():
                return _map(self.read(written.values, wanted.values))
            case Enum(), Enum():
                return _enum(written, wanted)
            case (Decimals(), _) | (_, Decimals()):
                return self._decimals(written, wanted)
            case Fixed(), Fixed() if written.size == wanted.size:
                return _fixed(written.size)
            case Moment(), Moment() if written.base in (wanted.base, "int"):
                return _moment(written, wanted)
        return _primitive(written, wanted)

    def _of_union(self, written: Union, wanted: Type) -> Read:
        branches: list[Read] = []
        problems: list[IncompatibleError] = []
        for each in written.branches:
            try:
                branches.append(self.read(each, each if wanted is written else wanted))
            except IncompatibleError as error:
                problems.append(error)
                branches.append(_raising(error))
        if len(problems) == len(branches):
            raise problems[0]

        def read(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
            branch = data[at] >> 1
            if data[at] & 0x81:  # it is negative, or takes more than one byte
                branch, at = read_long(data, at)
            else:
                at += 1
            if not 0 <= branch < len(branches):
                raise IndexError("a union has no such branch")
            return branches[branch](data, at, meter)

        return read

    def _into_union(self, written: Type, wanted: Union) -> Read:
        """Return the function of the reader's type that is closest to the writer's."""
        nearest: IncompatibleError | None = None
        possible: list[tuple[Type, Read]] = []
        for each in wanted.branches:
            try:
                possible.append((each, self.read(written, each)))
            except IncompatibleError as error:
                if kind_of(each) == kind_of(written):
                    nearest = error
        if not possible and nearest is not None:
            raise nearest
        if not possible:
            raise IncompatibleError(
                f"{_described(written)} cannot be read as"
                f" {' or '.join(map(_described, wanted.branches))}"
            )
        return max(possible, key=lambda one: _closeness(written, one[0]))[1]

    def _of_record(self, written: Record, wanted: Record) -> Read:
        pair = id(written), id(wanted)
        if pair not in self._records:
            self._records[pair] = None
            try:
                self._records[pair] = self._record(written, wanted)
            except IncompatibleError as error:
                self._records[pair] = error
        found = self._records[pair]
        if found is None:  # it refers to itself
            return partial(self._read_again, written, wanted)
        if isinstance(found, IncompatibleError):
            raise found
        return found

    def _read_again(
        self, written: Record, wanted: Record, data: bytes, at: int, meter: Meter
    ) -> tuple[object, int]:
        return self._of_record(written, wanted)(data, at, meter)

    def _record(self, written: Record, wanted: Record) -> Read:
        places = _places(written, wanted)
        reads: list[tuple[str | None, Read]] = []
        for source, declared in written.fields.items():
            place = places.get(source)
            try:
                read_field = self.read(declared, wanted.fields[place] if place else declared)
            except IncompatibleError as error:
                raise IncompatibleError(f"field {source!r}: {error}") from None
            reads.append((place, read_field))
        found = {*places.values()}
        missing = [name for name in wanted.fields if name not in found]
        for name in missing:
            if name not in wanted.defaults:
                raise IncompatibleError(
                    f"the writer's record {written.name!r} lacks the field {name!r}, which has no"
                    " default"
                )
        defaults = [(name, default_maker(wanted, name)) for name in missing]
        blank: dict[str, object] = dict.fromkeys(wanted.fields)
        in_order = [*wanted.fields] == [place for place, _ in reads]
        empty = [each for each in written.fields.values() if self._is_empty(each)]
        parts = 1 + len(empty) + len(defaults) // _DEFAULTS_PER_PART

        def read(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
            meter.enter(parts)
            record = blank.copy()
            for place, read_field in reads:
                value, at = read_field(data, at, meter)
                if place is not None:
                    record[place] = value
            for name, default in defaults:
                record[name] = default()
            meter.leave()
            return record, at

        def read_all(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
            meter.enter(parts)
            record: dict[str | None, object] = {}
            for place, read_field in reads:
                record[place], at = read_field(data, at, meter)
            meter.leave()
            return record, at

        return read_all if in_order else read

    def _is_empty(self, declared: Type) -> bool:
        """Whether all values of a type take no bytes."""
        match declared:
            case Fixed():
                return declared.size == 0
            case Record() if id(declared) not in self._empty:
                self._empty[id(declared)] = False  # what refers to itself takes a byte to end
                self._empty[id(declared)] = all(map(self._is_empty, declared.fields.values()))
        return declared == "null" or self._empty.get(id(declared), False)

    def _decimals(self, written: Type, wanted: Type) -> Read:
        if isinstance(written, Decimals) and isinstance(wanted, Decimals):
            return self._rescaled(written, wanted)
        if kind_of(written) != kind_of(wanted):
            raise _incompatible(written, wanted)
        if isinstance(written, Decimals):
            return self.read(written.base, wanted)
        assert isinstance(wanted, Decimals)
        return _converting(self.read(written, wanted.base), partial(decimals.from_bytes, wanted))

    def _rescaled(self, written: Decimals, wanted: Decimals) -> Read:
        whole, places = written.precision - written.scale, written.scale
        if places > wanted.scale or whole > wanted.precision - wanted.scale:
            raise _incompatible(written, wanted)
        read = _converting(
            self.read(written.base, written.base), partial(decimals.from_bytes, written)
        )
        if places == wanted.scale:
            return read
        return _converting(read, partial(decimals.rescaled, wanted))


def _places(written: Record, wanted: Record) -> dict[str, str]:
    """Return the writer's fields that are read, each with the reader's name for it."""
    places = {name: name for name in wanted.fields if name in written.fields}
    for name, aliases in wanted.aliases.items():
        source = next((each for each in aliases if each in written.fields), None)
        if name not in places and source is not None:
            places.setdefault(source, name)
    return places


def _closeness(written: Type, wanted: Type) -> tuple[bool, bool, bool, bool]:
    kind, other = kind_of(written), kind_of(wanted)
    return (
        kind == other,
        (kind, other) == ("int", "long"),
        type(written) is type(wanted),
        _described(written) == _described(wanted),
    )


def _described(declared: Type) -> str:
    match declared:
        case Record() | Enum() | Fixed():
            return f"{kind_of(declared)} {declared.name.rpartition('.')[2]}"
        case Decimals():
            return f"decimal({declared.precision}, {declared.scale})"
    return kind_of(declared)


def _incompatible(written: Type, wanted: Type) -> IncompatibleError:
    return IncompatibleError(f"{_described(written)} cannot be read as {_described(wanted)}")


def _raising(error: IncompatibleError) -> Read:
    message = str(error)

    def read(_data: bytes, _at: int, _meter: Meter) -> tuple[object, int]:
        raise IncompatibleError(message)

    return read


def _converting(read: Read, convert: Callable[[Any], object]) -> Read:
    def read_converted(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
        value, at = read(data, at, meter)
        return convert(value), at

    return read_converted


def _array(read_item: Read, is_empty: bool) -> Read:
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


def _map(read_value: Read) -> Read:
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


def _enum(written: Enum, wanted: Enum) -> Read:
    symbols = [each if each in wanted.symbols else wanted.default for each in written.symbols]

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


def _fixed(size: int) -> Read:
    def read(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
        if at + size > len(data):
            raise ValueError(f"a fixed of {size} bytes, where {len(data) - at} are left")
        return data[at : at + size], at + size

    return read


def _moment(written: Moment, wanted: Moment) -> Read:
    def convert(units: int) -> int:
        found = units * written.nanoseconds // wanted.nanoseconds
        if not -(2**63) <= found < 2**63:
            raise ValueError("a time takes more than 64 bits")
        return found

    read = _READING[written.base]
    return read if written.nanoseconds == wanted.nanoseconds else _converting(read, convert)


def _primitive(written: Type, wanted: Type) -> Read:
    kinds = kind, other = kind_of(written), kind_of(wanted)
    if kind in _READING and kind == other:
        return _READING[kind]
    if kinds in _PROMOTIONS:
        return _converting(_READING[kind], _PROMOTIONS[kinds])
    raise _incompatible(written, wanted)


def _boolean(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
    return data[at] != 0, at + 1


def _string(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
    text, at = read_bytes(data, at)
    return text.decode(), at


def _long(data: bytes, at: int, _meter: Meter) -> tuple[object, int]:
    byte = data[at]
    return ((byte >> 1) ^ -(byte & 1), at + 1) if byte < 0x80 else read_long(data, at)


_READING: dict[str, Read] = {
    "null": lambda _data, at, _: (None, at),
    "boolean": _boolean,
    "int": lambda data, at, _: read_int(data, at),
    "long": _long,
    "float": lambda data, at, _: (FLOAT.unpack_from(data, at)[0], at + 4),
    "double": lambda data, at, _: (_DOUBLE.unpack_from(data, at)[0], at + 8),
    "bytes": lambda data, at, _: read_bytes(data, at),
    "string": _string,
}
