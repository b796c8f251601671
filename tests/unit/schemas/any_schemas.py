"""Schemas of every Avro type, nested, with values of them, drawn by hypothesis."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.unit.schemas.avro_schemas import LONGS, TEXTS

INTS = st.integers(min_value=-(2**31), max_value=2**31 - 1)
FLOATS = st.floats(width=32, allow_nan=False)


class Drawn(NamedTuple):
    """A type, what draws its values, and the kind of Python value that it has."""

    declared: Any
    values: st.SearchStrategy[Any]
    kind: str


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    whole = st.integers(min_value=-most, max_value=most)
    return whole.map(lambda n: Decimal(n).scaleb(-scale))


LEAVES = [
    Drawn("null", st.none(), "null"),
    Drawn("boolean", st.booleans(), "boolean"),
    Drawn("int", INTS, "whole"),
    Drawn("long", LONGS, "whole"),
    Drawn("float", FLOATS, "real"),
    Drawn("double", st.floats(allow_nan=False), "real"),
    Drawn("bytes", st.binary(max_size=70), "bytes"),
    Drawn("string", TEXTS, "text"),
    Drawn({"type": "string", "avro.java.string": "String"}, TEXTS, "text"),
]


class Names:
    """New names for types, and which kinds of values a union can tell apart."""

    def __init__(self, as_json: bool) -> None:
        self._numbers = count()
        self._as_json = as_json

    def __next__(self) -> str:
        return f"T{next(self._numbers)}"

    def kind_of(self, drawn: Drawn) -> str:
        """Return the kind of a type's values: in JSON, bytes are text; to fastavro, an array."""
        alike = ("bytes", "text") if self._as_json else ("bytes", "array")
        return alike[0] if drawn.kind in alike else drawn.kind


@st.composite
def schemas(draw: st.DrawFn, *, as_json: bool = False) -> Drawn:
    """Draw a record of fields of any types."""
    return draw(_records(Names(as_json), depth=3))


def _types(names: Names, depth: int) -> st.SearchStrategy[Drawn]:
    some = [st.sampled_from(LEAVES), _enums(names), _fixed(names), _decimal_types(names)]
    if depth:
        some += [_arrays(names, depth), _maps(names, depth), _records(names, depth)]
        some += [_unions(names, depth)]
    return st.one_of(some)


@st.composite
def _enums(draw: st.DrawFn, names: Names) -> Drawn:
    symbols = draw(st.lists(st.sampled_from("ABCDEFG"), min_size=1, unique=True))
    declared = {"type": "enum", "name": next(names), "symbols": symbols}
    return Drawn(declared, st.sampled_from(symbols), "text")


@st.composite
def _fixed(draw: st.DrawFn, names: Names) -> Drawn:
    size = draw(st.integers(min_value=0, max_value=20))
    declared = {"type": "fixed", "name": next(names), "size": size}
    return Drawn(declared, st.binary(min_size=size, max_size=size), "bytes")


@st.composite
def _decimal_types(draw: st.DrawFn, names: Names) -> Drawn:
    precision = draw(st.integers(min_value=1, max_value=18))
    scale = draw(st.integers(min_value=0, max_value=precision))
    base = draw(st.sampled_from(["bytes", "fixed"]))
    declared = {"type": base, "logicalType": "decimal", "precision": precision, "scale": scale}
    if base == "fixed":
        declared |= {"name": next(names), "size": 8}
    return Drawn(declared, _decimals(precision, scale), "bytes")


@st.composite
def _arrays(draw: st.DrawFn, names: Names, depth: int) -> Drawn:
    items = draw(_types(names, depth - 1))
    values = st.lists(items.values, max_size=3)
    return Drawn({"type": "array", "items": items.declared}, values, "array")


@st.composite
def _maps(draw: st.DrawFn, names: Names, depth: int) -> Drawn:
    values = draw(_types(names, depth - 1))
    drawn = st.dictionaries(TEXTS, values.values, max_size=3)
    return Drawn({"type": "map", "values": values.declared}, drawn, "object")


@st.composite
def _unions(draw: st.DrawFn, names: Names, depth: int) -> Drawn:
    """Draw a union in which a value's Python type tells which type it is."""
    drawn = draw(st.lists(_types(names, depth - 1), min_size=1, max_size=4))
    branches = {names.kind_of(each): each for each in drawn if each.kind != "union"}
    if not branches:
        return LEAVES[0]
    values = st.one_of([each.values for each in branches.values()])
    return Drawn([each.declared for each in branches.values()], values, "union")


@st.composite
def _records(draw: st.DrawFn, names: Names, depth: int) -> Drawn:
    fields = draw(st.lists(_types(names, depth - 1), min_size=1, max_size=4))
    declared = {
        "type": "record",
        "name": next(names),
        "fields": [{"name": f"f{i}", "type": each.declared} for i, each in enumerate(fields)],
    }
    values = st.fixed_dictionaries({f"f{i}": each.values for i, each in enumerate(fields)})
    return Drawn(declared, values, "object")
