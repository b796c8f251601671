"""What the parameters of a definition may be: their types, their ranges, and their names.

Whatever a user writes in a definition is checked here, when the definition is made. An error is
one line: "<parameter> must be <what>; got <value!r>", and the fix.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import wraps
from typing import ParamSpec, TypeVar

from millrace.models.user_code import PASSED_ON, shown
from millrace.schemas import DefinitionError

P = ParamSpec("P")
R = TypeVar("R")
Kind = TypeVar("Kind", bound=StrEnum)
Class = TypeVar("Class", bound=type)

_LONGEST_TEXT = 1_000
_LONGEST_TIME = timedelta(days=365_000)  # what is longer could not be added to a date


def require(holds: bool, requirement: str, got: object) -> None:
    """Refuse a part of a definition, where `requirement` ("<parameter> must be <what>") is not met.

    Raises
    ------
    DefinitionError
        With the requirement and what was given instead.
    """
    if not holds:
        raise DefinitionError(f"{requirement}; got {shown(got)}")


def text(parameter: str, value: object) -> None:
    """Refuse what is not text, is empty, or cannot be printed."""
    is_text = isinstance(value, str) and value != "" and value.isprintable()
    require(is_text, f"{parameter} must be text", value)
    must = f"{parameter} must have {_LONGEST_TEXT} letters or less"
    require(len(str(value)) <= _LONGEST_TEXT, must, value)


def one_of(requirement: str, value: object, known: Collection[str]) -> None:
    """Refuse what is not among the known names, and say which was perhaps meant."""
    if not isinstance(value, str) or value not in known:
        raise DefinitionError(f"{requirement}; got {shown(value)}{suggestion(value, known)}")


def whole_number(parameter: str, value: object, *, least: int = 1, most: int = 10**9) -> None:
    """Refuse what is not a whole number in a range; True and False are none."""
    must = f"{parameter} must be a whole number of {least:,} or more"
    if isinstance(value, bool) or not isinstance(value, int):
        raise DefinitionError(f"{must}; got {shown(value)}")
    require(value >= least, must, value)
    require(value <= most, f"{parameter} must be {most:,} or less", value)


def fraction(parameter: str, value: object, *, may_be_0: bool = False) -> None:
    """Refuse what is not a number between 0 and 1; True and False are none."""
    lowest = "from 0" if may_be_0 else "above 0"
    must = f"{parameter} must be a number {lowest} and below 1"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DefinitionError(f"{must}; got {shown(value)}")
    require(0 < value < 1 or (may_be_0 and value == 0), must, value)


def duration(parameter: str, value: object, *, least: timedelta) -> None:
    """Refuse what is not a time span of `least` or more."""
    must = f"{parameter} must be a timedelta of {least} or more, for example timedelta(hours=1)"
    if not isinstance(value, timedelta):
        raise DefinitionError(f"{must}; got {shown(value)}")
    require(value >= least, must, value)
    require(
        value <= _LONGEST_TIME, f"{parameter} must be {_LONGEST_TIME.days:,} days or less", value
    )


def sequence(parameter: str, value: object, of: str) -> None:
    """Refuse what has no order, is read only once, or is a single text."""
    require(isinstance(value, list | tuple), f"{parameter} must be a list of {of}", value)


def choice(parameter: str, value: object, kind: type[Kind]) -> Kind:
    """Return the member of an enumeration that `value` names.

    Examples
    --------
    >>> choice("size", "bigg", StrEnum("Size", ["SMALL", "BIG"]))
    Traceback (most recent call last):
    millrace.schemas.errors.DefinitionError: size must be one of 'small', 'big'; got 'bigg'. Did you
    mean 'big'?
    """
    names = [each.value for each in kind]
    one_of(f"{parameter} must be one of {', '.join(map(repr, names))}", value, names)
    return kind(str(value))


def function(parameter: str, value: object, *, arguments: int, returns: str) -> None:
    """Refuse what cannot be called with so many arguments, or returns something to wait for."""
    must = f"{parameter} must be a callable that returns {returns}"
    require(callable(value), must, value)
    called = value if inspect.isroutine(value) else getattr(value, "__call__", None)  # noqa: B004
    is_waited_for = any(
        check(each)
        for each in (value, called)
        for check in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    )
    require(not is_waited_for, f"{must}, not `async`", value)
    try:
        inspect.signature(value).bind(*range(arguments))  # type: ignore[arg-type]  # a callable
    except ValueError:  # of a builtin that does not tell
        return
    except TypeError as error:
        count = {0: "no argument", 1: "one argument", 3: "three arguments"}[arguments]
        raise DefinitionError(
            f"{parameter} must take {count}; got {shown(value)} ({error}). Put it in a lambda that"
            " passes the others"
        ) from None


def made(parameter: str, factory: Callable[[], R], *, returns: str) -> R:
    """Return what a user's factory makes.

    Raises
    ------
    DefinitionError
        It raises an exception, or ends the process.
    """
    try:
        return factory()
    except PASSED_ON:
        raise
    except BaseException as error:  # the user's code may raise anything
        raise DefinitionError(
            f"{parameter} must be a callable that returns {returns}; got {shown(error)}"
        ) from error


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return a sentence with the name that was perhaps meant; empty where none is close.

    Examples
    --------
    >>> suggestion("windw", ["field", "window"])
    ". Did you mean 'window'?"
    """
    close = get_close_matches(name, [*known], n=1) if isinstance(name, str) else []
    return f". Did you mean {close[0]!r}?" if close else ""


def named(call: Callable[P, R]) -> Callable[P, R]:
    """Refuse parameters that `call` does not have, or lacks, in Millrace's own words.

    A parameter that is annotated as `bool` must be True or False.
    """
    signature = inspect.signature(call)
    flags = [each.name for each in signature.parameters.values() if each.annotation == "bool"]

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise DefinitionError(_misnamed(call.__name__, signature, kwargs, error)) from None
        for name in flags:
            is_flag = isinstance(given.get(name, True), bool)
            require(is_flag, f"{call.__name__}(): {name} must be True or False", given.get(name))
        return call(*args, **kwargs)

    return checked


def named_fields(kind: Class) -> Class:
    """Refuse parameters that the constructor of a class does not have, or lacks."""
    original = kind.__init__  # type: ignore[misc]  # of this very class
    signature = inspect.signature(kind)

    @wraps(original)
    def checked(self: object, *args: object, **kwargs: object) -> None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise DefinitionError(_misnamed(kind.__name__, signature, kwargs, error)) from None
        original(self, *args, **kwargs)

    kind.__init__ = checked  # type: ignore[misc]
    return kind


def _misnamed(
    name: str, signature: inspect.Signature, given: Iterable[str], error: TypeError
) -> str:
    parameters = signature.parameters.values()
    known = [each.name for each in parameters if each.kind is not each.VAR_POSITIONAL]
    has = f"Its parameters are {', '.join(known) or 'given without names'}"
    for each in given:
        if each not in known:
            return f"{name}() has no parameter {each!r}{suggestion(each, known) or f'. {has}'}"
    return f"{name}(): {error}. {has}; give them by name"
