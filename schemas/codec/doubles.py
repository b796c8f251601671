"""Maps whose values are all doubles, packed and unpacked in one step.

Every such map of the same names has the same bytes between its values: its shape, which is made
once and reused for every record.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct

from millrace.schemas.codec.binary import write_long, write_text

DOUBLE_BRANCH = b"\x04"
"""The byte before a double in the union of a feature's types."""

MAP_END = b"\x00"
_MAX_SHAPES = 1_000


class Shape:
    """The names of a map of doubles, and the bytes around its values.

    Parameters
    ----------
    names
        In order; at least one.
    branch
        The byte before each value: `DOUBLE_BRANCH` in a union, nothing elsewhere.
    """

    def __init__(self, names: tuple[str, ...], branch: bytes) -> None:
        around = [write_text(name) + branch for name in names]
        around[0] = write_long(len(names)) + around[0]
        around.append(MAP_END)
        self._names = names
        self._around = tuple(around)
        self._layout = Struct("<" + "d".join(f"{len(each)}s" for each in around))
        self._blank: list[object] = [b"", 0.0] * len(names) + [MAP_END]
        self._blank[::2] = around

    def write(self, values: Iterable[object]) -> bytes:
        """Return the map of these values, which are in the order of the names."""
        parts = self._blank.copy()
        parts[1::2] = values
        return self._layout.pack(*parts)

    def read(self, data: bytes, start: int) -> tuple[dict[str, object], int] | None:
        """Return the map that begins at `data[start]` and where it ends; None for another shape."""
        end = start + self._layout.size
        if end > len(data):
            return None
        parts = self._layout.unpack_from(data, start)
        if parts[::2] != self._around:
            return None
        return dict(zip(self._names, parts[1::2])), end  # noqa: B905 - equal lengths, and faster


@lru_cache(_MAX_SHAPES)
def shape_of(names: tuple[str, ...], branch: bytes) -> Shape:
    """Return the shape of a map; the same one for the same names."""
    return Shape(names, branch)
