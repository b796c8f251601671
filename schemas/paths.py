"""Fields of nested records, by their paths: `payment.customer.id`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from operator import itemgetter
from typing import Any, cast

from millrace.schemas.codec.avro import Schema
from millrace.schemas.codec.types import Array, Map, Record, Type, Union, branches_of
from millrace.schemas.errors import DefinitionError

_RECORDS = ("record", "error")


def at(document: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path; None where there is none.

    A field of which the name has dots is found by that name, too.

    Examples
    --------
    >>> at({"payment": {"id": 7}}, "payment.id"), at({"a.b": 1}, "a.b"), at({}, "a.b")
    (7, 1, None)
    """
    if path in document:
        return document[path]
    first, _, rest = path.partition(".")
    inner = document.get(first)
    return at(inner, rest) if rest and isinstance(inner, Mapping) else None


def has(document: Mapping[str, Any], path: str) -> bool:
    """Whether there is something at a path, be it null.

    Examples
    --------
    >>> has({"payment": {"id": None}}, "payment.id"), has({"payment": {}}, "payment.id")
    (True, False)
    """
    if path in document:
        return True
    first, _, rest = path.partition(".")
    inner = document.get(first)
    return bool(rest) and isinstance(inner, Mapping) and has(inner, rest)


def getter(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return what gets the value at a path of a record of its schema; None where it is not there.

    Examples
    --------
    >>> get = getter("payment.id")
    >>> get({"payment": {"id": 7}}), get({"payment": None})
    (7, None)
    """
    first, *rest = path.split(".")
    if not rest:
        return itemgetter(first)

    def get(record: Mapping[str, Any]) -> Any:
        value = record[first]
        for name in rest:
            if value is None:
                return None
            value = value.get(name)
        return value

    return get


def take(record: MutableMapping[str, Any], path: str) -> Any:
    """Remove the value at a path of a record, and return it; None where it is not there.

    Examples
    --------
    >>> record = {"payment": {"id": 7, "is_fraud": True}}
    >>> take(record, "payment.is_fraud"), record
    (True, {'payment': {'id': 7}})
    """
    first, _, rest = path.partition(".")
    if not rest:
        return record.pop(first, None)
    inner = record.get(first)
    return None if inner is None else take(inner, rest)


def branches_at(record: Record, path: str) -> tuple[Type, ...] | None:
    """Return the types that a field may have, with null where what it is in may be missing.

    None where a record of this type has no such field. A path goes through records and maps; where
    a field is one of several records, it does not say which.

    Examples
    --------
    >>> payment = Union(("null", Record("Payment", {"id": "long"})))
    >>> order = Record("Order", {"payment": payment, "tags": Map("string")})
    >>> branches_at(order, "payment.id"), branches_at(order, "tags.color"), branches_at(order, "x")
    (('long', 'null'), ('string', 'null'), None)
    """
    first, _, rest = path.partition(".")
    declared = record.fields.get(first)
    return None if declared is None else _branches(declared, rest)


def _branches(declared: Type, path: str) -> tuple[Type, ...] | None:
    branches = branches_of(declared)
    if not path:
        return branches
    found: tuple[Type, ...] | None = None
    match [each for each in branches if each != "null"]:
        case [Record() as inner]:
            found = branches_at(inner, path)
        case [Map() as inner]:
            found = _branches(inner.values, path.partition(".")[2])
            branches = (*branches, "null")
    if found is None or "null" not in branches or "null" in found:
        return found
    return (*found, "null")


def paths_of(record: Record) -> Iterator[str]:
    """Yield the paths of all fields in order, but for those of maps, and of records in themselves.

    Examples
    --------
    >>> payment = Record("Payment", {"id": "long"})
    >>> [*paths_of(Record("Order", {"payment": payment, "size": "int"}))]
    ['payment', 'payment.id', 'size']
    """
    yield from _paths(record, "", ())


def _paths(record: Record, before: str, within: tuple[Record, ...]) -> Iterator[str]:
    for name, declared in record.fields.items():
        yield f"{before}{name}"
        inner = [each for each in branches_of(declared) if each != "null"]
        if len(inner) == 1 and isinstance(inner[0], Record) and inner[0] not in (*within, record):
            yield from _paths(inner[0], f"{before}{name}.", (*within, record))


def check_used_once(record: Record, path: str) -> None:
    """Refuse a path through a type that the schema uses elsewhere, too.

    Raises
    ------
    DefinitionError
        It does, so that the field cannot be another one in this place alone.
    """
    names = path.split(".")
    for end in range(1, len(names)):
        before = ".".join(names[:end])
        for inner in branches_at(record, before) or ():
            if isinstance(inner, Record) and (inner is record or _uses(record, inner) > 1):
                raise DefinitionError(
                    f"label {path!r} must be in a record that the schema has in one place; got"
                    f" {inner.name!r}, which is used elsewhere, too. Give {before!r} a type of its"
                    " own"
                )
            if isinstance(inner, Map):
                must = "label must be in a record"
                raise DefinitionError(f"{must}; got {path!r}, in the map {before!r}")


def _uses(root: Record, sought: Record) -> int:
    """Return in how many places a type is."""
    uses, seen, waiting = 0, set[int](), list[Type]([root])
    while waiting:
        declared = waiting.pop()
        uses += declared is sought
        if id(declared) in seen and not isinstance(declared, str):
            continue
        seen.add(id(declared))
        match declared:
            case Record():
                waiting += declared.fields.values()
            case Union():
                waiting += declared.branches
            case Array():
                waiting.append(declared.items)
            case Map():
                waiting.append(declared.values)
    return uses


def changed_at(schema: Schema, path: str, change: Callable[[Schema], Schema | None]) -> Schema:
    """Return the schema of a record with another field at a path, or without it.

    Parameters
    ----------
    change
        From the field to the other one; None to leave it out.
    """
    first, _, rest = path.partition(".")
    fields: list[Schema] = []
    for field in cast("list[Schema]", schema["fields"]):
        made: Schema | None = field
        if field["name"] == first:
            made = (
                field | {"type": _changed(field["type"], rest, change)} if rest else change(field)
            )
        fields += [] if made is None else [made]
    return schema | {"fields": fields}


def _changed(declared: Any, path: str, change: Callable[[Schema], Schema | None]) -> Any:
    if isinstance(declared, list):
        return [_changed(each, path, change) for each in declared]
    if isinstance(declared, dict):
        if declared["type"] in _RECORDS:
            return changed_at(declared, path, change)
        if isinstance(declared["type"], dict | list):
            return declared | {"type": _changed(declared["type"], path, change)}
    return declared
