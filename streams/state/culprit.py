"""Which part of an object cannot be saved, or loaded again."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, GeneratorType

from millrace.models.pipeline.parts import inner


def culprit(
    place: str, part: object, fails: Callable[[object], bool], met: frozenset[int] = frozenset()
) -> tuple[str, object]:
    """Return the innermost part that fails by itself, and its place.

    Parameters
    ----------
    place, part
        What fails.
    fails
        Whether an object fails by itself.

    Examples
    --------
    >>> culprit("m", {"a": [1, print]}, lambda part: "print" in repr(part))[0]
    "m['a'][1]"
    """
    met |= {id(part)}
    for step, each in inner(part):
        if id(each) not in met and fails(each):
            return culprit(place + step, each, fails, met)
    return place, part


def described(part: object) -> str:
    """Say what an object is, in words.

    Examples
    --------
    >>> described(lambda: 1), described((n for n in "a")), described(1.5)
    ('a lambda', 'a generator', 'an object of the class float')
    """
    if isinstance(part, FunctionType):
        if part.__name__ == "<lambda>":
            return "a lambda"
        inside = " inside another" if "<locals>" in part.__qualname__ else ""
        return f"the function {_name(part)}{inside}"
    if isinstance(part, GeneratorType):
        return "a generator"
    if isinstance(part, type):
        return f"the class {_name(part)}"
    inside = ", defined inside a function" if "<locals>" in type(part).__qualname__ else ""
    return f"an object of the class {_name(type(part))}{inside}"


def _name(named: FunctionType | type) -> str:
    module = named.__module__
    name = named.__qualname__.rpartition("<locals>.")[2]
    return name if module == "builtins" else f"{module}.{name}"
