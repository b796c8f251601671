"""Made-up values of any Avro type, as JSON has them."""

from __future__ import annotations

from typing import Any

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

TIME_MS = 1_740_960_000_000
"""When all that is made up happens: 3 March 2025."""

_NANOSECONDS_PER_MS = 10**6
_MOST_INT = 2**31 - 1
_PLAIN = {
    "null": None,
    "boolean": True,
    "int": 3,
    "long": 3,
    "float": 12.5,
    "double": 12.5,
    "string": "text",
    "bytes": "bytes",
}


class _EndlessError(Exception):
    """A record would hold one of its own type, and that another, without end."""


def made_up(declared: Type) -> Any:
    """Return a value of a type that is a record, or holds none of its own type without end.

    Examples
    --------
    >>> made_up(Record("R", {"id": "string", "size": Union(("null", "double"))}))
    {'id': 'text', 'size': 12.5}
    """
    return _made_up(declared, ())


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path, where objects are made if they are not there.

    Examples
    --------
    >>> document = {"size": 1}
    >>> put(document, "order.id", 7)
    >>> document
    {'size': 1, 'order': {'id': 7}}
    """
    *outer, last = path.split(".")
    for name in outer:
        document = document.setdefault(name, {})
    document[last] = value


def _made_up(declared: Type, inside: tuple[int, ...]) -> Any:  # noqa: PLR0911 - one for each type
    match declared:
        case Record():
            return _record(declared, inside)
        case Union():
            return _union(declared, inside)
        case Array():
            try:
                return [_made_up(declared.items, inside)]
            except _EndlessError:
                return []
        case Map():
            try:
                return {"name": _made_up(declared.values, inside)}
            except _EndlessError:
                return {}
        case Enum():
            return declared.symbols[0]
        case Fixed():
            return "x" * declared.size
        case Decimals():
            return f"{10**-declared.scale:.{declared.scale}f}" if declared.scale else "1"
        case Moment():
            units = TIME_MS * _NANOSECONDS_PER_MS // declared.nanoseconds
            return units if declared.base == "long" else min(units, _MOST_INT)
    return _PLAIN[kind_of(declared)]


def _record(declared: Record, inside: tuple[int, ...]) -> dict[str, Any]:
    if id(declared) in inside:
        raise _EndlessError
    made: dict[str, Any] = {}
    for name, each in declared.fields.items():
        try:
            made[name] = _made_up(each, (*inside, id(declared)))
        except _EndlessError:
            if name not in declared.defaults:  # which ends it
                raise
    return made


def _union(declared: Union, inside: tuple[int, ...]) -> Any:
    """Return a value of the first type that has one, null last."""
    for each in sorted(declared.branches, key=lambda branch: branch == "null"):
        try:
            return _made_up(each, inside)
        except _EndlessError:
            continue
    raise _EndlessError
