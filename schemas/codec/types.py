"""The Avro types, as a tree.

A schema is read into this tree once (`parsing`). A primitive is its name; a type that refers to
a named type holds it, so that a recursive schema is a graph with a cycle. `resolution` and
`encoding` turn the tree into functions for any type, `reader` and `writer` into faster ones for
plain types, and `documents` into what reads JSON.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import TypeAlias

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

MAX_DEPTH = 64
"""Levels of a schema, and of a record: records, arrays and maps count."""


@dataclass(frozen=True)
class Moment:
    """A date or a timestamp: a whole number of units since 1970.

    Parameters
    ----------
    base
        `int` or `long`.
    nanoseconds
        In a unit.
    """

    base: str
    nanoseconds: int


@dataclass(frozen=True)
class Fixed:
    name: str
    size: int
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decimals:
    """Decimal numbers: whole numbers, in bytes, of which `scale` digits are behind the point."""

    base: str | Fixed
    precision: int
    scale: int


@dataclass(frozen=True)
class Enum:
    name: str
    symbols: tuple[str, ...]
    default: str | None = None
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Union:
    branches: tuple[Type, ...]


@dataclass(frozen=True)
class Array:
    items: Type


@dataclass(frozen=True)
class Map:
    values: Type


@dataclass(frozen=True, eq=False)
class Record:
    """Field names to their types, in the order in which they are written.

    Parameters
    ----------
    defaults
        Field name to its default, as JSON, for the fields that have one.
    aliases
        Field name to its other names.
    other_names
        Those of the record itself.
    """

    name: str
    fields: dict[str, Type] = field(default_factory=dict)
    defaults: dict[str, object] = field(default_factory=dict)
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    other_names: tuple[str, ...] = ()

    def name_in(self, document: Container[str], name: str) -> str | None:
        """Return the name that a field has in a document: its own, or an alias; None for none.

        Examples
        --------
        >>> visit = Record("Visit", {"pages": "int"}, aliases={"pages": ("views",)})
        >>> visit.name_in({"views": 3}, "pages")
        'views'
        """
        if name in document:
            return name
        for alias in self.aliases.get(name, ()):
            if alias in document and alias not in self.fields:
                return alias
        return None


Type: TypeAlias = str | Moment | Fixed | Decimals | Enum | Union | Array | Map | Record

FEATURE = Union(("boolean", "long", "double", "string"))
"""The value of a feature or a label."""

OPTIONAL_LABEL = Union(("null", *FEATURE.branches))

_KINDS: dict[type, str] = {
    Fixed: "fixed",
    Enum: "enum",
    Union: "union",
    Array: "array",
    Map: "map",
    Record: "record",
}


def kind_of(declared: Type) -> str:
    """Return the name of a type in Avro, its logical type left out.

    Examples
    --------
    >>> kind_of(Moment("long", 1_000_000)), kind_of(Fixed("F", 4)), kind_of("int")
    ('long', 'fixed', 'int')
    """
    if isinstance(declared, str):
        return declared
    if isinstance(declared, (Moment, Decimals)):
        return kind_of(declared.base)
    return _KINDS[type(declared)]


def branches_of(declared: Type) -> tuple[Type, ...]:
    """Return the types of a union, or the one type that it is."""
    return declared.branches if isinstance(declared, Union) else (declared,)


def is_recursive(record: Record) -> bool:
    """Whether a record can hold others of its own type."""
    seen: set[int] = set()
    waiting: list[Type] = [*record.fields.values()]
    while waiting:
        found = waiting.pop()
        if found is record:
            return True
        if id(found) in seen:
            continue
        seen.add(id(found))
        match found:
            case Record():
                waiting += found.fields.values()
            case Union():
                waiting += found.branches
            case Array():
                waiting.append(found.items)
            case Map():
                waiting.append(found.values)
    return False


class NotPlainError(Exception):
    """A type is neither plain nor made of plain ones."""


MAX_COMPILED = 5_000  # fields: Python takes seconds to compile more


def plain(declared: Type, seen: set[int] | None = None) -> Type:
    """Return a type that is compiled, without logical types.

    A record that occurs twice is not compiled, since its source would be repeated.

    Raises
    ------
    NotPlainError
        It holds a type that is not compiled.

    Examples
    --------
    >>> plain(Map(Union(("null", Moment("long", 1)))))
    Map(values=Union(branches=('null', 'long')))
    """
    seen = set() if seen is None else seen
    match declared:
        case str() | Enum():
            return declared
        case Moment():
            return declared.base
        case Union():
            return Union(tuple(plain(each, seen) for each in declared.branches))
        case Map():
            return Map(plain(declared.values, seen))
        case Record() if id(declared) not in seen and len(declared.fields) <= MAX_COMPILED:
            seen.add(id(declared))
            fields = {name: plain(each, seen) for name, each in declared.fields.items()}
            return Record(declared.name, fields)
    raise NotPlainError
