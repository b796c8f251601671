"""Sums of what candidates lost by the events of blocks: those of all blocks of a slice at once.

Losses stand side by side, in arrays of candidates by blocks by places, so that a slice takes a few
steps, however many candidates and blocks there are. A sum goes on from where it was, value by
value, so that it is the same wherever a slice is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Losses: TypeAlias = Sequence[float | None]
"""Losses of a candidate by events; None where it made no prediction."""

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]


class SideBySide:
    """Losses of candidates by the events of blocks.

    Parameters
    ----------
    columns
        Of each candidate, what it lost by the events of a slice.
    places
        Of each block, where its events are in these.

    Attributes
    ----------
    is_asked
        Whether there is an event, and the candidate was asked about it, by candidate, block and
        place. It may be changed until sums are taken.

    Examples
    --------
    >>> both = SideBySide([[0.0, 2.0, None], [1.0, 9.0, 0.5]], [range(2), [2]])
    >>> [each.tolist() for each in both.counts()]
    [[[2, 1], [2, 1]], [[0, 1], [0, 0]]]
    >>> both.added(np.zeros((2, 2))).tolist()
    [[2.0, 0.0], [10.0, 0.5]]
    >>> rivals, bounds = np.array([[1, 1], [1, 1]]), np.array([4.0, 4.0])
    >>> [each.tolist() for each in both.compared(np.zeros((3, 2, 2)), rivals, bounds)]
    [[[0.5, 1.0], [1.25, 0.125]], [[0.75, -0.875], [0.0, 0.0]], [[0.3125, 0.765625], [0.0, 0.0]]]
    """

    def __init__(self, columns: Sequence[Losses], places: Sequence[Sequence[int]]) -> None:
        known = np.array(columns, dtype=float)  # with nan for None
        shape = len(columns), len(places), max(map(len, places))
        self._losses = np.zeros(shape)
        self.is_asked = np.zeros(shape, dtype=bool)
        for block, of_block in enumerate(places):
            events = len(of_block)
            self._losses[:, block, :events] = known[:, _index(of_block)]
            self.is_asked[:, block, :events] = True
        self._is_missing: Flags = np.isnan(self._losses)

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many events each candidate was asked about, and how many it said nothing of.

        Both are by candidate and block.
        """
        missing = np.count_nonzero(self._is_missing & self.is_asked, axis=2)
        return np.count_nonzero(self.is_asked, axis=2), missing

    def added(self, before: Floats) -> Floats:
        """Return the sum of losses that are known, by candidate and block, from one before."""
        return _added(before, np.where(self.is_asked & ~self._is_missing, self._losses, 0.0))

    def compared(self, before: Floats, rivals: NDArray[np.int64], bounds: Floats) -> Floats:
        """Compare each candidate with its rival.

        Parameters
        ----------
        before
            Three sums to go on from, by candidate and block.
        rivals
            Which candidate the rival is, by candidate and block.
        bounds
            The loss that counts as 1, by block. It is a function of what came before the block.

        Returns
        -------
        array
            By candidate and block: the sums of losses, each at most 1, and 1 where it is missing;
            of the differences of the rival's and its own; and of the squares of these.
        """
        with np.errstate(over="ignore"):
            shares = np.minimum(self._losses / bounds[:, np.newaxis], 1.0)
        shares[self._is_missing] = 1.0
        of_rivals = shares[rivals, np.arange(len(bounds))]
        differences = np.where(self.is_asked, of_rivals - shares, 0.0)
        own = np.where(self.is_asked, shares, 0.0)
        return _added(before, np.stack([own, differences, differences * differences]))


def _index(places: Sequence[int]) -> slice | Sequence[int]:
    """Return places as NumPy takes them at once, where they are in a row."""
    return slice(places.start, places.stop) if isinstance(places, range) else places


def _added(before: Floats, values: Floats) -> Floats:
    """Return sums over the last axis, each from one before, strictly in order.

    `numpy.sum` adds in another order, and `sum` rounds in another way in later releases of Python.
    """
    with np.errstate(over="ignore"):
        sums: Floats = np.add.accumulate(
            np.concatenate([before[..., np.newaxis], values], axis=-1), axis=-1
        )
    return sums[..., -1].copy()
