"""JSON becomes what Avro would have carried: a document is checked and converted in one pass.

Nothing is guessed: a value of another type is refused with the field's name. Avro's JSON encoding
holds for what JSON has no type for: bytes and fixed are text of ISO-8859-1, one character a byte.
A decimal may also be a number, or the text of one. A field may have one of its aliases as its name.
The same rules read the defaults of a schema,
where the Avro specification knows decimals as the text of their bytes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from reprlib import repr as shortened
from typing import Any, TypeAlias

from millrace.schemas.codec import decimals
from millrace.schemas.codec.binary import nearest_float
from millrace.schemas.codec.branches import as_decimal, branch_of, could_be
from millrace.schemas.codec.types import (
    MAX_DEPTH,
    Array,
    Decimals,
    Fixed,
    Map,
    Record,
    Type,
    Union,
    branches_of,
    kind_of,
)
from millrace.schemas.errors import DefinitionError

Take: TypeAlias = Callable[[object, int], object]
"""Returns what JSON at a depth stands for."""

_MAX_DEFAULTS = 10_000


class MisfitError(Exception):
    """JSON does not fit a type.

    Attributes
    ----------
    path
        The names of the fields that lead to it.
    is_missing
        Whether it is a field that is missing.
    """

    def __init__(self, message: str, *path: str, is_missing: bool = False) -> None:
        super().__init__(message)
        self.path = [*path]
        self.is_missing = is_missing


def document_reader(declared: Type) -> Callable[[object], object]:
    r"""Return the function that turns JSON into a value of a type; it may raise `MisfitError`.

    Examples
    --------
    >>> read = document_reader(Record("R", {"id": "bytes", "x": "double"}, {"x": 0}))
    >>> read({"id": "\u00ff"})
    {'id': b'\xff', 'x': 0.0}
    """
    take = _Documents().taking(declared)
    return lambda value: take(value, 1)


def default_maker(record: Record, name: str) -> Callable[[], object]:
    r"""Return the function that gives the default of a field, anew where it can be changed.

    Raises
    ------
    DefinitionError
        The default does not fit the field's type.

    Examples
    --------
    >>> default_maker(Record("R", {"a": Array("bytes")}, {"a": ["\u00ff"]}), "a")()
    [b'\xff']
    """
    default = record.defaults[name]
    try:
        value = _Defaults().taking(record.fields[name])(default, 1)
    except MisfitError as error:
        raise DefinitionError(
            f"the default of field {'.'.join([name, *error.path])!r} {error}. Avro writes bytes"
            " and fixed as text, one character a byte"
        ) from error
    return (lambda: deepcopy(value)) if isinstance(value, (list, dict)) else (lambda: value)


class _Documents:
    """Makes the functions that take the values of documents."""

    def __init__(self) -> None:
        self._records: dict[int, Take] = {}

    def taking(self, declared: Type) -> Take:  # noqa: PLR0911 - one for each type
        match declared:
            case Record():
                return self._record(declared)
            case Union():
                return self._union(declared, [*map(self.taking, declared.branches)])
            case Array():
                return _array(declared, self.taking(declared.items))
            case Map():
                return _map(declared, self.taking(declared.values))
            case Decimals():
                return _simple(declared, lambda value: self._decimal(declared, value))
            case "null":
                return _take_null
        convert = _CONVERTING[kind_of(declared)]
        return _simple(declared, lambda value: convert(declared, value))

    def _record(self, declared: Record) -> Take:
        if id(declared) in self._records:  # it is used twice, or refers to itself
            return partial(self._take_record, declared)
        self._records[id(declared)] = _take_null
        taking = {name: self.taking(each) for name, each in declared.fields.items()}
        defaults = {name: self._default(declared, name, taking[name]) for name in declared.defaults}

        def take(value: object, depth: int) -> object:
            given = _container(declared, dict, value, depth)
            record: dict[str, object] = {}
            for name, take_field in taking.items():
                key = name if name in given else declared.name_in(given, name)
                if key is not None:
                    try:
                        record[name] = take_field(given[key], depth + 1)
                    except MisfitError as error:
                        error.path.insert(0, name)
                        raise
                elif name in defaults:
                    record[name] = defaults[name](depth + 1)
                else:
                    raise MisfitError("is missing", name, is_missing=True)
            return record

        self._records[id(declared)] = take
        return take

    def _take_record(self, declared: Record, value: object, depth: int) -> object:
        return self._records[id(declared)](value, depth)

    def _union(self, declared: Union, taking: list[Take]) -> Take:
        def take(value: object, depth: int) -> object:
            branch = self._branch(declared, value)
            if branch is None:
                raise _misfit(declared, value)
            return taking[branch](value, depth)

        return take

    def _default(self, declared: Record, name: str, _: Take) -> Callable[[int], object]:
        make = default_maker(declared, name)
        return lambda _: make()

    def _branch(self, declared: Union, value: object) -> int | None:
        return branch_of(declared, value)

    def _decimal(self, declared: Decimals, value: object) -> object:
        return as_decimal(declared, value)


class _Defaults(_Documents):
    """The same for defaults: a union's first type is asked first, and decimals are bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._left = _MAX_DEFAULTS

    def _default(self, declared: Record, name: str, take: Take) -> Callable[[int], object]:
        def default(depth: int) -> object:
            self._left -= 1
            if self._left < 0:
                raise MisfitError(f"must be made of at most {_MAX_DEFAULTS} others; got more")
            return take(declared.defaults[name], depth)

        return default

    def _branch(self, declared: Union, value: object) -> int | None:
        first = declared.branches[0]
        if could_be(first, value) or (isinstance(first, Decimals) and isinstance(value, str)):
            return 0
        return branch_of(declared, value)

    def _decimal(self, declared: Decimals, value: object) -> object:
        return decimals.from_text(declared, value) if isinstance(value, str) else None


def _array(declared: Array, take_item: Take) -> Take:
    def take(value: object, depth: int) -> object:
        given = _container(declared, list, value, depth)
        return [take_item(each, depth + 1) for each in given]

    return take


def _map(declared: Map, take_value: Take) -> Take:
    take_name = _simple("string", lambda value: _text("string", value))

    def take(value: object, depth: int) -> object:
        given = _container(declared, dict, value, depth)
        taken: dict[object, object] = {}
        for name, each in given.items():
            key = take_name(name, 0)
            try:
                taken[key] = take_value(each, depth + 1)
            except MisfitError as error:
                error.path.insert(0, str(key))
                raise
        return taken

    return take


def _container(declared: Type, kind: type, value: object, depth: int) -> Any:
    if not isinstance(value, kind):
        raise _misfit(declared, value)
    if depth > MAX_DEPTH:
        raise MisfitError(f"must be nested at most {MAX_DEPTH} levels deep; got more")
    return value


def _simple(declared: Type, convert: Callable[[Any], object]) -> Take:
    """Return the function that converts a value; None, or an error, means that it does not fit."""

    def take(value: object, _depth: int) -> object:
        try:
            converted = convert(value)
        except (ValueError, OverflowError):
            converted = None
        if converted is None:
            raise _misfit(declared, value)
        return converted

    return take


def _take_null(value: object, _depth: int) -> object:
    if value is not None:
        raise _misfit("null", value)
    return None


def _as_it_is(declared: Type, value: object) -> object:
    return value if could_be(declared, value) else None


def _double(declared: Type, value: Any) -> float | None:
    return float(value) if could_be(declared, value) else None


def _float(declared: Type, value: object) -> float | None:
    double = _double(declared, value)
    return None if double is None else nearest_float(double)


def _text(declared: Type, value: Any) -> str | None:
    """Return text; what UTF-8 cannot write raises a ValueError."""
    if could_be(declared, value):
        value.encode()
        return str(value)
    return None


def _bytes(declared: Type, value: Any) -> bytes | None:
    return value.encode("latin-1") if could_be(declared, value) else None


_CONVERTING: dict[str, Callable[[Type, Any], object]] = {
    "boolean": _as_it_is,
    "int": _as_it_is,
    "long": _as_it_is,
    "float": _float,
    "double": _double,
    "string": _text,
    "enum": _as_it_is,
    "bytes": _bytes,
    "fixed": _bytes,
}


def _misfit(declared: Type, value: object) -> MisfitError:
    types = dict.fromkeys(map(_described, branches_of(declared)))
    return MisfitError(f"must be {' or '.join(types)}; got {shortened(value)}")


def _described(declared: Type) -> str:
    match declared:
        case Decimals():
            return (
                f"a decimal of at most {declared.precision} digits, {declared.scale} of them behind"
                " the point (a number, or text)"
            )
        case Fixed():
            return f"fixed (text of {declared.size} characters of ISO-8859-1)"
        case "bytes":
            return "bytes (text of ISO-8859-1)"
    return kind_of(declared)
