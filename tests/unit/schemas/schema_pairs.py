"""Pairs of schemas, a writer's and a reader's, with values of the writer's, drawn by hypothesis.

Drawn is what can change between two versions: types are promoted, narrowed or replaced, unions get
and lose types, fields are added, dropped, moved and renamed, enums get and lose symbols.
"""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.unit.schemas.avro_schemas import TEXTS

SMALL = st.integers(min_value=-(2**24), max_value=2**24)  # which a float holds, too
HALVES = SMALL.map(lambda n: n / 2)
PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": SMALL,
    "long": SMALL,
    "float": HALVES,
    "double": HALVES,
    "bytes": st.binary(max_size=5) | TEXTS.map(str.encode),
    "string": TEXTS,
}
KINDS = {"int": "number", "long": "number", "float": "number", "double": "number"} | {
    "bytes": "text",
    "string": "text",
}
DEFAULTS = [("long", 7), ("string", "none"), (["null", "int"], None), ("boolean", True)]
DEFAULTS += [({"type": "array", "items": "long"}, []), ({"type": "map", "values": "long"}, {})]


class Pair(NamedTuple):
    """A writer's type, the reader's, and what draws values of the writer's."""

    written: Any
    wanted: Any
    values: st.SearchStrategy[Any]


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Draw two records."""
    return draw(_records(count(), depth=3))


def _types(names: count[int], depth: int) -> st.SearchStrategy[Pair]:
    some = [_primitives(), _enums(names), _fixed(names)]
    if depth:
        some += [_arrays(names, depth), _maps(names, depth), _records(names, depth)]
        some += [_unions(names, depth)]
    return st.one_of(some)


@st.composite
def _primitives(draw: st.DrawFn) -> Pair:
    """Draw a type and, more often than not, one that it can be promoted to."""
    written = draw(st.sampled_from([*PRIMITIVES]))
    alike = [each for each in PRIMITIVES if KINDS.get(each, each) == KINDS.get(written, written)]
    wanted = draw(st.sampled_from([written, *alike, *alike, *PRIMITIVES]))
    return Pair(written, wanted, PRIMITIVES[written])


@st.composite
def _named(draw: st.DrawFn, names: count[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw the name of a type, and perhaps another one with an alias."""
    name = f"T{next(names)}"
    if draw(st.booleans()):
        return {"name": name}, {"name": name}
    return {"name": name}, {"name": f"T{next(names)}", "aliases": ["Other", name]}


@st.composite
def _enums(draw: st.DrawFn, names: count[int]) -> Pair:
    symbols = st.lists(st.sampled_from("ABCDE"), min_size=1, unique=True)
    was, now = draw(_named(names))
    written = {"type": "enum", **was, "symbols": draw(symbols)}
    wanted = {"type": "enum", **now, "symbols": draw(symbols)}
    if draw(st.booleans()):
        wanted["default"] = wanted["symbols"][0]
    return Pair(written, wanted, st.sampled_from(written["symbols"]))


@st.composite
def _fixed(draw: st.DrawFn, names: count[int]) -> Pair:
    was, now = draw(_named(names))
    size = draw(st.integers(1, 3))
    written = {"type": "fixed", **was, "size": size}
    wanted = {"type": "fixed", **now, "size": draw(st.sampled_from([size, size, size + 1]))}
    return Pair(written, wanted, st.binary(min_size=size, max_size=size))


@st.composite
def _arrays(draw: st.DrawFn, names: count[int], depth: int) -> Pair:
    items = draw(_types(names, depth - 1))
    declared = [{"type": "array", "items": each} for each in items[:2]]
    return Pair(*declared, st.lists(items.values, min_size=1, max_size=3))


@st.composite
def _maps(draw: st.DrawFn, names: count[int], depth: int) -> Pair:
    values = draw(_types(names, depth - 1))
    declared = [{"type": "map", "values": each} for each in values[:2]]
    return Pair(*declared, st.dictionaries(TEXTS, values.values, min_size=1, max_size=3))


@st.composite
def _unions(draw: st.DrawFn, names: count[int], depth: int) -> Pair:
    """Draw a union of types of different kinds, and one with others of them, or a type alone."""
    drawn = draw(st.lists(_types(names, depth - 1), min_size=1, max_size=4))
    by_kind = {_kind(each.written): each for each in drawn if _kind(each.written) != "union"}
    if not by_kind:
        return Pair("null", "null", st.none())
    branches = [*by_kind.values()]
    wanted = {_kind(each.wanted): each.wanted for each in draw(st.permutations(branches))}
    wanted = {kind: each for kind, each in wanted.items() if kind != "union"}
    kept = draw(st.lists(st.sampled_from([*wanted]), min_size=1, unique=True)) if wanted else []
    union = [wanted[kind] for kind in kept] or ["null"]
    if draw(st.booleans()) and "null" not in union:
        union.append("null")
    written: Any = [each.written for each in branches]
    values = st.one_of([each.values for each in branches])
    match draw(st.sampled_from(["unions", "into one", "of one"])):
        case "into one":
            return Pair(written, union[0], values)
        case "of one":
            return Pair(branches[0].written, union, branches[0].values)
    return Pair(written, union, values)


@st.composite
def _records(draw: st.DrawFn, names: count[int], depth: int) -> Pair:
    fields = draw(st.lists(_types(names, depth - 1), min_size=1, max_size=4))
    was, now = draw(_named(names))
    written = [{"name": f"f{i}", "type": each.written} for i, each in enumerate(fields)]
    wanted = []
    for i, each in enumerate(fields):
        field = {"name": f"f{i}", "type": each.wanted}
        change = draw(st.sampled_from(["none", "none", "none", "renamed", "dropped", "lost"]))
        if change == "renamed":
            field |= {"name": f"new{i}", "aliases": ["older", f"f{i}"]}
        if change == "lost":
            field["name"] = f"new{i}"
        if change != "dropped":
            wanted.append(field)
    for i in range(draw(st.integers(0, 2))):
        declared, default = draw(st.sampled_from(DEFAULTS))
        wanted.append({"name": f"added{i}", "type": declared, "default": default})
    return Pair(
        {"type": "record", **was, "fields": written},
        {"type": "record", **now, "fields": draw(st.permutations(wanted))},
        st.fixed_dictionaries({f"f{i}": each.values for i, each in enumerate(fields)}),
    )


def _kind(declared: Any) -> str:
    if isinstance(declared, list):
        return "union"
    name = declared["type"] if isinstance(declared, dict) else declared
    return KINDS.get(name, name)
