"""A pickle run as a program that can do nothing but make state.

Python's unpickler imports what a pickle names, calls what it says, and sets what it likes. This
one knows the instructions that today's pickler writes and no others; it finds what `allowed` lists,
River's classes, and the user's own; it calls few of them; and it changes no class, function or
module. It is Python's slower one, about a quarter as fast, since the other cannot be watched.
"""

from __future__ import annotations

import pickle
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from io import BytesIO
from random import Random
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any, NoReturn, cast

import numpy as np

from millrace.models.bundles.naming import PACKAGE
from millrace.schemas import SnapshotError
from millrace.streams.state.allowed import (
    CALLED,
    HELD,
    MILLRACE,
    RIVER,
    RIVERS_COMPILED,
    WITHHELD,
    RefusedPartError,
    is_in,
)
from millrace.streams.state.migrations import Name
from millrace.streams.state.rebuilding import GUARDED, check_dtype

_INSTRUCTIONS = (
    *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINGET", "LONG_BINGET", "BINPUT"),
    *("LONG_BINPUT", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1"),
    *("LONG4", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES"),
    *("BINBYTES", "BINBYTES8", "BYTEARRAY8", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET"),
    *("ADDITEMS", "FROZENSET", "POP", "POP_MARK", "STACK_GLOBAL", "NEWOBJ", "NEWOBJ_EX", "REDUCE"),
    "BUILD",
)
"""What protocol 5 writes; not persistent ids, extension codes, or what older protocols called."""

_REDUCE, _BUILD = (
    cast(Callable[[object], None], pickle._Unpickler.dispatch[each[0]])
    for each in (pickle.REDUCE, pickle.BUILD)
)
_TEXT_METHODS = ("casefold", "lower", "split", "strip", "upper")
_CONTAINERS = (Counter, OrderedDict, defaultdict, deque, Enum)
_NEVER_BUILT = (type, FunctionType, MethodType, BuiltinFunctionType, ModuleType)


class GonePartError(SnapshotError):
    """A class or function of the user's own that is not there any more."""


class _Dispatch(dict[int, Callable[[Any], None]]):
    def __missing__(self, code: int) -> NoReturn:
        raise SnapshotError(f"a snapshot holds an instruction that none is written with: {code}")


class StateUnpickler(pickle._Unpickler):
    """Loads one pickle.

    Parameters
    ----------
    pickled
        By protocol 5.
    own
        Modules of the user's, with their submodules; besides those of bundles that are loaded, of
        an earlier definition too.
    renamed
        What has another name today.
    """

    stack: list[Any]  # these three are set by `load`
    append: Callable[[object], None]
    read: Callable[[int], bytes]
    dispatch = _Dispatch(
        (code, pickle._Unpickler.dispatch[code])
        for code in (getattr(pickle, each)[0] for each in _INSTRUCTIONS)
    )

    def __init__(self, pickled: bytes, own: Collection[str], renamed: Mapping[Name, Name]) -> None:
        super().__init__(BytesIO(pickled))
        self._size = len(pickled)
        self._own = (*own, PACKAGE)
        self._renamed = renamed
        self._callable: dict[int, object] = {}

    def find_class(self, module: str, name: str) -> object:
        """Return what a pickle names, if it may be part of the state."""
        module, name = self._renamed.get((module, name), (module, name))
        guarded = GUARDED.get((module, name))
        if guarded is not None:
            return self._called(guarded)
        if (module, name) == ("builtins", "getattr"):
            return self._called(self._bound_method)
        if (module, name) in CALLED:
            return self._called(super().find_class(module, name))
        if (module, name) in HELD or (module, name) in MILLRACE:
            return super().find_class(module, name)
        is_own = is_in(module, self._own)
        if (not is_own and not _is_rivers(module)) or "__" in name or "<" in name:
            raise RefusedPartError(module, name)
        found = self._own_part(module, name) if is_own else super().find_class(module, name)
        # An import leaves foreign names in a module, and a dotted name can lead out of it
        # ("river.tree" has "base.abc.sys"): a thing is only named as where it was defined.
        home = getattr(found, "__module__", None) or module
        if (home, getattr(found, "__qualname__", "")) != (module, name):
            raise RefusedPartError(module, name)
        if isinstance(found, type) and not issubclass(found, type):
            is_called = (
                is_own or issubclass(found, _CONTAINERS) or is_in(module, (RIVERS_COMPILED,))
            )
            return self._called(found) if is_called else found
        if isinstance(found, FunctionType | BuiltinFunctionType) or _is_compiled(found):
            return found
        raise RefusedPartError(module, name)

    def _own_part(self, module: str, name: str) -> object:
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            # The module of a bundle is not gone, but not loaded.
            kind = SnapshotError if is_in(module, [PACKAGE]) else GonePartError
            raise kind(
                f"the snapshot does not fit the code: there is no {module}.{name}. Put it back, or"
                " delete the pipeline's state topics to start over"
            ) from error

    def _called(self, found: Any) -> object:
        """Return a thing that the pickle may call."""
        self._callable[id(found)] = found
        return found

    def load_reduce(self) -> None:
        """Call what may be called."""
        called = self.stack[-2]
        if id(called) not in self._callable:
            raise _refused_call(called)
        _REDUCE(self)

    def load_build(self) -> None:
        """Set the state of an object: of no class, and no attribute that Python itself uses."""
        target, state = self.stack[-2:]
        if isinstance(target, _NEVER_BUILT) or _is_compiled(target):
            raise SnapshotError(f"a snapshot must not change {target!r}")
        if isinstance(target, np.dtype):
            check_dtype(target, state)
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict) and not hasattr(target, "__setstate__"):
                for name in part:
                    if name[:2] == "__":
                        raise SnapshotError(f"a snapshot must not set {name!r}")
        _BUILD(self)

    def load_bytearray8(self) -> None:
        """Read a bytearray that is there: Python's own makes room for any number of bytes."""
        size = int.from_bytes(self.read(8), "little")
        if size > self._size:
            raise SnapshotError(f"a snapshot is cut off: {size} bytes are missing from it")
        self.append(bytearray(self.read(size)))

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def _bound_method(self, owner: object, name: str) -> object:
        # Pickle writes a bound method as getattr(owner, name); some River models hold one.
        found = None if name.startswith("__") else getattr(owner, name, None)
        if owner is str and name in _TEXT_METHODS:
            return found
        if isinstance(found, MethodType):
            home = found.__func__.__module__
            if is_in(home, self._own) or _is_rivers(home) or type(owner) is Random:
                return found
        if isinstance(owner, re.Pattern) and isinstance(found, BuiltinMethodType):
            return found
        raise RefusedPartError(type(owner).__module__, f"{type(owner).__qualname__}.{name}")


def _refused_call(called: object) -> SnapshotError:
    """Return the error of a thing that may be part of state, but is not called to make it."""
    name = getattr(called, "__qualname__", type(called).__qualname__)
    return RefusedPartError(f"a call of {_home(called)}", name)


def _home(thing: object) -> str:
    return getattr(thing, "__module__", None) or type(thing).__module__


def _is_rivers(module: str) -> bool:
    return is_in(module, (RIVER,)) and WITHHELD.isdisjoint(module.split("."))


def _is_compiled(found: object) -> bool:
    return type(found).__name__ == "cython_function_or_method"
