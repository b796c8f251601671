"""Avro's plain types, and records and maps of them, written without asking the schema each time.

fastavro goes over the schema with every record and tries every branch of a union on every value.
Here a schema is compiled once: into one expression of the values, which are told apart by their
own types, and for reading (`schemas.codec.reader`) into one function. And where all values of a
map are doubles, every record of the same names has the same bytes between them, so that one
packing writes them all. The bytes are Avro's (1.12 specification, "Binary Encoding"), and any
Avro library reads and writes them; records with a field of another type are left to fastavro.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from struct import Struct
from typing import Any

DOUBLE_BRANCH = b"\x04"
_FEATURES = ["boolean", "long", "double", "string"]
_BRANCHES = [bytes([index << 1]) for index in range(5)]
_END = b"\x00"
_FLOATS = {float}
_MOST_KEYS = 10_000
_MOST_LONGS = 4_096  # times and versions come again within a batch
_MOST_SHAPES = 1_000
_join = b"".join
_pack_double = Struct("<d").pack


class NotPlainError(Exception):
    """A type is neither plain nor made of plain ones."""


def unwrapped(declared: Any) -> Any:
    """Return a type without the object that may be written around its name."""
    is_wrapped = isinstance(declared, dict) and declared.keys() == {"type"}
    return declared["type"] if is_wrapped else declared


def are_features(values: Any) -> bool:
    """Whether these are the values of a map of features, each with its type before it."""
    return bool(values == _FEATURES)


def record_writer(schema: Mapping[str, Any]) -> Callable[[bytes, Any], bytes] | None:
    """Return the function that writes a header and a record; None where a field is not plain.

    Examples
    --------
    >>> fields = [{"name": "id", "type": "string"}, {"name": "n", "type": ["null", "long"]}]
    >>> write = record_writer({"type": "record", "name": "R", "fields": fields})
    >>> write(b"", {"id": "a", "n": 1}).hex()
    '02610202'
    """
    try:
        return _compiled("header, record", ["header"], schema["fields"])
    except NotPlainError:
        return None


def _compiled(
    arguments: str, before: list[str], fields: Iterable[Mapping[str, Any]]
) -> Callable[..., bytes]:
    """Return the function of `arguments` that joins what is `before` and the fields of `record`."""
    scope: dict[str, Any] = {"join": _join}
    parts = [*before, *_parts(fields, "record", scope)]
    made: Callable[..., bytes]
    made = eval(f"lambda {arguments}: join(({', '.join(parts)},))", scope)  # noqa: S307 - of names
    return made


def _parts(fields: Iterable[Mapping[str, Any]], record: str, scope: dict[str, Any]) -> list[str]:
    """Return the expressions of the bytes of each field of `record`, itself an expression."""
    parts = []
    for is_double, run in groupby(fields, lambda field: field["type"] == "double"):
        types = {f"{record}[{field['name']!r}]": field["type"] for field in run}
        if is_double:
            scope[f"write_{len(types)}_doubles"] = Struct(f"<{len(types)}d").pack
            parts.append(f"write_{len(types)}_doubles({', '.join(types)})")
        else:
            for value, declared in types.items():
                parts += _expressions(unwrapped(declared), value, scope)
    return parts


def _expressions(declared: Any, value: str, scope: dict[str, Any]) -> list[str]:
    if isinstance(declared, dict) and declared["type"] == "record":
        return _parts(declared["fields"], value, scope)
    if isinstance(declared, list) and len(declared) == 2 and "null" in declared:
        null = declared.index("null")
        other = _expressions(unwrapped(declared[1 - null]), value, scope)
        branch = _BRANCHES[1 - null]
        rest = f"join(({branch!r}, {', '.join(other)}))"
        return [f"{_BRANCHES[null]!r} if {value} is None else {rest}"]
    name = f"write_{len(scope)}"
    scope[name] = _writer(declared)
    return [f"{name}({value})"]


def _writer(declared: Any) -> Callable[[Any], bytes]:
    if isinstance(declared, str) and declared in _WRITERS:
        return _WRITERS[declared]
    if declared == _FEATURES:
        return partial(_write_value, _BRANCHES)
    if declared == ["null", *_FEATURES]:
        return lambda value: _BRANCHES[0] if value is None else _write_value(_BRANCHES[1:], value)
    if isinstance(declared, dict) and declared["type"] == "map":
        values = declared["values"]
        if are_features(values):
            return write_features
        if values == "double":
            return write_probabilities
        if isinstance(values, dict) and values["type"] == "record":
            return partial(_write_map, _compiled("record", [], values["fields"]))
    raise NotPlainError


def write_features(features: Mapping[str, bool | int | float | str]) -> bytes:
    """Return the Avro binary of a map of features.

    Raises
    ------
    TypeError, OverflowError
        A value is not a boolean, a whole number of 64 bits, a float or text.

    Examples
    --------
    >>> write_features({"x": 0.0, "on": True}).hex()
    '040278040000000000000000046f6e000100'
    """
    if {*map(type, features.values())} == _FLOATS:
        return shape_of(tuple(features), DOUBLE_BRANCH).write(features.values())
    return _write_map(partial(_write_value, _BRANCHES), features)


def write_probabilities(probabilities: Mapping[str, float]) -> bytes:
    """Return the Avro binary of a map of doubles."""
    if not probabilities:
        return _END
    return shape_of(tuple(probabilities), b"").write(probabilities.values())


def _write_map(write_value: Callable[[Any], bytes], values: Mapping[str, Any]) -> bytes:
    if not values:
        return _END
    parts = [_long(len(values))]
    for name, value in values.items():
        parts += _key(name), write_value(value)
    return _join((*parts, _END))


@lru_cache(_MOST_KEYS)
def _key(name: str) -> bytes:
    """Return a map's key as bytes: the same few come with every record."""
    return _text(name)


def _text(value: str) -> bytes:
    encoded = str.encode(value)
    size = len(encoded)
    return (_SMALL[size] if size < len(_SMALL) else _long(size)) + encoded


def _write_value(branches: Sequence[bytes], value: Any) -> bytes:
    """Return a value with its branch: `branches` are those of boolean, long, double and string."""
    kind = type(value)
    if kind is bool:
        return branches[0] + (b"\x01" if value else b"\x00")
    if isinstance(value, int):
        return branches[1] + _long(value)
    if isinstance(value, float):
        return branches[2] + _pack_double(value)
    if isinstance(value, str):
        return branches[3] + _text(value)
    raise TypeError(f"a value requires a number, a boolean or text; got {value!r}")


@lru_cache(_MOST_LONGS, typed=True)
def _long(value: int) -> bytes:
    """Return a whole number in zig-zag and variable length: seven bits a byte, lowest first."""
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"an Avro long requires 64 bits; got {value}")
    rest = (value << 1) ^ (value >> 63)
    if rest < 0x80:
        return bytes((rest,))
    if rest < 0x4000:
        return bytes((rest & 0x7F | 0x80, rest >> 7))
    if rest < 0x200000:
        return bytes((rest & 0x7F | 0x80, rest >> 7 & 0x7F | 0x80, rest >> 14))
    encoded = bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


_SMALL = [_long(size) for size in range(64)]
_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "boolean": lambda value: b"\x01" if value else b"\x00",
    "int": _long,
    "long": _long,
    "double": _pack_double,
    "string": _text,
}


class Shape:
    """A map of certain names whose values are all doubles: the same bytes around them every time.

    Parameters
    ----------
    names
        In order; at least one.
    kind
        The byte before each value: `DOUBLE_BRANCH` in a union, nothing elsewhere.
    """

    def __init__(self, names: tuple[str, ...], kind: bytes) -> None:
        around = [_text(name) + kind for name in names]
        around[0] = _long(len(names)) + around[0]
        around.append(_END)
        self.names = names
        self._around = tuple(around)
        self._layout = Struct("<" + "d".join(f"{len(each)}s" for each in around))
        self._blank = [part for each in around for part in (each, 0.0)][:-1]

    def write(self, values: Iterable[Any]) -> bytes:
        parts = self._blank.copy()
        parts[1::2] = values
        return self._layout.pack(*parts)

    def read(self, data: bytes, start: int) -> tuple[dict[str, Any], int] | None:
        """Return the map that begins at `data[start]` and where it ends; None for another shape."""
        end = start + self._layout.size
        if end > len(data):
            return None
        parts = self._layout.unpack_from(data, start)
        if parts[::2] != self._around:
            return None
        return dict(zip(self.names, parts[1::2])), end  # noqa: B905 - as many, and checking costs


@lru_cache(_MOST_SHAPES)
def shape_of(names: tuple[str, ...], kind: bytes) -> Shape:
    return Shape(names, kind)
