"""The parts of a model: what it is made of, each with its place.

A place is written as one would reach it: `models['m'].steps['StandardScaler'].means`. It names the
part that cannot be saved, has no seed, or is shared by two models.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import partial
from re import Pattern
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

_ATOMS = (
    *(type(None), bool, int, float, complex, str, bytes, range, slice, enum.Enum, Pattern),
    *(date, timedelta, tzinfo, Decimal, Fraction),
    *(type, ModuleType, FunctionType, BuiltinFunctionType),
)
_MOST_PARTS = 100_000


def parts(place: str, obj: object) -> Iterator[tuple[str, object]]:
    """Yield an object and all that it holds, each once, with its place; what holds comes first.

    Examples
    --------
    >>> [place for place, _ in parts("m", {"a": [1]})]
    ['m', "m['a']", "m['a'][0]"]
    """
    met: dict[int, object] = {}
    waiting = [(place, obj)]
    while waiting and len(met) < _MOST_PARTS:
        place, part = waiting.pop()
        if id(part) in met:
            continue
        if not isinstance(part, _ATOMS):
            met[id(part)] = part  # kept, so that no other object gets its id
        yield place, part
        waiting += [(place + step, each) for step, each in [*inner(part)][::-1]]


def inner(part: object) -> Iterator[tuple[str, object]]:
    """Yield what an object holds itself, with the step that leads there."""
    if isinstance(part, _ATOMS):
        return
    if isinstance(part, dict):
        yield from ((f"[{key!r}]", value) for key, value in part.items())
    elif isinstance(part, list | tuple | deque):
        yield from ((f"[{index}]", value) for index, value in enumerate(part))
    elif isinstance(part, set | frozenset):
        yield from ((f"{{{index}}}", value) for index, value in enumerate(part))
    elif isinstance(part, partial):
        yield from ((".func", part.func), (".args", part.args), (".keywords", part.keywords))
    elif isinstance(part, MethodType):
        yield ".__self__", part.__self__
    yield from ((f".{name}", value) for name, value in getattr(part, "__dict__", {}).items())
    for name in _slots(type(part)):
        if hasattr(part, name):
            yield f".{name}", getattr(part, name)


def shared(one: tuple[str, object], other: tuple[str, object]) -> str | None:
    """Return the place, in `one`, of a part that can change and belongs to `other`, too.

    Examples
    --------
    >>> weights = [0.0]
    >>> shared(("a", {"weights": weights}), ("b", [weights])), shared(("a", [1]), ("b", [1]))
    ("a['weights']", None)
    """
    of_other = {id(part): part for _, part in parts(*other) if _can_change(part)}
    return next((place for place, part in parts(*one) if id(part) in of_other), None)


def _can_change(part: object) -> bool:
    if isinstance(part, _ATOMS):
        return False
    if isinstance(part, tuple | frozenset | partial | MethodType):
        return False  # what they hold may
    if isinstance(part, list | dict | set | deque | bytearray):
        return True
    return any(True for _ in inner(part)) or hasattr(part, "setflags")  # a NumPy array


def _slots(kind: type) -> Iterator[str]:
    for each in kind.__mro__:
        names = vars(each).get("__slots__", ())
        yield from (names,) if isinstance(names, str) else names
