"""The reading half of the codec: a schema becomes one function that reads its records.

Broken bytes may raise any exception here: `avro` turns it into a `RecordError`. A read may also
run past the end: the caller compares the end that it returns with the length of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby
from struct import Struct
from textwrap import indent
from typing import TypeAlias, cast

from millrace.schemas.codec.binary import (
    FLOAT,
    read_block,
    read_bytes,
    read_int,
    read_long,
    read_text,
)
from millrace.schemas.codec.doubles import DOUBLE_BRANCH, Shape, shape_of
from millrace.schemas.codec.types import (
    FEATURE,
    Enum,
    Map,
    NotPlainError,
    Record,
    Type,
    Union,
    plain,
)

Read: TypeAlias = Callable[[bytes, int], tuple[object, int]]
"""Returns the value that begins at an offset, of the type that the schema says, and its end."""

_MAX_NUMBERS = 64  # of the branches of a union or the symbols of an enum: each is one byte
_LONG = """\
{into} = data[at]
if {into} < 0x80:
    {into} = {into} >> 1 ^ -({into} & 1)
    at += 1
else:
    {into}, at = read_long(data, at)
"""
_SOURCES = {
    "bytes": "{into}, at = read_bytes(data, at)\n",
    "float": "{into}, = read_float(data, at)\nat += 4\n",
    "null": "{into} = None\n",
    "boolean": "{into} = data[at] != 0\nat += 1\n",
    "int": _LONG.replace("read_long", "read_int"),
    "long": _LONG,
    "string": """\
size = data[at]
if size & 0x81:  # negative, or of more than one byte
    {into}, at = read_text(data, at)
else:
    start = at + 1
    at = start + (size >> 1)
    {into} = data[start:at].decode()
""",
}


def record_reader(declared: Record) -> Read | None:
    """Return the function that reads records; None where a field is not plain.

    Examples
    --------
    >>> declared = Record("R", {"id": "string", "x": Union(("null", "double"))})
    >>> record_reader(declared)(bytes.fromhex("026102000000000000e03f"), 0)
    ({'id': 'a', 'x': 0.5}, 11)
    """
    try:
        return _compiled(plain(declared))
    except (NotPlainError, SyntaxError, RecursionError):  # Python's compiler has limits, too
        return None


def _compiled(declared: Type) -> Read:
    scope = reading_scope()
    body = _source(declared, "value", scope) + "return value, at\n"
    # The source is made of this module's own text; what a schema says is bound in the scope.
    exec("def read(data, at):\n" + indent(body, "    "), scope)  # noqa: S102
    return cast("Read", scope["read"])


def reading_scope() -> dict[str, object]:
    """Return a new scope for the sources that read values, with what they call."""
    return {
        "read_bytes": read_bytes,
        "read_float": FLOAT.unpack_from,
        "read_int": read_int,
        "read_long": read_long,
        "read_text": read_text,
    }


def _source(declared: Type, into: str, scope: dict[str, object]) -> str:
    """Return the statements that read a value at `at` into a variable, and move `at` past it."""
    match declared:
        case "double":
            return _source_of_doubles([into], scope)
        case str():
            return _SOURCES[declared].format(into=into)
        case Union(branches):
            return _source_of_union(branches, into, scope)
        case Enum(symbols=symbols):
            return _source_of_enum(symbols, into, scope)
        case Record(fields=fields):
            statements, places = source_of_fields(fields, into, scope)
            return f"{statements}{into} = {made_of(places, scope)}\n"
        case Map(values):
            name = f"read_{len(scope)}"
            scope[name] = _map_reader(values)
            return f"{into}, at = {name}(data, at)\n"
    raise NotPlainError


def _source_of_doubles(into: list[str], scope: dict[str, object]) -> str:
    layout = Struct(f"<{len(into)}d")
    scope[f"read_{len(into)}_doubles"] = layout.unpack_from
    return f"{', '.join(into)}, = read_{len(into)}_doubles(data, at)\nat += {layout.size}\n"


def _source_of_union(branches: tuple[Type, ...], into: str, scope: dict[str, object]) -> str:
    if len(branches) > _MAX_NUMBERS:
        raise NotPlainError
    parts = ["branch = data[at]\nat += 1\n"]
    for index, declared in enumerate(branches):
        parts.append(f"{'el' if index else ''}if branch == {index << 1}:\n")
        parts.append(indent(_source(declared, into, scope), "    "))
    parts.append("else:\n    raise IndexError('a union has no such branch')\n")
    return "".join(parts)


def _source_of_enum(symbols: tuple[str, ...], into: str, scope: dict[str, object]) -> str:
    if len(symbols) > _MAX_NUMBERS:
        raise NotPlainError
    numbered = {index << 1: symbol for index, symbol in enumerate(symbols)}
    return f"{into} = {bound(numbered, scope)}[data[at]]\nat += 1\n"


def source_of_fields(
    fields: dict[str, Type], into: str, scope: dict[str, object]
) -> tuple[str, dict[str, str]]:
    """Return the statements that read fields, and each field's variable."""
    places = {name: f"{into}_{index}" for index, name in enumerate(fields)}
    parts: list[str] = []
    for is_double, run in groupby(fields, lambda name: fields[name] == "double"):
        if is_double:
            parts.append(_source_of_doubles([places[name] for name in run], scope))
        else:
            parts += [_source(fields[name], places[name], scope) for name in run]
    return "".join(parts), places


def made_of(places: dict[str, str], scope: dict[str, object]) -> str:
    """Return the expression of a record whose fields are in variables."""
    pairs = ", ".join(f"{bound(name, scope)}: {place}" for name, place in places.items())
    return f"{{{pairs}}}"


def bound(value: object, scope: dict[str, object]) -> str:
    """Return the name under which a value is bound in the scope of a source."""
    name = f"constant_{len(scope)}"
    scope[name] = value
    return name


def _map_reader(values: Type) -> Read:
    read_value = _compiled(values)
    if values == FEATURE:
        return MapReader(read_value, DOUBLE_BRANCH).read
    if values == "double":
        return MapReader(read_value, b"").read
    return partial(_read_map, read_value)


class MapReader:
    """Reads maps, faster where all values are doubles under the names of the map before.

    Parameters
    ----------
    read_value
        Reads a value.
    branch
        The byte before a value that is a double.
    """

    def __init__(self, read_value: Read, branch: bytes) -> None:
        self._read_value = read_value
        self._branch = branch
        self._shape: Shape | None = None

    def read(self, data: bytes, start: int) -> tuple[dict[str, object], int]:
        """Return the map that begins at `data[start]`, and where it ends."""
        if self._shape is not None and (read := self._shape.read(data, start)) is not None:
            return read
        found, end = _read_map(self._read_value, data, start)
        if {*map(type, found.values())} == {float}:
            self._shape = shape_of(tuple(found), self._branch)
        return found, end


def _read_map(read_value: Read, data: bytes, at: int) -> tuple[dict[str, object], int]:
    found: dict[str, object] = {}
    count, at = read_block(data, at)
    while count:
        for _ in range(count):
            name, at = read_text(data, at)
            found[name], at = read_value(data, at)
        count, at = read_block(data, at)
    return found, at
