"""A schema's JSON becomes a tree of types: the one place where a schema is read and checked.

It may come from anybody (a schema registry), so nothing is taken for granted: names are plain,
nesting ends, each record has a smallest value, and text is no larger than `MAX_SCHEMA_BYTES`. No
library sees a schema that was not read here first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from reprlib import repr as shortened

from millrace.schemas.codec.types import (
    MAX_DEPTH,
    PRIMITIVES,
    Array,
    Decimals,
    Enum,
    Fixed,
    Map,
    Moment,
    Record,
    Type,
    Union,
)
from millrace.schemas.errors import DefinitionError

MAX_SCHEMA_BYTES = 1024 * 1024
MAX_PRECISION = 1_000
_MAX_FIXED_BYTES = 16 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOO_DEEP = f"schema must be nested at most {MAX_DEPTH} levels deep; got more. Flatten it"
_MOMENTS = {
    ("int", "date"): 86_400 * 10**9,
    **{
        ("long", f"{local}timestamp-{unit}"): nanoseconds
        for local in ("", "local-")
        for unit, nanoseconds in {"millis": 10**6, "micros": 10**3, "nanos": 1}.items()
    },
}


def load(text: str, name: str) -> object:
    """Return the JSON of a schema; errors call it by a name.

    Raises
    ------
    DefinitionError
        It is too large, or no JSON.
    """
    if len(text) > MAX_SCHEMA_BYTES or len(text.encode(errors="replace")) > MAX_SCHEMA_BYTES:
        raise DefinitionError(
            f"schema must have at most {MAX_SCHEMA_BYTES} bytes; got {name}, which has more"
        )
    try:
        return json.loads(text)
    except RecursionError:
        raise DefinitionError(_TOO_DEEP) from None
    except ValueError as error:
        raise DefinitionError(f"schema must be JSON; got {name}: {error}") from error


def parse_record(
    schema: object, references: Iterable[object] = (), levels: int = MAX_DEPTH
) -> Record:
    """Return the record that a schema declares.

    Parameters
    ----------
    schema
        Parsed JSON.
    references
        Schemas whose named types it uses, each after those that it uses itself.
    levels
        How deep it may be nested.

    Raises
    ------
    DefinitionError
        It is not valid Avro, or is not a record.
    """
    if not isinstance(schema, dict) or schema.get("type") not in ("record", "error"):
        raise DefinitionError(f"schema must be an Avro record; got {shortened(schema)}")
    parser = _Parser(levels)
    for each in references:
        parser.type_of(each)
    found = parser.type_of(schema)
    assert isinstance(found, Record)
    parser.check_ends()
    return found


class _Parser:
    """Reads schemas that share their named types."""

    def __init__(self, levels: int) -> None:
        self._levels = levels
        self._named: dict[str, Type] = {}
        self._heights: dict[str, int] = {}
        self._reached = 0

    def type_of(self, declared: object, namespace: str = "", depth: int = 0) -> Type:
        """Return the type that a schema declares at a depth."""
        self._reach(depth)
        match declared:
            case str():
                return self._called(declared, namespace, depth)
            case list():
                return self._union(declared, namespace, depth)
            case dict():
                return self._complex(declared, namespace, depth)
        raise _no_type(declared)

    def _complex(  # noqa: PLR0911 - one for each type
        self, declared: dict[str, object], namespace: str, depth: int
    ) -> Type:
        match declared:
            case {"type": "record" | "error"}:
                return self._record(declared, namespace, depth)
            case {"type": "enum"}:
                return self._enum(declared, namespace)
            case {"type": "fixed"}:
                return self._logical(declared, self._fixed(declared, namespace))
            case {"type": "array", "items": items}:
                return Array(self.type_of(items, namespace, depth + 1))
            case {"type": "map", "values": values}:
                return Map(self.type_of(values, namespace, depth + 1))
            case {"type": str(name)}:
                return self._logical(declared, self._called(name, namespace, depth))
            case {"type": dict() | list() as wrapped}:
                return self._logical(declared, self.type_of(wrapped, namespace, depth + 1))
        raise _no_type(declared)

    def check_ends(self) -> None:
        """Refuse a record that contains itself without end: no value of it is finite."""
        records = [each for each in self._named.values() if isinstance(each, Record)]
        endless = {id(each) for each in records}
        for _ in range(MAX_DEPTH):
            endless = {
                id(each)
                for each in records
                if id(each) in endless
                and any(_is_endless(field, endless) for field in each.fields.values())
            }
            if not endless:
                return
        for each in records:
            if id(each) in endless:
                raise DefinitionError(
                    f"record {each.name!r} must have a value of at most {MAX_DEPTH} levels; got"
                    " one that always holds another of its own. Make the field that refers to it"
                    " a union with null, an array or a map"
                )

    def _reach(self, depth: int) -> None:
        self._reached = max(self._reached, depth)
        if depth > self._levels:
            raise DefinitionError(_TOO_DEEP)

    def _called(self, name: str, namespace: str, depth: int) -> Type:
        if name in PRIMITIVES:
            return name
        for full in dict.fromkeys((_qualified(name, namespace), name)):
            if full in self._named:
                self._reach(depth + self._heights.get(full, 0))
                return self._named[full]
        raise DefinitionError(
            f"a type must be one of Avro's, or a name that was declared; got {shortened(name)}"
        )

    def _union(self, declared: list[object], namespace: str, depth: int) -> Type:
        branches = [
            Union(()) if isinstance(each, list) else self.type_of(each, namespace, depth)
            for each in declared
        ]
        unnamed = [type(each) for each in branches if isinstance(each, (Union, Array, Map))]
        if not branches or Union in unnamed or len(unnamed) > len({*unnamed}):
            raise DefinitionError(
                "a union must be of one or more types, with at most one array and one map, and"
                f" without a union; got {shortened(declared)}"
            )
        return Union(tuple(branches))

    def _record(self, declared: dict[str, object], namespace: str, depth: int) -> Type:
        full = self._name(declared, namespace)
        made = Record(full, other_names=_aliases(declared, full))
        self._named[full] = made
        outer, self._reached = self._reached, depth
        for name, each in _fields(declared).items():
            if "type" not in each:
                raise DefinitionError(f"field {name!r} must have a type; got {shortened(each)}")
            made.fields[name] = self.type_of(each["type"], full.rpartition(".")[0], depth + 1)
            if "default" in each:
                made.defaults[name] = each["default"]
            made.aliases[name] = _aliases(each)
        self._heights[full] = self._reached - depth
        self._reached = max(outer, self._reached)
        return made

    def _enum(self, declared: dict[str, object], namespace: str) -> Type:
        full = self._name(declared, namespace)
        symbols = declared.get("symbols")
        if not isinstance(symbols, list) or not symbols:
            raise DefinitionError(
                f"the symbols of enum {full!r} must be a list; got {shortened(symbols)}"
            )
        for each in symbols:
            plain_name(each, "a symbol")
        default = declared.get("default")
        if len({*symbols}) < len(symbols) or default not in (None, *symbols):
            raise DefinitionError(
                f"the symbols of enum {full!r} must be unique, and its default one of them; got"
                f" {shortened(symbols)}"
            )
        default = None if default is None else str(default)
        self._named[full] = Enum(full, tuple(symbols), default, _aliases(declared, full))
        return self._named[full]

    def _fixed(self, declared: dict[str, object], namespace: str) -> Fixed:
        full = self._name(declared, namespace)
        size = declared.get("size")
        if type(size) is not int or not 0 <= size <= _MAX_FIXED_BYTES:
            raise DefinitionError(
                f"the size of fixed {full!r} must be 0 to {_MAX_FIXED_BYTES}; got {shortened(size)}"
            )
        made = Fixed(full, size, _aliases(declared, full))
        self._named[full] = self._logical(declared, made)
        return made

    def _name(self, declared: dict[str, object], namespace: str) -> str:
        """Return the full name of a type that is declared here for the first time."""
        name = declared.get("name")
        own = declared.get("namespace")
        own = namespace if own is None else own
        for part in str(name).split(".") + ([] if own == "" else str(own).split(".")):
            plain_name(part if isinstance(name, str) else name, "a type's name")
        full = _qualified(str(name), str(own))
        if full in self._named or full in PRIMITIVES:
            raise DefinitionError(f"a type's name must be unique; got {full!r} twice")
        return full

    @staticmethod
    def _logical(declared: dict[str, object], base: Type) -> Type:
        """Return a type with its logical type; one that does not fit is ignored, as Avro says."""
        logical = declared.get("logicalType")
        if isinstance(base, str) and (unit := _MOMENTS.get((base, str(logical)))):
            return Moment(base, unit)
        if logical == "decimal" and (base == "bytes" or isinstance(base, Fixed)):
            precision, scale = declared.get("precision"), declared.get("scale", 0)
            if type(precision) is int and type(scale) is int and 0 <= scale <= precision:
                if precision > MAX_PRECISION:
                    raise DefinitionError(
                        f"precision must be at most {MAX_PRECISION}; got {precision}"
                    )
                return Decimals(base, precision, scale) if precision else base
        return base


def _no_type(declared: object) -> DefinitionError:
    return DefinitionError(f"a type must be valid Avro; got {shortened(declared)}")


def plain_name(name: object, what: str) -> str:
    """Return a name that holds nothing but letters, digits and `_`.

    Raises
    ------
    DefinitionError
        It is another.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{what} must be of letters, digits and '_', and not begin with a digit;"
            f" got {shortened(name)}"
        )
    return name


def _fields(declared: dict[str, object]) -> dict[str, dict[str, object]]:
    fields = declared.get("fields")
    if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
        raise DefinitionError(
            f"the schema's fields must be a list of objects; got {shortened(fields)}"
        )
    found: dict[str, dict[str, object]] = {}
    for each in fields:
        name = plain_name(each.get("name"), "a field's name")
        if name in found:
            raise DefinitionError(f"a field's name must be unique; got {name!r} twice")
        found[name] = each
    return found


def _aliases(declared: dict[str, object], full_name: str = "") -> tuple[str, ...]:
    """Return the other names of a field, or of a type: those are in its namespace."""
    aliases = declared.get("aliases", [])
    given = map(str, aliases) if isinstance(aliases, list) else ()
    return tuple(_qualified(each, full_name.rpartition(".")[0]) for each in given)


def _qualified(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _is_endless(declared: Type, endless: set[int]) -> bool:
    """Whether each value of a type holds one of the endless records."""
    if isinstance(declared, Union):
        return all(_is_endless(each, endless) for each in declared.branches)
    return id(declared) in endless
