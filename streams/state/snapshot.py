"""Saved state in and out: signed, stamped with the version of its form, and loaded part by part.

An agent writes its models and windows to `state.<agent>` and to `models`, and reads them back
when it takes over a partition. What it writes is data (`data`), but for what has no other form than
Python's pickle: River's objects, and the user's own. Each of these is sealed in it (`sealing`). A
pickle is a program. Three checks come before it is run: the signature (`signing`) says that this
key wrote it, the stamp that the form of the state can be read here, and `unpickling` runs nothing
that does not make a model's state.

Layout of what is signed::

    length of the stamp (4 bytes) | stamp | data; up to version 3, one pickle

The stamp is JSON, its length begins with 0. Bytes are data of which an operator knows the form:
they need no stamp. What is signed is then ``D`` and the bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from millrace.models.sealed import Lost, Sealed
from millrace.schemas import LostError, SnapshotError
from millrace.streams.state.allowed import RefusedPartError
from millrace.streams.state.data import NotDataError, from_data, to_data
from millrace.streams.state.fitting import fault_of
from millrace.streams.state.migrations import (
    PICKLED_VERSIONS,
    READABLE_VERSIONS,
    RENAMED,
    STATE_VERSION,
    Name,
)
from millrace.streams.state.sealing import HERE, lost, unseal
from millrace.streams.state.signing import sign, verified
from millrace.streams.state.unpickling import StateUnpickler

_DATA = b"D"
_STAMP = json.dumps({"state": STATE_VERSION}).encode()
_HEAD = len(_STAMP).to_bytes(4, "big") + _STAMP


@dataclass
class Loaded:
    """What was loaded.

    Attributes
    ----------
    value
        The object; a part that is lost has `Lost` in its place.
    lost
        The parts that are lost.
    """

    value: Any
    lost: list[Lost] = field(default_factory=list)


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
        data = to_data(obj)
    except NotDataError:  # the user's own, as a whole: its parts may share others
        data = to_data(Sealed(obj))
    return sign(_HEAD + data, key)


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
        A part of it cannot be read any more.
    SnapshotError
        Unsigned, cut off, changed, signed with another key, of another form, or holding
        what is no part of a model's state. The message says which, and what to do.
    """
    loaded = load_parts(data, key, allow, renamed)
    if loaded.lost:
        raise LostError(loaded.lost[0].reason)
    return loaded.value


def load_parts(
    data: bytes,
    key: bytes,
    allow: Iterable[str] = (),
    renamed: Mapping[Name, Name] = MappingProxyType({}),
) -> Loaded:
    """Return as much as can be read of the object in `data`; else as `load`."""
    body = verified(data, key)
    if body.startswith(_DATA):
        return Loaded(body[len(_DATA) :])
    stamp_size = int.from_bytes(body[:4], "big")
    stamp, content = json.loads(body[4 : 4 + stamp_size]), body[4 + stamp_size :]
    _check_state_version(stamp)
    own, renamed = tuple(allow), {**renamed, **RENAMED.get(stamp["state"], {})}
    if stamp["state"] in PICKLED_VERSIONS:
        return Loaded(_unpickled(stamp, StateUnpickler(content, own, renamed)))
    loaded = Loaded(None)

    def opened(sealed: memoryview) -> object:
        part = unseal(sealed, own, renamed)
        if isinstance(part, Lost):
            loaded.lost.append(part)
        return part

    loaded.value = from_data(content, opened)
    return loaded


def _unpickled(stamp: Mapping[str, object], unpickler: StateUnpickler) -> object:
    """Return what was pickled as a whole, up to version 3."""
    is_other = any(stamp.get(name) != here for name, here in HERE.items())
    try:
        loaded = unpickler.load()
    except Exception as error:  # an unpickled object's own code may raise whatever it likes
        is_rivers = isinstance(error, RefusedPartError) and error.is_rivers
        if isinstance(error, SnapshotError) and not is_rivers:
            raise
        if is_other:
            raise LostError(lost(stamp, f"{type(error).__name__}: {error}").reason) from error
        if is_rivers:
            raise
        raise SnapshotError(
            f"the snapshot does not fit the code: {type(error).__name__}: {error}."
            " If the pipeline's own classes changed, delete its state topics to start over"
        ) from error
    if is_other and (fault := fault_of(loaded)):
        raise LostError(lost(stamp, fault).reason)
    return loaded


def _check_state_version(stamp: Mapping[str, object]) -> None:
    found = stamp.get("state")
    if found not in READABLE_VERSIONS:
        raise SnapshotError(
            f"state of version {found!r} cannot be read by this release, which writes version"
            f" {STATE_VERSION}. Run the Millrace that wrote it, or delete the pipeline's state"
            " topics to start over"
        )
