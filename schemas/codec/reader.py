"""The reading half of the codec: a schema becomes one function that reads its records.

Broken bytes may raise any exception here: `avro` turns it into a `RecordError`. A read may also
run past the end: the caller compares the end that it returns with the length of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import groupby
from struct import Struct
from textwrap import indent
from typing import Any, TypeAlias

from millrace.schemas.codec.writer import (
    DOUBLE_BRANCH,
    NotPlainError,
    Shape,
    are_features,
    shape_of,
    unwrapped,
)

Read: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
"""Returns the value that begins at an offset, and the offset at which it ends."""

_LONG_BITS = 64
_SHIFTS = tuple(range(0, _LONG_BITS, 7))
_MOST_BRANCHES = 64  # whose number is one byte
_SHORT_LONG = """\
{into} = data[at]
if {into} < 0x80:
    {into} = {into} >> 1 ^ -({into} & 1)
    at += 1
else:
    {into}, at = read_long(data, at)
"""
_SOURCES = {
    "null": "{into} = None\n",
    "boolean": "{into} = data[at] != 0\nat += 1\n",
    "int": _SHORT_LONG,
    "long": _SHORT_LONG,
    "string": """\
size = data[at]
if size & 0x81:
    {into}, at = read_text(data, at)
else:
    at += 1 + (size >> 1)
    {into} = data[at - (size >> 1) : at].decode()
""",
}


def reader(declared: Any) -> Read | None:
    """Return the function that reads values of a type; None where it is not made of plain ones.

    Examples
    --------
    >>> id_field = {"name": "id", "type": "string"}
    >>> schema = {"type": "record", "fields": [id_field, {"name": "x", "type": ["null", "double"]}]}
    >>> reader(schema)(bytes.fromhex("026102000000000000e03f"), 0)
    ({'id': 'a', 'x': 0.5}, 11)
    """
    try:
        return _compiled(declared)
    except NotPlainError:
        return None


def _compiled(declared: Any) -> Read:
    scope: dict[str, Any] = {"read_long": _read_long, "read_text": _read_text}
    body = _source(declared, "value", scope) + "return value, at\n"
    exec("def read(data, at):\n" + indent(body, "    "), scope)  # noqa: S102 - of names alone
    made: Read = scope["read"]
    return made


def _source(declared: Any, into: str, scope: dict[str, Any]) -> str:
    """Return the statements that read a value at `at` into a variable, and move `at` past it."""
    declared = unwrapped(declared)
    if declared == "double":
        return _source_of_doubles([into], scope)
    if isinstance(declared, str) and declared in _SOURCES:
        return _SOURCES[declared].format(into=into)
    if isinstance(declared, list):
        return _source_of_union(declared, into, scope)
    if isinstance(declared, dict) and declared["type"] == "record":
        return _source_of_record(declared["fields"], into, scope)
    if isinstance(declared, dict) and declared["type"] == "map":
        name = f"read_{len(scope)}"
        scope[name] = _map_reader(declared["values"])
        return f"{into}, at = {name}(data, at)\n"
    raise NotPlainError


def _source_of_doubles(into: list[str], scope: dict[str, Any]) -> str:
    layout = Struct(f"<{len(into)}d")
    scope[f"read_{len(into)}_doubles"] = layout.unpack_from
    return f"{', '.join(into)}, = read_{len(into)}_doubles(data, at)\nat += {layout.size}\n"


def _source_of_union(branches: list[Any], into: str, scope: dict[str, Any]) -> str:
    if len(branches) > _MOST_BRANCHES:
        raise NotPlainError
    parts = ["branch = data[at]\nat += 1\n"]
    for index, declared in enumerate(branches):
        parts.append(f"{'el' if index else ''}if branch == {index << 1}:\n")
        parts.append(indent(_source(declared, into, scope), "    "))
    parts.append("else:\n    raise IndexError('a union requires a branch that it has')\n")
    return "".join(parts)


def _source_of_record(fields: Iterable[Mapping[str, Any]], into: str, scope: dict[str, Any]) -> str:
    parts: list[str] = []
    values: dict[str, str] = {}
    for is_double, run in groupby(fields, lambda field: field["type"] == "double"):
        types = {field["name"]: field["type"] for field in run}
        places = {name: f"{into}_{len(values) + i}" for i, name in enumerate(types)}
        if is_double:
            parts.append(_source_of_doubles([*places.values()], scope))
        else:
            parts += [_source(each, places[name], scope) for name, each in types.items()]
        values |= places
    pairs = ", ".join(f"{name!r}: {place}" for name, place in values.items())
    return "".join((*parts, f"{into} = {{{pairs}}}\n"))


def _map_reader(values: Any) -> Read:
    read_value = _compiled(values)
    if are_features(values):
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
    kind
        The byte before a value that is a double.
    """

    def __init__(self, read_value: Read, kind: bytes) -> None:
        self._read_value = read_value
        self._kind = kind
        self._shape: Shape | None = None

    def read(self, data: bytes, start: int) -> tuple[dict[str, Any], int]:
        """Return the map that begins at `data[start]`, and where it ends."""
        if self._shape is not None and (read := self._shape.read(data, start)) is not None:
            return read
        found, end = _read_map(self._read_value, data, start)
        if {*map(type, found.values())} == {float}:
            self._shape = shape_of(tuple(found), self._kind)
        return found, end


def _read_map(read_value: Read, data: bytes, at: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    count, at = _read_long(data, at)
    while count:
        if count < 0:  # such a block says its size, for readers that skip it
            _, at = _read_long(data, at)
        for _ in range(abs(count)):
            name, at = _read_text(data, at)
            found[name], at = read_value(data, at)
        count, at = _read_long(data, at)
    return found, at


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    rest = 0
    for place, shift in enumerate(_SHIFTS, at):
        byte = data[place]
        if byte < 0x80:
            rest |= byte << shift
            return (rest >> 1) ^ -(rest & 1), place + 1
        rest |= (byte & 0x7F) << shift
    raise ValueError(f"a long requires {_LONG_BITS} bits; got more")


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = _read_long(data, at)
    if not 0 <= size <= len(data) - at:
        raise ValueError(f"text requires {size} bytes; got {len(data) - at}")
    return data[at : at + size].decode(), at + size
