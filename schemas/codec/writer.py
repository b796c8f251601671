"""The writing half of the codec: a schema becomes one function that writes its records.

fastavro goes over the schema with every record, and tries every branch of a union on every value.
Here the schema is compiled once, into one expression, and values are told apart by their own
types. The bytes are Avro's, and any Avro library reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from struct import Struct
from typing import TypeAlias

from millrace.schemas.codec.binary import (
    write_boolean,
    write_bytes,
    write_double,
    write_float,
    write_int,
    write_long,
    write_text,
)
from millrace.schemas.codec.doubles import DOUBLE_BRANCH, MAP_END, shape_of
from millrace.schemas.codec.reader import bound
from millrace.schemas.codec.types import (
    FEATURE,
    OPTIONAL_LABEL,
    Enum,
    Map,
    NotPlainError,
    Record,
    Type,
    Union,
    plain,
)

Write: TypeAlias = Callable[..., bytes]
"""Returns the Avro binary of a value."""

BRANCHES = [bytes([index << 1]) for index in range(5)]
"""What a value of a union begins with, by its branch."""

_FLOATS = {float}
_MAX_NAMES = 10_000
_PRIMITIVES: dict[str, Write] = {
    "null": lambda _: b"",
    "boolean": write_boolean,
    "bytes": write_bytes,
    "float": write_float,
    "int": write_int,
    "long": write_long,
    "double": write_double,
    "string": write_text,
}


def record_writer(declared: Record, header: bytes) -> Write | None:
    """Return the function that writes a header and a record; None where a field is not plain.

    Examples
    --------
    >>> declared = Record("R", {"id": "string", "n": Union(("null", "long"))})
    >>> write = record_writer(declared, b"H")
    >>> write({"id": "a", "n": 1}).hex()
    '4802610202'
    """
    try:
        return value_writer(plain(declared), header)
    except (NotPlainError, SyntaxError, RecursionError):  # Python's compiler has limits, too
        return None


def value_writer(declared: Type, header: bytes = b"") -> Write:
    """Return the function that writes a header and a value of a plain type."""
    scope: dict[str, object] = {"join": b"".join}
    parts = [bound(header, scope)] if header else []
    parts += _expressions(declared, "value", scope)
    # The source is made of this module's own text; what a schema says is bound in the scope.
    made: Write = eval(f"lambda value: join(({', '.join(parts)},))", scope)  # noqa: S307
    return made


def _expressions(declared: Type, value: str, scope: dict[str, object]) -> list[str]:
    """Return the expressions of the bytes of `value`, itself an expression."""
    match declared:
        case Record(fields=fields):
            return _of_record(fields, value, scope)
        case Union(("null", other) | (other, "null")):
            null, present = (0, 1) if declared.branches[0] == "null" else (1, 0)
            branch = repr(BRANCHES[present])
            written = ", ".join([branch, *_expressions(other, value, scope)])
            return [f"{BRANCHES[null]!r} if {value} is None else join(({written}))"]
    name = f"write_{len(scope)}"
    scope[name] = _writer(declared)
    return [f"{name}({value})"]


def _of_record(fields: dict[str, Type], record: str, scope: dict[str, object]) -> list[str]:
    parts = []
    for is_double, run in groupby(fields, lambda name: fields[name] == "double"):
        values = {f"{record}[{bound(name, scope)}]": fields[name] for name in run}
        if is_double:
            scope[f"write_{len(values)}_doubles"] = Struct(f"<{len(values)}d").pack
            parts.append(f"write_{len(values)}_doubles({', '.join(values)})")
        else:
            for value, declared in values.items():
                parts += _expressions(declared, value, scope)
    return parts


def _writer(declared: Type) -> Write:
    match declared:
        case str():
            return _PRIMITIVES[declared]
        case Enum(symbols=symbols):
            return {symbol: write_long(index) for index, symbol in enumerate(symbols)}.__getitem__
        case Map(values):
            return _map_writer(values)
    if declared == FEATURE:
        return partial(_write_value, BRANCHES)
    if declared == OPTIONAL_LABEL:
        return lambda value: BRANCHES[0] if value is None else _write_value(BRANCHES[1:], value)
    raise NotPlainError


def _map_writer(values: Type) -> Write:
    if values == FEATURE:
        return write_features
    if values == "double":
        return write_probabilities
    return partial(_write_map, value_writer(values))


def write_features(features: Mapping[str, object]) -> bytes:
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
    return _write_map(partial(_write_value, BRANCHES), features)


def write_probabilities(probabilities: Mapping[str, float]) -> bytes:
    """Return the Avro binary of a map of doubles."""
    if not probabilities:
        return MAP_END
    return shape_of(tuple(probabilities), b"").write(probabilities.values())


def _write_map(write_value: Write, values: Mapping[str, object]) -> bytes:
    if not values:
        return MAP_END
    parts = [write_long(len(values))]
    for name, value in values.items():
        parts += _name(name), write_value(value)
    return b"".join((*parts, MAP_END))


@lru_cache(_MAX_NAMES)
def _name(name: str) -> bytes:
    """Return a map's key as bytes: the same few come with every record."""
    return write_text(name)


def _write_value(branches: Sequence[bytes], value: object) -> bytes:
    """Return a value with its branch: `branches` are those of boolean, long, double and string."""
    if type(value) is bool:
        return branches[0] + write_boolean(value)
    if isinstance(value, int):
        return branches[1] + write_long(value)
    if isinstance(value, float):
        return branches[2] + write_double(value)
    if isinstance(value, str):
        return branches[3] + write_text(value)
    raise TypeError(f"a feature or a label must be a number, a boolean or text; got {value!r}")
