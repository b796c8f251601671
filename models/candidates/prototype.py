"""Copies of a prototype: how a new key gets untrained models without making them from scratch.

With scope `key` and more keys than may have models, every other event may need new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cached_property
from io import BytesIO
from pickle import HIGHEST_PROTOCOL, Pickler, Unpickler
from typing import Generic, TypeVar, cast

from river.compose import Pipeline

from millrace.models.pipeline.parts import parts
from millrace.models.user_code import contained

T = TypeVar("T")


class Prototype(Generic[T]):
    """Makes copies of an object that share nothing that can change.

    They are loaded from a pickle in which what cannot change stands for itself. What cannot be
    pickled is made each time.

    Parameters
    ----------
    make
        Returns the object, equal and independent at every call.

    Examples
    --------
    >>> prototype = Prototype(lambda: {"weights": [0.0]})
    >>> one, other = prototype.copy(), prototype.copy()
    >>> one["weights"].append(1.0)
    >>> other
    {'weights': [0.0]}
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make

    @cached_property
    def copy(self) -> Callable[[], T]:
        """Return a copy."""
        original = self._make()
        _look_ahead(original)
        with contained():
            copy = _copier(original)
            copy()
            return copy
        return self._make


class _Pickler(Pickler):
    """Leaves out what cannot change, and keeps it in a list."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file, HIGHEST_PROTOCOL)
        self.left_out: list[object] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, part: object) -> int | None:
        if not _never_changes(part):
            return None
        place = self._places.setdefault(id(part), len(self.left_out))
        if place == len(self.left_out):
            self.left_out.append(part)
        return place


def _copier(original: T) -> Callable[[], T]:
    file = BytesIO()
    pickler = _Pickler(file)
    pickler.dump(original)
    pickled, left_out = file.getvalue(), pickler.left_out.__getitem__

    def copy() -> T:
        unpickler = Unpickler(BytesIO(pickled))  # noqa: S301 - pickled above
        unpickler.persistent_load = left_out  # type: ignore[method-assign]  # as a subclass would
        return cast(T, unpickler.load())

    return copy


def _never_changes(part: object) -> bool:
    if type(part) is frozenset:
        return all(type(each) is str for each in part)
    return type(part) is str or isinstance(part, type | Enum)


def _look_ahead(original: object) -> None:
    """Let River's pipelines look up what their steps can do now, not at the first event."""
    for _, part in parts("", original):
        if isinstance(part, Pipeline):
            part._build_plan()
