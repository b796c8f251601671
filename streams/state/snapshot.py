"""Saved state in and out: signed, stamped with versions, and loaded through an allow-list.

An agent writes its models and windows to `state.<agent>` and to `models`, and reads them back
when it takes over a partition. River objects have no other form than Python's pickle, and a
pickle is a program. Three checks come before it is run: the signature (`signing`) says that this
key wrote it, the stamp that the form of the state can be read here, and `unpickling` runs nothing
that does not make a model's state. The stamp also has the versions of River and Python: most of
what others have written can be read, and what cannot is said to be lost, and not wrong.

Layout of what is signed::

    length of the stamp (4 bytes) | stamp | pickle

The stamp is JSON, its length begins with 0. Bytes are data of which an operator knows the form:
they need no stamp, and are no pickle. What is signed is then ``D`` and the bytes.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from river.__version__ import __version__ as river_version

from millrace.schemas import LostError, SnapshotError
from millrace.streams.state.allowed import RefusedPartError
from millrace.streams.state.fitting import fault_of
from millrace.streams.state.migrations import READABLE_VERSIONS, RENAMED, STATE_VERSION, Name
from millrace.streams.state.signing import sign, verified
from millrace.streams.state.unpickling import StateUnpickler

_DATA = b"D"
_LIBRARIES = ("river", "python")


def dump(obj: object, key: bytes) -> bytes:
    """Return `obj` signed with `key`.

    Parameters
    ----------
    obj
        State: River models, windows, metrics, plain values; bytes are written as they are.
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
    if type(obj) is bytes:
        return sign(_DATA + obj, key)
    try:
        pickled = pickle.dumps(obj, protocol=5)
    except Exception as error:  # a part's own __reduce__ may raise whatever it likes
        raise SnapshotError(
            f"a part of the state cannot be pickled: {error}."
            " Define functions and classes at the top of a module, not as a lambda or in a function"
        ) from error
    stamp = json.dumps(_stamp()).encode()
    return sign(len(stamp).to_bytes(4, "big") + stamp + pickled, key)


def load(
    data: bytes,
    key: bytes,
    allow: Iterable[str] = (),
    renamed: Mapping[Name, Name] = MappingProxyType({}),
) -> Any:
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
    renamed
        What of these has another name today: see `models.bundles.naming.renamed`.

    Raises
    ------
    LostError
        It was written with another version of River or Python, and cannot be read with this one.
    SnapshotError
        Unsigned, cut off, changed, signed with another key, of another form, or holding
        what is no part of a model's state. The message says which, and what to do.
    """
    body = verified(data, key)
    if body.startswith(_DATA):
        return body[len(_DATA) :]
    stamp_size = int.from_bytes(body[:4], "big")
    stamp = json.loads(body[4 : 4 + stamp_size])
    _check_state_version(stamp)
    renamed = {**renamed, **RENAMED.get(stamp["state"], {})}
    is_other = any(stamp.get(name) != _stamp()[name] for name in _LIBRARIES)
    try:
        loaded = StateUnpickler(body[4 + stamp_size :], tuple(allow), renamed).load()
    except Exception as error:  # an unpickled object's own code may raise whatever it likes
        is_rivers = isinstance(error, RefusedPartError) and error.is_rivers
        if isinstance(error, SnapshotError) and not is_rivers:
            raise
        if is_other:
            raise _lost(stamp, f"{type(error).__name__}: {error}") from error
        if is_rivers:
            raise
        raise SnapshotError(
            f"the snapshot does not fit the code: {type(error).__name__}: {error}."
            " If the pipeline's own classes changed, delete its state topics to start over"
        ) from error
    if is_other and (fault := fault_of(loaded)):
        raise _lost(stamp, fault)
    return loaded


@cache
def _stamp() -> dict[str, int | str]:
    return {
        "state": STATE_VERSION,
        "river": river_version,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def _lost(stamp: Mapping[str, object], why: str) -> LostError:
    written, here = _libraries(stamp), _libraries(_stamp())
    return LostError(f"what was written with {written} cannot be read with {here}: {why}")


def _libraries(stamp: Mapping[str, object]) -> str:
    return " and ".join(f"{name} {stamp.get(name)}" for name in _LIBRARIES)


def _check_state_version(stamp: Mapping[str, object]) -> None:
    found = stamp.get("state")
    if found not in READABLE_VERSIONS:
        raise SnapshotError(
            f"state of version {found!r} cannot be read by this release, which writes version"
            f" {STATE_VERSION}. Run the Millrace that wrote it, or delete the pipeline's state"
            " topics to start over"
        )
