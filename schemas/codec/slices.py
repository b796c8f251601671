"""Many records are read in one loop: what most of them are, by code that is made for it.

The loop knows the types that a topic holds, by their headers. A record that is not ordinary is
left out, at the cost of itself: it has another header, its bytes are broken, or a number that must
be finite is not. `Codec.decode` reads it by itself, and says what is wrong with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from textwrap import indent
from typing import Any, NamedTuple, TypeAlias, cast

from millrace.schemas.codec.reader import bound, made_of, reading_scope, source_of_fields
from millrace.schemas.codec.types import NotPlainError, Record, Type, plain

Rows: TypeAlias = list[tuple[Any, ...] | None]
"""A row for each record, as `Parts` describes it; None for one that is not ordinary."""

ReadRows: TypeAlias = Callable[[Iterable[bytes | None]], Rows]

_LOOP = """\
def read_rows(values):
    rows = []
    add = rows.append
    for data in values:
        row = None
        try:
{body}
        except Exception:  # broken bytes may raise anything
            row = None
        add(row)
    return rows
"""
_HEADERS = """\
at = {size}
header = data[:at]
if not header:
    pass
"""
_BRANCH = """\
elif header == {header}:
{statements}
    if at == len(data) <= {max_bytes}{is_finite}:
        row = {row}
"""
_FLOATING = frozenset({"float", "double"})


class Parts(NamedTuple):
    """What a row has beside the name of its type and the record.

    Attributes
    ----------
    apart
        Fields that it has by themselves, in order; None for a place without one.
    without
        Fields that its record is without.
    """

    apart: Sequence[str | None] = ()
    without: Collection[str | None] = ()


class Row(NamedTuple):
    """What is made of the records of one type."""

    name: str
    declared: Record
    parts: Parts = Parts()


def row_reader(
    rows: Mapping[bytes, Row], finite: Collection[str | None] = (), max_bytes: int = sys.maxsize
) -> ReadRows:
    r"""Return the function that reads many records, but for those of types that are not plain.

    Parameters
    ----------
    rows
        What the records of a type begin with, all equally long, to what is made of them.
    finite
        Fields in which a number must be finite.
    max_bytes
        Most bytes of a record.

    Examples
    --------
    >>> point = Record("Point", {"x": "long", "y": "long"})
    >>> read_rows = row_reader({b"P": Row("Point", point, Parts(["y"], ["y"]))})
    >>> read_rows([b"P\x02\x04", b"P", b"Q\x02\x04"])
    [('Point', 2, {'x': 1}), None, None]
    """
    scope = reading_scope()
    headers = _HEADERS.format(size=len(next(iter(rows), b"")))
    branches = [_branch(header, row, finite, max_bytes, scope) for header, row in rows.items()]
    try:
        return loop("".join([headers, *branches]), scope)
    except (SyntaxError, RecursionError):  # Python's compiler has limits: all are left out
        return loop(headers, scope)


def loop(body: str, scope: dict[str, object]) -> ReadRows:
    """Return the function that runs statements for each of many `data`: they set its `row`."""
    # The source is made of the codec's own text; what a schema says is bound in the scope.
    exec(_LOOP.format(body=indent(body, " " * 12)), scope)  # noqa: S102
    return cast("ReadRows", scope["read_rows"])


def row_of(row: Row, places: Mapping[str, str], scope: dict[str, object]) -> str:
    """Return the expression of a row, made of each field's own."""
    apart = ["None" if name is None else places[name] for name in row.parts.apart]
    kept = {name: place for name, place in places.items() if name not in row.parts.without}
    return f"({', '.join([bound(row.name, scope), *apart, made_of(kept, scope)])})"


def _branch(
    header: bytes,
    row: Row,
    finite: Collection[str | None],
    max_bytes: int,
    scope: dict[str, object],
) -> str:
    """Return the statements that read one type; none where it is not plain."""
    try:
        fields = cast("Record", plain(row.declared)).fields
        statements, places = source_of_fields(fields, "value", scope)
    except (NotPlainError, RecursionError):
        return ""
    return _BRANCH.format(
        header=bound(header, scope),
        statements=indent(statements, "    "),
        max_bytes=max_bytes,
        is_finite=are_finite({places[name]: fields[name] for name in fields if name in finite}),
        row=row_of(row, places, scope),
    )


def are_finite(numbers: Mapping[str, Type]) -> str:
    """Return further conditions: that variables hold no NaN and no infinity.

    Times zero, a number that is finite gives zero, and any other NaN; so does the sum of many.
    Where that sum is too large for a double, though each is finite, the record is not ordinary.
    """
    always = [name for name, declared in numbers.items() if declared in _FLOATING]
    conditions = [f"({' + '.join(always)}) * 0.0 == 0.0"] if always else []
    conditions += [
        f"(type({name}) is not float or {name} * 0.0 == 0.0)"
        for name in numbers
        if name not in always
    ]
    return "".join(f" and {each}" for each in conditions)
