"""What a part of a definition means, as data, and the digest of that: its identity.

A value is described by what it is made of: an object by its class and the parameters of its
constructor that are not the defaults, as River's convention has them in attributes of the same
names; a partial by its parts; a function or class of the author's by its code (`own_code`); what
comes from a library by its name. So a part keeps its identity when the file around it changes, or
when Python, River or Millrace do.
"""

from __future__ import annotations

import copyreg
import enum
import inspect
import json
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import partial
from hashlib import sha256
from pathlib import PurePath
from re import Pattern
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any, TypeAlias

import numpy as np

from millrace.models.bundles.naming import plain_name
from millrace.models.identity.own_code import constants_of, references_of, syntax_of
from millrace.models.identity.source import Code, folder_of, home_of, is_own
from millrace.models.pipeline.definition import Pipeline

_DIGITS = 32  # each manifest has as many for each part
_DRAW_AT_RANDOM = (random.Random, np.random.Generator, np.random.RandomState)
_DEFAULT = object()
_FASTER = "millrace.models.candidates.accelerated."  # River's classes, with River's results


def identity_of(*values: object) -> str:
    """Return the identity of values: 32 hexadecimal digits.

    Raises
    ------
    DefinitionError
        The source of a function or class of the author's cannot be found.

    Examples
    --------
    >>> from river.linear_model import LogisticRegression
    >>> default = identity_of(LogisticRegression())
    >>> default == identity_of(LogisticRegression(l2=0.0))
    True
    >>> default == identity_of(LogisticRegression(l2=0.1))
    False
    """
    described = _Description()
    data = [described.of(value) for value in values]
    return sha256(json.dumps(data, separators=(",", ":")).encode()).hexdigest()[:_DIGITS]


def texts_in(value: object) -> frozenset[str]:
    """Return each text that a value holds, or that the code which it refers to has written out.

    Examples
    --------
    >>> sorted(texts_in(({"size": 1}, "colour")))
    ['colour', 'size']
    """
    described = _Description()
    described.of(value)
    return frozenset(described.texts)


_Describe: TypeAlias = Callable[[Any], Any]

_ATOMS: Sequence[tuple[Any, _Describe]] = (
    ((NoneType, bool, int), lambda value: value),
    (float, lambda value: ["float", value.hex()]),
    (
        (bytes, complex, range, date, time, timedelta, tzinfo, Decimal, Fraction),
        lambda value: [_name(type(value)), repr(value)],
    ),
    (ModuleType, lambda value: ["module", plain_name(value.__name__)]),
    (
        (np.ndarray, np.generic),
        lambda value: ["array", str(value.dtype), value.shape, _bits(value)],
    ),
    ((logging.Logger, logging.LoggerAdapter), lambda _: ["logger"]),  # whose name is its module's
    (Pipeline, lambda _: ["pipeline"]),  # of which this is a part
)


class _Description:
    """Describes values; one that is met again is only pointed to, so that cycles end."""

    def __init__(self) -> None:
        self.texts: set[str] = set()
        self._folders: list[str] = []  # of the author's code
        self._met: dict[int, tuple[int, object]] = {}  # and the objects, which keep their ids
        self._holders: Sequence[tuple[Any, _Describe]] = (
            (Mapping, lambda value: ["mapping", *map(self._each, value.items())]),
            ((list, tuple), lambda value: ["sequence", *self._each(value)]),
            ((set, frozenset), self._set),
            (Pattern, lambda value: ["pattern", self.of(value.pattern), value.flags]),
            (
                partial,
                lambda value: ["partial", *self._each([value.func, value.args, value.keywords])],
            ),
            (MethodType, lambda value: ["method", self.of(value.__self__), value.__name__]),
            ((FunctionType, BuiltinFunctionType, type), self._code),
            (object, self._object),
        )

    def of(self, value: object) -> Any:
        """Return a value as data for JSON."""
        if isinstance(value, enum.Enum):
            return self._enum(value)
        if isinstance(value, str):
            self.texts.add(value)
            return self._placed(value)
        if isinstance(value, PurePath):
            return ["path", self._placed(str(value))]
        for kinds, describe in _ATOMS:
            if isinstance(value, kinds):
                return describe(value)
        if id(value) in self._met:
            return ["again", self._met[id(value)][0]]
        self._met[id(value)] = len(self._met), value
        describe = next(describe for kinds, describe in self._holders if isinstance(value, kinds))
        return describe(value)

    def _each(self, values: Iterable[object]) -> list[Any]:
        return [*map(self.of, values)]

    def _note_folder(self, code: Code) -> None:
        self._folders += {folder_of(code)} - {*self._folders, ""}

    def _placed(self, text: str) -> str:
        """Return a text that may be a path, or a module's name, as it is wherever the code lies."""
        for folder in self._folders:
            if text == folder or text.startswith((f"{folder}/", f"{folder}\\")):
                return f".{text[len(folder) :]}"
        return plain_name(text)

    def _enum(self, value: enum.Enum) -> Any:
        kind = type(value)
        return ["enum", self.of(kind) if is_own(kind.__module__) else _name(kind), value.name]

    def _set(self, values: Iterable[object]) -> Any:
        self.texts.update(*map(texts_in, values))
        return ["set", *sorted(map(identity_of, values))]

    def _code(self, code: Any) -> Any:
        if not isinstance(code, FunctionType | type):
            return ["name", _name(code)]
        if not is_own(home_of(code)):
            decorated = getattr(code, "__wrapped__", None)
            if decorated is None:
                return ["name", _name(code)]
            return ["wrapper", home_of(code), self.of(decorated)]
        self._note_folder(code)
        refers = [[each.name, self.of(each.value)] for each in references_of(code)]
        self.texts |= constants_of(code)
        return ["code", syntax_of(code), *refers]

    def _object(self, value: object) -> Any:
        kind = type(value)
        if hasattr(value, "__wrapped__"):
            return ["wrapper", _name(kind), self.of(value.__wrapped__)]
        if is_own(kind.__module__):
            self._note_folder(kind)
        given = [*_parameters(value)]
        if not given and not is_own(kind.__module__) and not isinstance(value, _DRAW_AT_RANDOM):
            return self._reduced(value)
        changed = [
            [name, described]
            for name, part, default in given
            if (described := self._unless_default(part, default)) is not _DEFAULT
        ]
        return ["object", self.of(kind), *changed]

    def _unless_default(self, part: object, defaults: Iterable[object]) -> Any:
        """Describe a parameter; what is left out counts as not met, and is described elsewhere."""
        met = len(self._met)
        described = self.of(part)
        if described not in map(_Description().of, defaults):
            return described
        while len(self._met) > met:
            self._met.popitem()
        return _DEFAULT

    def _reduced(self, value: object) -> Any:
        """Describe a library's object by what would make it again."""
        kind = _name(type(value))
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            reduced = value.__reduce_ex__(2) if reduce is None else reduce(value)
        except Exception:  # it cannot be pickled
            return ["object", kind]
        made = [reduced] if isinstance(reduced, str) else [*map(self.of, reduced[:3])]
        return ["made", kind, *made]


def _parameters(value: object) -> Iterator[tuple[str, object, list[object]]]:
    """Yield the parameters that an object was made with, each with what may be its default.

    An author's own class may keep one under another name: then all that the object has counts.
    """
    kind = type(value)
    with suppress(TypeError, ValueError):  # it has no signature
        parameters = inspect.signature(kind).parameters
        if is_own(kind.__module__) and not all(hasattr(value, name) for name in parameters):
            yield "attributes", object.__getstate__(value), []
            return
        untouched = None if is_own(kind.__module__) else _without_parameters(kind)
        for name, parameter in parameters.items():
            if hasattr(value, name):
                defaults = [each for each in (parameter.default,) if each is not parameter.empty]
                defaults += [getattr(each, name) for each in (untouched,) if hasattr(each, name)]
                yield name, getattr(value, name), defaults


def _without_parameters(kind: type) -> object:
    """Return an object as its constructor makes it of all defaults; None where it cannot."""
    with suppress(Exception):
        return kind()
    return None


def _bits(array: Any) -> str:
    return sha256(array.tobytes()).hexdigest()


def _name(named: Any) -> str:
    """Return the full name of a class or function; River's, of a faster one of Millrace's.

    The module of the author's own is left out: a file may get another name, or come in a bundle.
    """
    if isinstance(named, type):
        named = next(each for each in named.__mro__ if not each.__module__.startswith(_FASTER))
    module = str(named.__module__)
    return f"{'own' if is_own(module) else module}.{getattr(named, '__qualname__', named.__name__)}"
