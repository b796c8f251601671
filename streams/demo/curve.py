"""How the accuracy of one candidate went: readings, what the drift did to it, and a sparkline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_BARS = "▁▂▃▄▅▆▇█"
LOWEST, HIGHEST = 0.4, 1.0
"""Accuracy at the foot and at the top of a sparkline."""

_AS_BEFORE = 0.01
_NO_MORE_THAN_NOISE = 0.05


class Reading(NamedTuple):
    """Accuracy over the last examples, when so many had been learned."""

    learned: int
    accuracy: float


class Course(NamedTuple):
    """A drift as a candidate lived through it.

    Attributes
    ----------
    before, bottom, end
        Rolling accuracy right before the drift, at its lowest since, and at the end; None
        without a reading.
    recovered_after
        Labels from the drift to the first reading past the bottom that is within a point of
        `before`; None where there is none.
    """

    before: float | None
    bottom: float | None
    end: float | None
    recovered_after: int | None

    @property
    def is_hit(self) -> bool:
        """Whether the drift did more harm than chance does."""
        if self.before is None or self.bottom is None:
            return False
        return self.before - self.bottom > _NO_MORE_THAN_NOISE


class Curve:
    """The rolling accuracy of one candidate, in the order in which it was read.

    Examples
    --------
    >>> curve = Curve()
    >>> for learned, accuracy in [(100, 0.9), (200, 0.5), (300, 0.7), (400, 0.9)]:
    ...     curve.add(learned, accuracy)
    >>> curve.course(drift_at=150)
    Course(before=0.9, bottom=0.5, end=0.9, recovered_after=250)
    """

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def add(self, learned: int, accuracy: float) -> None:
        """Take in a reading; one at which nothing has been learned since is no news."""
        if not self.readings or learned > self.readings[-1].learned:
            self.readings.append(Reading(learned, accuracy))

    @property
    def last(self) -> float | None:
        """The newest accuracy."""
        return self.readings[-1].accuracy if self.readings else None

    def course(self, drift_at: int) -> Course:
        """Return what became of the accuracy when the world changed at example `drift_at`."""
        before = [each for each in self.readings if each.learned <= drift_at]
        after = [each for each in self.readings if each.learned > drift_at]
        normal = before[-1].accuracy if before else None
        if not after:
            return Course(normal, None, self.last, None)
        bottom = min(after, key=lambda each: each.accuracy)
        again = [
            each.learned - drift_at
            for each in after
            if normal is not None
            and each.learned >= bottom.learned
            and each.accuracy >= normal - _AS_BEFORE
        ]
        return Course(normal, bottom.accuracy, self.last, again[0] if again else None)


def sparkline(readings: Sequence[Reading], total: int, width: int) -> str:
    """Draw readings from left to right, `total` examples at full width.

    A column shows the mean of its readings; one without shows the reading before it. What is yet
    to come stays blank.

    Examples
    --------
    >>> sparkline([Reading(1, 1.0), Reading(4, 0.4), Reading(5, 0.8)], total=8, width=8)
    '███▁▆   '
    """
    columns: dict[int, list[float]] = {}
    for learned, accuracy in readings:
        columns.setdefault(column(learned, total, width), []).append(accuracy)
    drawn, level = "", 0
    for number in range(max(columns, default=-1) + 1):
        here = columns.get(number)
        if here is not None:
            level = _level(sum(here) / len(here))
        elif not drawn:
            level = _level(readings[0].accuracy)
        drawn += _BARS[level]
    return drawn.ljust(width)


def column(learned: int, total: int, width: int) -> int:
    """Return the column, from 0, in which the example number `learned` falls.

    Examples
    --------
    >>> column(1, 100, 10), column(50, 100, 10), column(51, 100, 10), column(100, 100, 10)
    (0, 4, 5, 9)
    """
    return min(max(learned - 1, 0) * width // max(total, 1), width - 1)


def _level(accuracy: float) -> int:
    share = (accuracy - LOWEST) / (HIGHEST - LOWEST)
    return min(max(int(share * len(_BARS)), 0), len(_BARS) - 1)
