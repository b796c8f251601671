"""From columns to the bytes of records, without a step of Python for each value.

What all records share, and what is equally wide in each, are the rows of one array: a template,
whose holes numpy fills. Only what differs in width is joined to the rows one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby, repeat
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Part: TypeAlias = bytes | NDArray[np.void] | list[bytes]
"""A piece of each record: bytes that follow from its type, an array of what is equally wide (of
one item, if all are the same), or bytes for each."""

_MAX_TEMPLATES = 250


def joined(parts: Iterable[Part], count: int) -> list[bytes]:
    r"""Return the bytes of so many records, of which `parts` are the pieces, in order.

    Examples
    --------
    >>> joined([b"<", holes(b"ab", 1), holes(b"-"), b">", [b"!", b"??"]], 2)
    [b'<a->!', b'<b->??']
    """
    pieces: list[Iterable[bytes]] = []
    for is_for_each, run in groupby(parts, _is_for_each):
        some = [*run]
        pieces += some if is_for_each else [_rows(some, count)]  # type: ignore[arg-type] # as the key says
    return [*pieces[0]] if len(pieces) == 1 else [*map(b"".join, zip(*pieces, strict=True))]


def holes(data: bytes, width: int = 0) -> NDArray[np.void]:
    """Return the part that fills holes of this width; by default one that is the same in all."""
    return np.frombuffer(data, _hole(width or len(data)))


def _is_for_each(part: Part) -> bool:
    return isinstance(part, list)


def _rows(parts: list[bytes | NDArray[np.void]], count: int) -> Iterable[bytes]:
    """Return the bytes of parts that are equally wide in every record."""
    filling = [each for each in parts if not isinstance(each, bytes)]
    blank, layout = _template(
        tuple([each if isinstance(each, bytes) else each.itemsize for each in parts])
    )
    if not filling:
        return repeat(blank, count)
    rows = np.frombuffer(bytearray(blank * count), layout)
    for name, part in zip(layout.names or (), filling, strict=True):
        rows[name] = part
    data, width = rows.tobytes(), len(blank)
    return [data[at : at + width] for at in range(0, len(data), width)]


@lru_cache(_MAX_TEMPLATES)
def _template(parts: tuple[bytes | int, ...]) -> tuple[bytes, np.dtype[np.void]]:
    """Return a record with holes, and where the holes are; `parts` has their widths."""
    blank, offsets, formats = b"", [], []
    for part in parts:
        if isinstance(part, bytes):
            blank += part
        else:
            offsets.append(len(blank))
            formats.append(_hole(part))
            blank += bytes(part)
    names = [f"hole_{number}" for number in range(len(offsets))]
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": len(blank)}
    return blank, np.dtype(layout)  # type: ignore[call-overload]


@lru_cache(_MAX_TEMPLATES)
def _hole(width: int) -> np.dtype[np.void]:
    return np.dtype((np.void, width))
