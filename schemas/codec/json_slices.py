"""The same from JSON: many events are read in one loop, checked and converted by msgspec.

A schema of numbers, booleans, text, enums and records of these becomes a struct of msgspec, which
accepts what `documents` accepts, of the same value, or less. What it refuses is left out:
`documents` reads it by itself, and says what is wrong with it. It is the same with a schema of
other types, and with a document that has an alias as the name of a field.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from typing import Annotated, Any, Literal
from typing import Union as UnionOf

import msgspec

from millrace.schemas.codec.binary import nearest_float
from millrace.schemas.codec.documents import default_maker
from millrace.schemas.codec.reader import bound, made_of
from millrace.schemas.codec.slices import ReadRows, Row, are_finite, loop, row_of
from millrace.schemas.codec.types import (
    MAX_COMPILED,
    Enum,
    NotPlainError,
    Record,
    Type,
    branches_of,
    kind_of,
    plain,
)

_LONGEST_NUMBER = 4_300
"""Digits of a whole number that Python reads: a longer one is refused in unknown fields, too."""

_BODY = """\
found = (read if len(data) <= {longest} else read_strictly)(data.decode())
{statements}
if len(data) <= {max_bytes}{are_finite}:
    row = {row}
"""
_TYPES: dict[str, Any] = {
    "null": None,
    "boolean": bool,
    "int": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "long": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "float": float,
    "double": float,
    "string": str,
}
_NO_TEXTS: Mapping[str, Callable[[str], object]] = {}


def json_row_reader(
    row: Row,
    finite: Collection[str | None] = (),
    max_bytes: int = sys.maxsize,
    texts: Mapping[str, Callable[[str], object]] = _NO_TEXTS,
) -> ReadRows:
    """Return the function that reads many documents of one type; see `slices`.

    Parameters
    ----------
    row, finite, max_bytes
        As in `slices`.
    texts
        Fields of numbers that text may stand for, and what makes the number of it, or raises.

    Examples
    --------
    >>> point = Record("Point", {"x": "double", "y": "long"}, defaults={"y": 0})
    >>> json_row_reader(Row("Point", point))([b'{"x": 2}', b"{}", b'{"x": "2"}'])
    [('Point', {'x': 2.0, 'y': 0}), None, None]
    """
    try:
        reads = [_decoder(row.declared, texts, is_strict=each) for each in (False, True)]
    except NotPlainError:
        return loop("pass\n", {})
    scope: dict[str, object] = {"nearest_float": nearest_float}
    scope |= dict(zip(("read", "read_strictly"), reads, strict=True))
    fields = row.declared.fields
    places = {name: f"value_{index}" for index, name in enumerate(fields)}
    statements = [
        f"{place} = {_taken(f'found.{place}', fields[name], scope)}"
        for name, place in places.items()
    ]
    for name, convert in texts.items():
        place = places[name]
        statements.append(
            f"if type({place}) is str:\n    {place} = {bound(convert, scope)}({place})"
        )
    body = _BODY.format(
        longest=_LONGEST_NUMBER,
        statements="\n".join(statements),
        max_bytes=max_bytes,
        are_finite=are_finite({places[name]: fields[name] for name in fields if name in finite}),
        row=row_of(row, places, scope),
    )
    return loop(body, scope)


def _decoder(
    declared: Record, texts: Collection[str], *, is_strict: bool
) -> Callable[[str], object]:
    """Return what reads one document into a struct; a strict one refuses unknown fields."""
    return msgspec.json.Decoder(_Structs(is_strict).of(declared, texts)).decode


class _Structs:
    """Makes the structs of records, and of those in them."""

    def __init__(self, is_strict: bool) -> None:
        self._is_strict = is_strict
        self._left = MAX_COMPILED
        self._within: list[Record] = []

    def of(self, declared: Record, texts: Collection[str] = ()) -> type[msgspec.Struct]:
        """Return the struct of a record.

        Raises
        ------
        NotPlainError
            There is none, or it would be too large.
        """
        self._left -= len(declared.fields)
        if self._left < 0 or declared in self._within:
            raise NotPlainError
        self._within.append(declared)
        fields = [
            (f"value_{index}", self._type_of(each, name in texts), _field(declared, name))
            for index, (name, each) in enumerate(declared.fields.items())
        ]
        self._within.pop()
        for index, name in enumerate(_aliases(declared)):
            nothing = msgspec.field(name=name, default=msgspec.UNSET)
            fields.append((f"alias_{index}", msgspec.UnsetType, nothing))
        return msgspec.defstruct(
            "Document", fields, kw_only=True, gc=False, forbid_unknown_fields=self._is_strict
        )

    def _type_of(self, declared: Type, may_be_text: bool) -> Any:
        inner = _record_in(declared)
        if inner is None:
            kind = _type_of(plain(declared))
            return kind | str if may_be_text else kind
        struct: Any = self.of(inner)
        return struct | None if "null" in branches_of(declared) else struct


def _record_in(declared: Type) -> Record | None:
    """Return the record that a value is, where it is nothing else, except perhaps null."""
    branches = [each for each in branches_of(declared) if each != "null"]
    return branches[0] if len(branches) == 1 and isinstance(branches[0], Record) else None


def _field(declared: Record, name: str) -> Any:
    if name not in declared.defaults:
        return msgspec.field(name=name)
    default = default_maker(declared, name)()
    if isinstance(default, list | dict):
        raise NotPlainError
    return msgspec.field(name=name, default=default)


def _aliases(declared: Record) -> set[str]:
    """Return names that only `documents` reads: what has one is refused."""
    return {*chain.from_iterable(declared.aliases.values())} - {*declared.fields}


def _type_of(declared: Type) -> Any:
    """Return the type of msgspec that a value is of.

    Raises
    ------
    NotPlainError
        There is none, or it would not be clear which of a union.
    """
    branches = branches_of(declared)
    texts = [each for each in branches if each == "string" or isinstance(each, Enum)]
    numbers = {"int", "long", "float", "double"}.intersection(map(kind_of, branches))
    if len(texts) > 1 or ("float" in numbers and len(numbers) > 1):
        raise NotPlainError
    wide = [each for each in branches if each != "int" or "long" not in numbers]
    return UnionOf[tuple(map(_type_of_branch, wide))]  # noqa: UP007 - `|` joins two at a time


def _type_of_branch(declared: Type) -> Any:
    if isinstance(declared, Enum):
        return Literal[declared.symbols]
    if isinstance(declared, str) and declared in _TYPES:
        return _TYPES[declared]
    raise NotPlainError


def _taken(place: str, declared: Type, scope: dict[str, object]) -> str:
    """Return the expression of a value that is in a struct; a float has 32 bits."""
    inner = _record_in(declared)
    if inner is not None:
        names = enumerate(inner.fields.items())
        parts = {
            name: _taken(f"{place}.value_{index}", each, scope) for index, (name, each) in names
        }
        taken = made_of(parts, scope)
    elif "float" in branches_of(declared):
        taken = f"nearest_float({place})"
    else:
        return place
    return f"(None if {place} is None else {taken})" if "null" in branches_of(declared) else taken
