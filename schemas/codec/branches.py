"""Which type of a union a value has: the one that holds it without loss.

A whole number stays one, beside a double too; among numbers with a fraction the widest type is
chosen; text is text before it is anything else. Among records it is the one whose fields fit best,
by a look at the fields alone: trying each in full would take for ever where unions nest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from millrace.schemas.codec import decimals
from millrace.schemas.codec.parsing import MAX_PRECISION
from millrace.schemas.codec.types import Decimals, Enum, Fixed, Record, Type, Union, kind_of

_INTS = range(-(2**31), 2**31)
_LONGS = range(-(2**63), 2**63)
_NUMERAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EXACT_DIGITS = 15  # that a double keeps of any decimal number
_MAX_DIGITS = 2 * MAX_PRECISION
_MAX_BITS = 4 * _MAX_DIGITS

_PREFERRED: dict[type, tuple[tuple[str, ...], ...]] = {
    bool: (("boolean",),),
    int: (("int", "long"), ("decimal",), ("double",), ("float",)),
    float: (("double",), ("float",), ("decimal",)),
    str: (("string", "enum"), ("decimal",), ("bytes", "fixed")),
    bytes: (("bytes", "fixed"),),
    Decimal: (("decimal",),),
    list: (("array",),),
    dict: (("record", "map"),),
}


def branch_of(declared: Union, value: object) -> int | None:
    """Return the index of the type of a value; None where the union has none for it.

    Examples
    --------
    >>> union = Union(("null", "double", "long"))
    >>> branch_of(union, 2**53 + 1), branch_of(union, 0.5), branch_of(union, "1")
    (2, 1, None)
    """
    branches = declared.branches
    if value is None:
        return branches.index("null") if "null" in branches else None
    kinds = next((kinds for each, kinds in _PREFERRED.items() if isinstance(value, each)), ())
    for alike in kinds:
        fitting = [
            index
            for index, each in enumerate(branches)
            if _logical_kind(each) in alike and could_be(each, value)
        ]
        if len(fitting) > 1 and isinstance(value, dict):
            return max(fitting, key=lambda index: _likeness(branches[index], value))
        if fitting:
            return fitting[0]
    return None


def could_be(declared: Type, value: object) -> bool:
    """Whether a value may have a type, as far as can be told without looking into it."""
    match declared:
        case Union():
            return any(could_be(each, value) for each in declared.branches)
        case Decimals():
            return as_decimal(declared, value) is not None
        case Enum():
            return isinstance(value, str) and value in declared.symbols
        case Fixed():
            return isinstance(value, (bytes, str)) and len(value) == declared.size
        case Record():
            return isinstance(value, dict) and all(
                name in declared.defaults or declared.name_in(value, name) is not None
                for name in declared.fields
            )
    return _BY_KIND[kind_of(declared)](value)


_BY_KIND: dict[str, Callable[[object], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "int": lambda value: _is_whole(value) and value in _INTS,
    "long": lambda value: _is_whole(value) and value in _LONGS,
    "float": lambda value: isinstance(value, float) or _is_whole(value),
    "double": lambda value: isinstance(value, float) or _is_whole(value),
    "bytes": lambda value: isinstance(value, (bytes, str)),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "map": lambda value: isinstance(value, dict),
}


def as_decimal(declared: Decimals, value: object) -> Decimal | None:
    """Return a number, the text of one, or the text of its bytes; None where it does not fit.

    A float is taken by the digits that are written for it, if a double keeps so many. Text is that
    of bytes (Avro's JSON encoding) only if it holds a control character: "-" is not 0.45.

    Examples
    --------
    >>> price = Decimals("bytes", 6, 2)
    >>> as_decimal(price, "12.50"), as_decimal(price, 12.5), as_decimal(price, "12.505")
    (Decimal('12.50'), Decimal('12.50'), None)
    >>> as_decimal(price, "\u0004\u00d2")
    Decimal('12.34')
    """
    try:
        if isinstance(value, str) and _CONTROL.search(value):
            return decimals.from_text(declared, value)
        number = _number(value)
        return None if number is None else decimals.rescaled(declared, number)
    except (ValueError, OverflowError):
        return None


def _number(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, int):
        return Decimal(value) if value.bit_length() <= _MAX_BITS else None
    text = value if isinstance(value, str) else repr(value)
    digits = text.lower().partition("e")[0].strip("+-0.").replace(".", "")
    most = _MAX_DIGITS if isinstance(value, str) else _EXACT_DIGITS
    return Decimal(text) if len(digits) <= most and _NUMERAL.fullmatch(text) else None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _logical_kind(declared: Type) -> str:
    return "decimal" if isinstance(declared, Decimals) else kind_of(declared)


def _likeness(declared: Type, value: dict[str, object]) -> tuple[int, int]:
    """How well a record's fields fit a value; a map fits any, a little."""
    if not isinstance(declared, Record):
        return (0, 0)
    known = declared.fields.keys() & value.keys()
    fitting = sum(1 for name in known if could_be(declared.fields[name], value[name]))
    return (fitting - (len(known) - fitting), -len(declared.fields.keys() - value.keys()))
