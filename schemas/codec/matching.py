"""Which of the reader's fields and types a writer's is read as, and how types are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.schemas.codec.reading import IncompatibleError
from millrace.schemas.codec.types import (
    Decimals,
    Enum,
    Fixed,
    Moment,
    Record,
    Type,
    branches_of,
    kind_of,
)

_UNITS = {
    86_400 * 10**9: "days",
    10**6: "milliseconds",
    10**3: "microseconds",
    1: "nanoseconds",
}
_WHOLE = frozenset({"int", "long"})
_NAMED = (Record, Enum, Fixed)


def placed(written: Record, wanted: Record) -> dict[str, str]:
    """Return the writer's fields that are read, each with the reader's name for it."""
    places = {name: name for name in wanted.fields if name in written.fields}
    for name, aliases in wanted.aliases.items():
        source = next((each for each in aliases if each in written.fields), None)
        if name not in places and source is not None:
            places.setdefault(source, name)
    return places


def placed_back(written: Record, wanted: Record, places: Mapping[str, str]) -> dict[str, str]:
    """Return the writer's fields that are not placed, but were renamed from one of the reader's."""
    return {
        source: name
        for name, source in placed(wanted, written).items()
        if source not in places and name not in places.values()
    }


def candidates(written: Type, wanted: Type, beside: Sequence[Type] = ()) -> Sequence[Type]:
    """Return the reader's types that a value may be read as: names count where several are alike.

    `beside` has all types of the writer's union.
    """
    branches, kind = branches_of(wanted), kind_of(written)
    several = any([*map(kind_of, types)].count(kind) > 1 for types in (branches, beside))
    if not several:
        return branches
    return [each for each in branches if kind_of(each) != kind or _kinship(written, each)]


def closeness(written: Type, wanted: Type) -> tuple[bool, bool, bool, int]:
    """Return how close a type of the reader's is to the writer's; the closest is the largest."""
    kind, other = kind_of(written), kind_of(wanted)
    return (
        kind == other,
        _WHOLE.issuperset((kind, other)),
        type(written) is type(wanted),
        _kinship(written, wanted),
    )


def _kinship(written: Type, wanted: Type) -> int:
    """Return how well the names of two types agree; 0 where they do not."""
    if not isinstance(written, _NAMED) or not isinstance(wanted, _NAMED):
        return 1 + (described(written) == described(wanted))
    if written.name == wanted.name:
        return 3
    if written.name.rpartition(".")[2] == wanted.name.rpartition(".")[2]:
        return 2
    return int(written.name in wanted.other_names or wanted.name in written.other_names)


def described(declared: Type) -> str:
    """Return what a type is, for people."""
    match declared:
        case Record() | Enum() | Fixed():
            return f"{kind_of(declared)} {declared.name.rpartition('.')[2]}"
        case Moment():
            return f"{declared.base} in {_UNITS[declared.nanoseconds]}"
        case Decimals():
            return f"decimal({declared.precision}, {declared.scale})"
    return kind_of(declared)


def incompatible(written: Type, wanted: Type) -> IncompatibleError:
    """Return the error that says that the one cannot be read as the other."""
    kinds = " or ".join(map(described, branches_of(wanted)))
    return IncompatibleError(f"{described(written)} cannot be read as {kinds}")
