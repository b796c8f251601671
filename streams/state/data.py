"""Plain data as bytes, and back: equal, of the same types, and to the last bit.

It is MessagePack, with extension types for what that does not have: tuples, sets, dictionaries with
other keys than text, whole numbers beyond 64 bits, text that is no Unicode, objects as fields by
name, and sealed parts. So no version of Python or River can fail to read it.

An object's fields are written under a name of its own, which is in `FORMS` for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import chain
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from millrace.models.candidates.evaluation import Prequential
from millrace.models.candidates.model_set import ModelSet
from millrace.models.certainty.coverage import Coverage
from millrace.models.certainty.pi import ProportionalIntegral
from millrace.models.certainty.sf_ogd import ScaleFreeDescent
from millrace.models.features.window import Window
from millrace.models.monitoring.drift_monitor import DriftMonitor
from millrace.models.reasons.shares import ReasonShares
from millrace.models.sealed import Fields, Saved, Sealed
from millrace.schemas import SnapshotError
from millrace.streams.operators.waiting_labels import Early
from millrace.streams.state.sealing import seal

FORMS: Mapping[str, type[Saved]] = {
    "coverage": Coverage,
    "drift_monitor": DriftMonitor,
    "early": Early,
    "models": ModelSet,
    "pi": ProportionalIntegral,
    "prequential": Prequential,
    "reason_shares": ReasonShares,
    "sf_ogd": ScaleFreeDescent,
    "window": Window,
}
"""Name to the class of the objects that are saved as fields under it."""

_NAMES = {form: name for name, form in FORMS.items()}
_TUPLE, _SET, _PAIRS, _WHOLE, _TEXT, _OBJECT, _SEALED = range(1, 8)
_TEXTS = frozenset({str})
_ATOMS = frozenset({type(None), bool, int, float, str, bytes})
_CONTAINERS = frozenset({list, dict, set})


class NotDataError(Exception):
    """An object is neither plain data, nor one that is saved as fields; or it is in two places."""


def to_data(value: object) -> bytes:
    """Return a value as bytes: plain data, objects of `FORMS`, and sealed parts, in each other.

    Raises
    ------
    NotDataError
        It holds something else, or twice what can change.
    SnapshotError
        A sealed part cannot be pickled.
    """
    try:
        return _encode(_Writer().prepared(value))
    except (OverflowError, UnicodeEncodeError):  # rare, and so not looked for each time
        return _encode(_Writer(is_careful=True).prepared(value))


def from_data(data: bytes, unseal: Callable[[memoryview], object]) -> Any:
    """Return the value of which `to_data` made these bytes.

    Parameters
    ----------
    data
        What `to_data` returned.
    unseal
        Returns a part that was sealed, or `Lost`.

    Raises
    ------
    SnapshotError
        It holds an object of a form that this release does not know.
    """

    def extended(code: int, data: memoryview) -> object:
        if code == _SEALED:
            return unseal(data)
        if code == _TEXT:
            return bytes(data).decode(errors="surrogatepass")
        if code == _WHOLE:
            return int.from_bytes(data, "little", signed=True)
        parts = decode(data)
        if code == _OBJECT:
            return _object(*parts)
        if code == _PAIRS:
            return dict(zip(parts[::2], parts[1::2], strict=True))
        return tuple(parts) if code == _TUPLE else set(parts)

    decode = msgspec.msgpack.Decoder(ext_hook=extended).decode
    return decode(data)


def _object(name: str, fields: Fields) -> object:
    if name not in FORMS:
        raise SnapshotError(
            f"a snapshot must hold objects of {[*FORMS]}; got {name!r}. Run the Millrace that"
            " wrote it, or a newer one"
        )
    return FORMS[name].from_fields(fields)


def _extension(value: Any) -> Ext:
    """Return what stands for an object or a sealed part."""
    if type(value) is Sealed:
        return Ext(_SEALED, seal(value.part))
    return Ext(_OBJECT, _encode([_NAMES[type(value)], value.to_fields()]))


_encode = msgspec.msgpack.Encoder(enc_hook=_extension).encode


class _Writer:
    """Makes of a value what MessagePack has.

    Fields of our own objects have nothing else, but for odd numbers and texts.

    Parameters
    ----------
    is_careful
        Whether each number and text is looked at, those of our own objects, too.
    """

    def __init__(self, is_careful: bool = False) -> None:
        self._is_careful = is_careful
        self._met: dict[int, object] = {}

    def prepared(self, value: Any) -> object:
        kind = type(value)
        if kind in _ATOMS:
            return _atom(value) if self._is_careful else value
        if kind in _NAMES and self._is_careful:
            fields = self._dictionary(value.to_fields())
            return Ext(_OBJECT, _encode([_NAMES[kind], fields]))
        if kind is Sealed or kind in _NAMES:
            return _extension(value)
        if kind is tuple:
            return Ext(_TUPLE, _encode(self._all(value)))
        if kind not in _CONTAINERS:
            raise NotDataError(f"{kind.__module__}.{kind.__qualname__} is no plain data")
        if id(value) in self._met:
            raise NotDataError("what can change is in two places")
        self._met[id(value)] = value  # kept, so that nothing else gets its id
        if kind is dict:
            return self._dictionary(value)
        return self._all(value) if kind is list else Ext(_SET, _encode(self._all(value)))

    def _all(self, values: Collection[object]) -> Collection[object]:
        if not self._is_careful and _ATOMS.issuperset(map(type, values)):
            return values
        return [self.prepared(each) for each in values]

    def _dictionary(self, value: dict[Any, object]) -> object:
        if self._is_careful or not _TEXTS.issuperset(map(type, value)):
            return Ext(_PAIRS, _encode(self._all([*chain.from_iterable(value.items())])))
        if _ATOMS.issuperset(map(type, value.values())):
            return value
        return {key: self.prepared(each) for key, each in value.items()}


def _atom(value: object) -> object:
    """Return a number or text; what MessagePack may not have as an extension."""
    if type(value) is int and not -(2**63) <= value < 2**64:
        return Ext(_WHOLE, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
    if type(value) is str:
        return Ext(_TEXT, value.encode(errors="surrogatepass"))
    return value
