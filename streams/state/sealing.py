"""Sealed parts: each a pickle of its own, with its own stamp, read alone or lost alone.

The stamp has the versions of River and Python, and the digest of the code of a user's own class. A
part that cannot be read any more is lost, whatever the reason: a class or an attribute is gone, or
the user's code raises. What nobody but a forger has written, such as a name that is no part of
any model, is refused.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Collection, Mapping
from functools import cache
from typing import NotRequired, TypedDict

import msgspec
from river.__version__ import __version__ as river_version
from river.compose import Pipeline

from millrace.models.identity.description import identity_of
from millrace.models.identity.source import is_own
from millrace.models.sealed import Lost
from millrace.models.user_code import contained, told
from millrace.schemas import SnapshotError
from millrace.streams.state.allowed import RefusedPartError
from millrace.streams.state.fitting import fault_of
from millrace.streams.state.migrations import Name
from millrace.streams.state.unpickling import GonePartError, StateUnpickler


class Stamp(TypedDict):
    """What a part was written with; `code` is the digest of the user's own classes in it."""

    river: str
    python: str
    code: NotRequired[str]


HERE = Stamp(river=river_version, python=f"{sys.version_info.major}.{sys.version_info.minor}")
"""What this release writes of a part that has no code of the user's."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def seal(part: object) -> bytes:
    """Return a part as bytes.

    Raises
    ------
    SnapshotError
        It cannot be pickled.
    """
    try:
        pickled = pickle.dumps(part, protocol=5)
    except Exception as error:  # a part's own __reduce__ may raise whatever it likes
        raise SnapshotError(
            f"a part of the state cannot be pickled: {error}."
            " Define functions and classes at the top of a module, not as a lambda or in a function"
        ) from error
    return _encode([_stamp(_classes(part)), pickled])


def unseal(data: bytes | memoryview, own: Collection[str], renamed: Mapping[Name, Name]) -> object:
    """Return the part that was sealed, or `Lost`.

    Parameters
    ----------
    data
        What `seal` returned.
    own
        Modules of the user's, with their submodules.
    renamed
        What has another name today.

    Raises
    ------
    SnapshotError
        It holds what is no part of a model's state.
    """
    stamp, pickled = _decode(data)
    is_other = any(stamp[name] != here for name, here in HERE.items())
    try:
        part = StateUnpickler(pickled, own, renamed).load()
    except Exception as error:  # the user's own code may raise whatever it likes
        if _is_refused(error, is_other):
            raise
        return lost(stamp, told(error))
    changed = own if stamp.get("code") != _stamp(_classes(part)).get("code") else ()
    if is_other or changed:
        fault = fault_of(part, changed)
        if fault:
            return lost(stamp, fault)
    return part


def _is_refused(error: Exception, is_other: bool) -> bool:
    """Whether an error says that there is what is no part of any model."""
    if isinstance(error, RefusedPartError):
        is_lost = error.is_gone or (error.is_rivers and is_other)  # which has other names
        return not is_lost
    return isinstance(error, SnapshotError) and not isinstance(error, GonePartError)


def lost(stamp: Mapping[str, object], why: str) -> Lost:
    """Return what stands for a part that was written with the versions of a stamp."""
    written, here = _versions(stamp), _versions(HERE)
    return Lost(f"what was written with {written} cannot be read with {here}: {why}")


def _versions(stamp: Mapping[str, object]) -> str:
    return " and ".join(f"{name} {stamp.get(name)}" for name in HERE)


def _classes(part: object) -> tuple[type, ...]:
    """Return the class of a part, or those of the steps of a pipeline."""
    if isinstance(part, Pipeline):
        return tuple(map(type, part.steps.values()))
    return (type(part),)


@cache
def _stamp(kinds: tuple[type, ...]) -> Stamp:
    """Return the stamp of a part of these classes."""
    own = [each for each in kinds if is_own(each.__module__)]
    with contained():
        return Stamp(**HERE, code=identity_of(*own)) if own else HERE
    return HERE
