"""Writing any type: a schema becomes a function of functions that writes its records.

`writer` compiles records of plain types into something faster; the bytes are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from millrace.schemas.codec import decimals
from millrace.schemas.codec.binary import (
    write_boolean,
    write_bytes,
    write_double,
    write_float,
    write_int,
    write_long,
    write_text,
)
from millrace.schemas.codec.branches import as_decimal, branch_of
from millrace.schemas.codec.documents import default_maker
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
    kind_of,
)

Write: TypeAlias = Callable[[Any], bytes]
"""Returns the Avro binary of a value."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_END = b"\x00"
_PRIMITIVES: dict[str, Write] = {
    "null": lambda _: b"",
    "boolean": write_boolean,
    "int": write_int,
    "long": write_long,
    "float": write_float,
    "double": write_double,
    "bytes": write_bytes,
    "string": write_text,
}


def encoder(declared: Type) -> Write:
    """Return the function that writes values of a type.

    It raises a TypeError, a ValueError or an OverflowError for what is not of that type.

    Examples
    --------
    >>> encoder(Array(Union(("null", "float"))))([None, 0.5]).hex()
    '0400020000003f00'
    """
    return _Encoders().writing(declared)


class _Encoders:
    """Records are made once: they may be used many times, or refer to themselves."""

    def __init__(self) -> None:
        self._records: dict[int, Write] = {}

    def writing(self, declared: Type) -> Write:  # noqa: PLR0911 - one for each type
        match declared:
            case Record():
                return self._record(declared)
            case Union():
                return _union(declared, [*map(self.writing, declared.branches)])
            case Array():
                return _array(self.writing(declared.items))
            case Map():
                return _map(self.writing(declared.values))
            case Enum():
                return _enum(declared)
            case Decimals():
                return _decimal(declared, self.writing(declared.base))
            case Fixed():
                return _fixed(declared)
            case Moment():
                return _moment(declared, _PRIMITIVES[declared.base])
        return _PRIMITIVES[kind_of(declared)]

    def _record(self, declared: Record) -> Write:
        if id(declared) in self._records:
            return partial(self._write_record, declared)
        self._records[id(declared)] = bytes
        fields = [(name, self.writing(each)) for name, each in declared.fields.items()]

        def write(record: Any) -> bytes:
            return b"".join(
                [
                    write_field(record[name] if name in record else _default(declared, name))
                    for name, write_field in fields
                ]
            )

        self._records[id(declared)] = write
        return write

    def _write_record(self, declared: Record, record: Any) -> bytes:
        return self._records[id(declared)](record)


def _default(declared: Record, name: str) -> object:
    if name not in declared.defaults:
        raise ValueError(
            f"record {declared.name!r} lacks the field {name!r}: no default for {name}"
        )
    return default_maker(declared, name)()


def _union(declared: Union, branches: list[Write]) -> Write:
    numbers = [write_long(index) for index in range(len(branches))]
    if len(branches) == 2 and "null" in declared.branches:
        null = declared.branches.index("null")
        other, write_other = numbers[1 - null], branches[1 - null]
        return lambda value: numbers[null] if value is None else other + write_other(value)

    def write(value: Any) -> bytes:
        branch = branch_of(declared, value)
        if branch is None:
            kinds = " or ".join(map(kind_of, declared.branches))
            raise TypeError(f"a value must be {kinds}; got {type(value).__name__}")
        return numbers[branch] + branches[branch](value)

    return write


def _array(write_item: Write) -> Write:
    def write(items: Any) -> bytes:
        if not items:
            return _END
        return b"".join([write_long(len(items)), *map(write_item, items), _END])

    return write


def _map(write_value: Write) -> Write:
    def write(values: Any) -> bytes:
        if not values:
            return _END
        parts = [write_text(name) + write_value(value) for name, value in values.items()]
        return b"".join([write_long(len(values)), *parts, _END])

    return write


def _enum(declared: Enum) -> Write:
    numbers = {symbol: write_long(index) for index, symbol in enumerate(declared.symbols)}

    def write(symbol: Any) -> bytes:
        if symbol not in numbers:
            raise ValueError(f"enum {declared.name!r} has no symbol {symbol!r}")
        return numbers[symbol]

    return write


def _fixed(declared: Fixed) -> Write:
    def write(value: Any) -> bytes:
        if len(value) != declared.size:
            raise ValueError(f"fixed {declared.name!r} must be {declared.size} bytes")
        return bytes(value)

    return write


def _moment(declared: Moment, write_units: Write) -> Write:
    def write(value: Any) -> bytes:
        return write_units(_units(declared, value) if isinstance(value, date) else value)

    return write


def _units(declared: Moment, value: date) -> int:
    """Return a date or a time of Python in units since 1970; one without a zone is in UTC."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
    return since // _MICROSECOND * 1_000 // declared.nanoseconds


def _decimal(declared: Decimals, write_base: Write) -> Write:
    def write(value: Any) -> bytes:
        number = as_decimal(declared, value)
        if number is None:
            raise ValueError(
                f"a decimal must have at most {declared.precision} digits, {declared.scale} of"
                " them behind the point"
            )
        return write_base(decimals.to_bytes(declared, number))

    return write
