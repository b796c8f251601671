"""The Avro types that are compiled: the plain ones, and unions, records and maps of them.

A schema is read into this small tree once; `writer` and `reader` each turn the tree into a
function. Records with a field of any other type are left to fastavro.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "double", "string"})


class NotPlainError(Exception):
    """A type is neither plain nor made of plain ones."""


@dataclass(frozen=True)
class Union:
    branches: tuple[Plain, ...]


@dataclass(frozen=True)
class Map:
    values: Plain


@dataclass(frozen=True)
class Record:
    """Field names to their types, in the order in which they are written."""

    fields: dict[str, Plain]


Plain: TypeAlias = str | Union | Map | Record
"""A primitive by its name, or a type that is made of others."""

FEATURE = Union(("boolean", "long", "double", "string"))
"""The value of a feature or a label."""

OPTIONAL_LABEL = Union(("null", *FEATURE.branches))


def plain(declared: object) -> Plain:
    """Return the type that a schema declares.

    Raises
    ------
    NotPlainError
        It holds a type that is not compiled.

    Examples
    --------
    >>> plain({"type": "map", "values": ["null", {"type": "long"}]})
    Map(values=Union(branches=('null', 'long')))
    """
    match declared:
        case str() if declared in _PRIMITIVES:
            return declared
        case list():
            return Union(tuple(map(plain, declared)))
        case {"type": "record", "fields": list(fields)}:
            return Record({field["name"]: plain(field["type"]) for field in fields})
        case {"type": "map", "values": values}:
            return Map(plain(values))
        case {"type": wrapped, **others} if not others:
            return plain(wrapped)
    raise NotPlainError
