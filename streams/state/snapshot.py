"""Saved state in and out: signed, stamped with versions, and loaded through an allow-list.

An agent writes its models and windows to `state.<agent>` and to `models`, and reads them back
when it takes over a partition. River objects have no other form than Python's pickle, and a
pickle is a program. Three checks come before it is run: the signature (`signing`) says that this
key wrote it, the stamp that its versions can be read here, and the allow-list refuses whatever
does not belong in a model's state.

Layout of what is signed::

    length of the stamp (4 bytes) | stamp | pickle

The stamp is JSON.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from io import BytesIO
from re import Pattern
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, MethodType
from typing import Any

from river.__version__ import __version__ as river_version

from millrace.schemas import SnapshotError
from millrace.streams.state.migrations import READABLE_VERSIONS, RENAMED, STATE_VERSION, Name
from millrace.streams.state.signing import sign, verified

_TRUSTED_CLASSES = ("river", "millrace.models", "millrace.schemas")
_TRUSTED_FUNCTIONS = ("river",)
# These read or write files, fetch, or run code when they are called: not part of any state.
_WITHHELD = (
    *("river.checks", "river.datasets", "river.evaluate", "river.stream"),
    *("millrace.models.pipeline.loading", "millrace.models.tables"),
)
# What plain values, random number generators and NumPy arrays are rebuilt by. Nothing here
# can reach beyond its arguments: no attribute access by name, no import, no evaluation.
_LISTED = {
    "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice"
    " str tuple",
    "collections": "ChainMap Counter OrderedDict UserDict UserList defaultdict deque",
    "copy": "deepcopy",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "functools": "partial",
    "numbers": "Integral Number Real",
    "numpy": "dtype ndarray",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy._core.numeric": "_frombuffer",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64",
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
    "random": "Random",
    "re": "_compile Pattern",
    "statistics": "NormalDist",
    "uuid": "UUID",
}
_TEXT_METHODS = ("casefold", "lower", "split", "strip", "upper")
_ALLOWED = frozenset((module, name) for module, names in _LISTED.items() for name in names.split())


def dump(obj: object, key: bytes) -> bytes:
    """Return `obj` signed with `key`.

    Parameters
    ----------
    obj
        State: River models, windows, metrics, plain values.
    key
        The secret that signs; the same one is needed to load.

    Raises
    ------
    SnapshotError
        `key` is empty, or a part of `obj` cannot be pickled (a lambda, an open file).

    Examples
    --------
    >>> from river import linear_model
    >>> model = linear_model.LogisticRegression()
    >>> model.learn_one({"x": 1.0}, True)
    >>> load(dump(model, b"secret"), b"secret").weights
    {'x': 0.005}
    """
    try:
        pickled = pickle.dumps(obj, protocol=5)
    except Exception as error:  # a part's own __reduce__ may raise whatever it likes
        raise SnapshotError(
            f"a part of the state cannot be pickled: {error}."
            " Define functions and classes at the top of a module, not as a lambda or in a function"
        ) from error
    stamp = json.dumps(_stamp()).encode()
    return sign(len(stamp).to_bytes(4, "big") + stamp + pickled, key)


def load(data: bytes, key: bytes, allow: Iterable[str] = ()) -> Any:
    """Return the object in `data`, once its signature, versions and parts have been checked.

    Parameters
    ----------
    data
        What `dump` returned.
    key
        The secret that it was signed with.
    allow
        Modules, submodules included, whose classes and functions may be part of the state
        besides River's and Millrace's: the one that defines the pipeline.

    Raises
    ------
    SnapshotError
        Unsigned, cut off, changed, signed with another key, of another version, or holding
        what is no part of a model's state. The message says which, and what to do.
    """
    body = verified(data, key)
    stamp_size = int.from_bytes(body[:4], "big")
    stamp = json.loads(body[4 : 4 + stamp_size])
    _check_stamp(stamp)
    renamed = RENAMED.get(stamp["state"], {})
    try:
        return _Unpickler(body[4 + stamp_size :], tuple(allow), renamed).load()
    except SnapshotError:
        raise
    except Exception as error:  # an unpickled object's own code may raise whatever it likes
        raise SnapshotError(
            f"the snapshot does not fit the code: {type(error).__name__}: {error}."
            " If the pipeline's own classes changed, delete its state topics to start over"
        ) from error


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, pickled: bytes, allow: tuple[str, ...], renamed: Mapping[Name, Name]
    ) -> None:
        super().__init__(BytesIO(pickled))
        self._allow = allow
        self._renamed = renamed

    def find_class(self, module: str, name: str) -> object:
        """Return what a pickle names, if it may be part of the state."""
        module, name = self._renamed.get((module, name), (module, name))
        if (module, name) == ("builtins", "getattr"):
            return self._bound_method
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        if not self._is_trusted_module(module):
            raise _refused(module, name)
        found = super().find_class(module, name)
        # A dotted name can lead out of its module ("river.tree" has "base.abc.sys"), and an
        # import leaves foreign names in it: what counts is where the thing was defined.
        if not self._is_trusted(found):
            raise _refused(module, name)
        return found

    def _bound_method(self, owner: object, name: str) -> object:
        # Pickle writes a bound method as getattr(owner, name); some River models hold one.
        found = None if name.startswith("__") else getattr(owner, name, None)
        if owner is str and name in _TEXT_METHODS:
            return found
        if isinstance(found, MethodType) and self._is_trusted(found.__func__):
            return found
        if isinstance(owner, Pattern) and isinstance(found, BuiltinMethodType):
            return found
        raise _refused(type(owner).__module__, f"{type(owner).__qualname__}.{name}")

    def _is_trusted_module(self, module: str) -> bool:
        return _is_in(module, self._allow) or _is_in(module, _TRUSTED_CLASSES)

    def _is_trusted(self, found: object) -> bool:
        module = getattr(found, "__module__", None) or ""
        if isinstance(found, type):
            named = (module, found.__qualname__) in _ALLOWED
            return named or _is_in(module, self._allow) or _has(module, _TRUSTED_CLASSES)
        if isinstance(found, FunctionType | BuiltinFunctionType) or _is_compiled(found):
            return _is_in(module, self._allow) or _has(module, _TRUSTED_FUNCTIONS)
        return False


def _is_compiled(found: object) -> bool:
    return type(found).__name__ == "cython_function_or_method"


def _has(module: str, packages: tuple[str, ...]) -> bool:
    return _is_in(module, packages) and not _is_in(module, _WITHHELD)


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in packages)


@cache
def _stamp() -> dict[str, int | str]:
    return {
        "state": STATE_VERSION,
        "river": river_version,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def _check_stamp(stamp: Mapping[str, object]) -> None:
    for name, here in _stamp().items():
        found = stamp.get(name)
        if found != here and not (name == "state" and found in READABLE_VERSIONS):
            raise SnapshotError(
                f"a snapshot of {name} version {found!r} cannot be read by {name} version {here}."
                f" Run it with {name} {found}, or delete the pipeline's state topics to start over"
            )


def _refused(module: str, name: str) -> SnapshotError:
    return SnapshotError(
        "a snapshot may hold parts of River, of Millrace and of the pipeline's own module;"
        f" got {module}.{name}. If it belongs to the model, define it in the pipeline's module"
    )
