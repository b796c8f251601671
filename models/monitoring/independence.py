"""Whether values are independent of each other, but for one change of their level.

Drift detectors assume it. On a daily cycle, a counter or a random walk, they fire again and again,
and are right each time that the mean has moved; but nothing has happened that anybody should know.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import dist, sqrt

import numpy as np

from millrace.models.sealed import Fields

_BLOCK = 32  # values
_KEPT = 64  # blocks, and means of each length
_LENGTHS = 5  # of means: 32 values, 128, 512, 2,048, 8,192
_TIMES = 4  # from one length to the next
_FEWEST = 12  # means from which their order is judged
_LIMIT = 3.0  # standard deviations of a correlation; means of independent values rarely pass it
_NEIGHBOURS_LIMIT = 4.0  # the same, of neighbouring values: there are more of them
_ROUNDING = 1e-28  # of the sum of squares


class Independence:
    """Remembers what tells whether values depend on each other, in a bounded form.

    Neighbours are compared within blocks of 32 values, so that a change of level counts in one
    block only, and the strongest block is left out. For what is slower than a block, such as a
    daily cycle, neighbouring means of 32 to 8,192 values are compared, the newest 64 of each
    length, once the one change of level that explains them best has been taken out.

    Examples
    --------
    >>> import random
    >>> rng, values = random.Random(1), Independence()
    >>> values.extend([rng.gauss(0 if place < 500 else 1, 1) for place in range(700)])
    >>> values.hold()
    True
    >>> values.extend([place / 1000 for place in range(700)])
    >>> values.hold()
    False
    """

    def __init__(self) -> None:
        self._block: list[float] = []  # not full yet
        self._blocks: list[tuple[float, float]] = []  # lists, since an empty deque takes 0.7 KB
        self.forget_levels()

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {
            "block": self._block,
            "blocks": [[spread, steps] for spread, steps in self._blocks],
            "means": self._means,
            "made": self._made,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Independence:
        """Return what was saved."""
        independence = cls()
        independence._block = fields["block"]
        independence._blocks = [(spread, steps) for spread, steps in fields["blocks"]]
        independence._means, independence._made = fields["means"], fields["made"]
        return independence

    def forget_levels(self) -> None:
        """Begin anew after a change: the next one is judged by what follows."""
        self._means: list[list[float]] = [[] for _ in range(_LENGTHS)]
        self._made = [0] * _LENGTHS

    def extend(self, values: Sequence[float], centre: float = 0.0, unit: float = 1.0) -> None:
        """Add values, in units from a centre."""
        block = self._block
        block.extend(values)
        if len(block) >= _BLOCK:
            for end in range(_BLOCK, len(block) + 1, _BLOCK):
                self._add(tuple(block[end - _BLOCK : end]), centre, unit)
            del block[:end]

    def drop_block(self) -> None:
        """Forget values that do not fill a block: the next ones have another unit."""
        self._block = []

    def hold(self) -> bool:
        """Whether the values are independent, as far as can be said."""
        return self._neighbours_are() and all(map(_are_independent, self._means))

    def _add(self, block: tuple[float, ...], centre: float, unit: float) -> None:
        steps = dist(block[1:], block[:-1])
        mean = sum(block) / _BLOCK if steps else block[0]
        self._blocks.append((dist(block, (mean,) * _BLOCK) ** 2, steps**2))
        del self._blocks[:-_KEPT]
        self._add_mean(centre + mean * unit, 0)

    def _add_mean(self, mean: float, length: int) -> None:
        means = self._means[length]
        means.append(mean)
        del means[:-_KEPT]
        self._made[length] += 1
        if self._made[length] % _TIMES == 0 and length + 1 < _LENGTHS:
            self._add_mean(sum(means[-_TIMES:]) / _TIMES, length + 1)

    def _neighbours_are(self) -> bool:
        """By the ratio of von Neumann 1941: of squared steps to squared distances from the mean."""
        others = sorted(self._blocks)[:-1]
        spread = sum([each for each, _ in others])
        if not spread:
            return True
        correlation = 1.0 - sum([steps for _, steps in others]) / (2 * spread)
        return abs(correlation) * sqrt(_BLOCK * len(others)) < _NEIGHBOURS_LIMIT


def _are_independent(means: list[float]) -> bool:
    if len(means) < _FEWEST:
        return True
    values = np.array(means)
    rest = _without_a_change(values)
    spread = float(rest @ rest)
    if spread <= _ROUNDING * float(values @ values):
        return True
    correlation = float(rest[1:] @ rest[:-1]) / spread
    return correlation * sqrt(len(means)) < _LIMIT


def _without_a_change(means: np.ndarray) -> np.ndarray:
    """Return the distances from the mean before and after the change that explains most."""
    centred = means - means.mean()
    sizes = np.arange(1, len(means))
    strengths = np.cumsum(centred)[:-1] ** 2 / (sizes * sizes[::-1])
    change = int(strengths.argmax()) + 1
    return np.concatenate([part - part.mean() for part in (means[:change], means[change:])])
