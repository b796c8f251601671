"""How what is saved is told apart: data, which every release reads, and parts that are sealed.

A River object has no other form than Python's pickle, and another version of River or Python may
not read it. So an object that holds some is saved as fields by name: each part of River's, or of
the user's own, is sealed and saved by itself, and everything else is data. A part that cannot be
read is lost alone: what has it makes a fresh one of the definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

Fields: TypeAlias = Mapping[str, Any]
"""What was saved of an object, by name."""


class Sealed:
    """Marks a part that is saved by itself; what is read has the part in its place, or `Lost`.

    Two parts share nothing that can change: each would be read with a copy of its own.
    """

    __slots__ = ("part",)

    def __init__(self, part: object) -> None:
        self.part = part


class Lost(NamedTuple):
    """Stands where a part was that cannot be read."""

    reason: str


class Saved(Protocol):
    """An object that is saved as fields: numbers, text, lists and dictionaries, and sealed parts.

    A name and what it stands for never change. A field that is added has a default in
    `from_fields`, so that what was saved without it is read.
    """

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Return the object that was saved."""
