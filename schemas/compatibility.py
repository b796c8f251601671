"""Whether a user's schema can follow another while records of both are on the topics.

What was written before is read with today's schema, by Avro's rules of resolution. What is written
today may come to a task that still has the schema before, and is read back: so a change must work
both ways. And a record names its writer's schema by a fingerprint that leaves logical types out:
the unit of a time cannot be told from bytes, so that it never changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from millrace.schemas.codec.matching import described, placed
from millrace.schemas.codec.resolution import closest, problem_of
from millrace.schemas.codec.types import (
    Array,
    Decimals,
    Enum,
    Fixed,
    Map,
    Moment,
    Record,
    Type,
    branches_of,
)

if TYPE_CHECKING:
    from millrace.schemas.event_schema import EventSchema

_LOGICAL = (Moment, Decimals)
_UNIT_OF_A_LONG = 1_000_000  # nanoseconds: a time without a logical type is in milliseconds
_WAY_OUT = "Add it as a field of another name"


def schema_problems(before: EventSchema, now: EventSchema) -> list[str]:
    """Return what keeps one schema from following another, each with the way out.

    Compatible are a field that is added with a default, one that is removed and had a default, one
    that is renamed and has its old name among its aliases, a promoted type, a type or a symbol
    more, and whatever does not change the bytes: order, documentation, defaults.

    Returns
    -------
    list of str
        A sentence for each problem, naming the field; empty where there is none.

    Examples
    --------
    >>> from millrace.schemas import EventSchema
    >>> def visits(*fields):
    ...     return EventSchema({"type": "record", "name": "Visit", "fields": [*fields]})
    >>> before = visits({"name": "pages", "type": "int"})
    >>> schema_problems(before, visits({"name": "pages", "type": "double"}))
    []
    >>> schema_problems(before, visits({"name": "pages", "type": "string"}))
    ["field 'pages': int cannot be read as string. Add it as a field of another name"]
    """
    if before.label != now.label:
        return [
            f"label must be {before.label!r}, as before; got {now.label!r}. Give the pipeline"
            " another name"
        ]
    return [*_Comparison(is_both_ways=True).of(before.accepted.type, now.accepted.type)]


def reading_problems(before: Record, now: Record) -> list[str]:
    """Return what keeps the records of one type from being read as those of another."""
    return [*_Comparison(is_both_ways=False).of(before, now)]


class _Comparison:
    """Walks two types side by side; records that refer to themselves are compared once."""

    def __init__(self, *, is_both_ways: bool) -> None:
        self._is_both_ways = is_both_ways
        self._seen: set[tuple[int, int]] = set()

    def of(self, before: Type, now: Type, path: str = "") -> Iterator[str]:
        """Yield the problems of a type."""
        for each in branches_of(before):
            wanted = closest(each, now, branches_of(before))
            if wanted is None:
                kinds = " or ".join(map(described, branches_of(now)))
                yield f"field {path!r}: {described(each)} cannot be read as {kinds}. {_WAY_OUT}"
            else:
                yield from self._of_branch(each, wanted, path)

    def _of_branch(self, before: Type, now: Type, path: str) -> Iterator[str]:
        match before, now:
            case Record(), Record():
                yield from self._of_records(before, now, path)
            case (Array(was), Array(now_is)) | (Map(was), Map(now_is)):
                yield from self.of(was, now_is, path)
            case Enum(), Enum():
                yield from _of_enums(before, now, path)
            case Fixed(), Fixed() if before.size != now.size:
                sizes = f"had {before.size} bytes, and has {now.size}"
                yield f"field {path!r}: {described(now)} {sizes}. {_WAY_OUT}"
            case _:
                yield from _of_values(before, now, path)

    def _of_records(self, before: Record, now: Record, path: str) -> Iterator[str]:
        if (pair := (id(before), id(now))) in self._seen:
            return
        self._seen.add(pair)
        found = placed(before, now)
        for name, declared in before.fields.items():
            if name in found:
                place = found[name]
                yield from self.of(declared, now.fields[place], _joined(path, place))
            elif self._is_both_ways and name not in before.defaults:
                yield (
                    f"field {_joined(path, name)!r} is removed, but has no default, which tasks"
                    " that have the schema before need for new events. Keep it and give it a"
                    " default, deploy that, and remove it then; if it was renamed, give it its old"
                    " name as an alias"
                )
        for name in now.fields:
            if name not in found.values() and name not in now.defaults:
                yield (
                    f"field {_joined(path, name)!r} is added, but has no default for events from"
                    " before. Give it one; if it was renamed, give it its old name as an alias"
                )


def _of_enums(before: Enum, now: Enum, path: str) -> Iterator[str]:
    gone = [each for each in before.symbols if each not in now.symbols]
    if gone and now.default is None:
        yield (
            f"field {path!r}: {described(now)} lacks the symbols {gone}, which events from before"
            " may have. Keep them, or give the enum a default"
        )


def _of_values(before: Type, now: Type, path: str) -> Iterator[str]:
    problem = problem_of(before, now)
    is_logical = isinstance(before, _LOGICAL) or isinstance(now, _LOGICAL)
    if problem is not None:
        yield f"field {path!r}: {problem}. {_WAY_OUT}"
    elif is_logical and _meaning(before) != _meaning(now):
        yield (
            f"field {path!r}: {described(before)} becomes {described(now)}, so that the same bytes"
            f" mean something else. {_WAY_OUT}"
        )


def _meaning(declared: Type) -> object:
    """Return what a value of a type counts."""
    match declared:
        case Moment():
            return declared.nanoseconds
        case Decimals():
            return declared.precision, declared.scale
    return _UNIT_OF_A_LONG if declared == "long" else None


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
