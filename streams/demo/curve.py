"""The rolling accuracy of one candidate over time: the effect of the drift on it, and a sparkline.

Readings are in the order in which labels were learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

LOWEST, HIGHEST = 0.4, 1.0
"""Accuracy at the bottom and at the top of a sparkline."""

_BARS = "▁▂▃▄▅▆▇█"
_TOLERANCE = 0.01


class Reading(NamedTuple):
    """The accuracy over the last labels, when `learned` labels had been learned."""

    learned: int
    accuracy: float


class Course(NamedTuple):
    """Accuracy right before the drift, at its lowest since, and at the end; None if unknown.

    `recovered_after` is the number of labels from the drift to the first reading after the lowest
    one that is within a point of the accuracy before; None if there is none.
    """

    before: float | None
    lowest: float | None
    end: float | None
    recovered_after: int | None


def course(readings: Sequence[Reading], drift_at: int) -> Course:
    """Return how the accuracy changed with a drift at label `drift_at`.

    Examples
    --------
    >>> accuracies = {100: 0.9, 200: 0.5, 300: 0.7, 400: 0.9}
    >>> course([Reading(*each) for each in accuracies.items()], drift_at=150)
    Course(before=0.9, lowest=0.5, end=0.9, recovered_after=250)
    """
    before = [each.accuracy for each in readings if each.learned <= drift_at]
    after = readings[len(before) :]
    end = readings[-1].accuracy if readings else None
    if not before or not after:
        return Course(before[-1] if before else None, None, end, None)
    lowest = min(after, key=lambda each: each.accuracy)
    recovered = (
        each.learned - drift_at
        for each in after[after.index(lowest) :]
        if each.accuracy >= before[-1] - _TOLERANCE
    )
    return Course(before[-1], lowest.accuracy, end, next(recovered, None))


def sparkline(readings: Sequence[Reading], total: int, width: int) -> str:
    """Draw readings from left to right, `total` labels at full width.

    A column shows its newest reading; one without a reading shows the reading before. Columns
    before the first reading and after the last are blank.

    Examples
    --------
    >>> sparkline([Reading(1, 1.0), Reading(4, 0.4), Reading(5, 0.8)], total=8, width=8)
    '███▁▆   '
    """
    bars = {column(each.learned, total, width): _bar(each.accuracy) for each in readings}
    drawn = ""
    for number in range(max(bars, default=-1) + 1):
        drawn += bars.get(number) or drawn[-1:] or " "
    return drawn.ljust(width)


def column(learned: int, total: int, width: int) -> int:
    """Return the column, from 0, of label number `learned`, from 1.

    Examples
    --------
    >>> column(1, 100, 10), column(50, 100, 10), column(51, 100, 10), column(100, 100, 10)
    (0, 4, 5, 9)
    """
    return (learned - 1) * width // total


def _bar(accuracy: float) -> str:
    share = (accuracy - LOWEST) / (HIGHEST - LOWEST)
    return _BARS[min(max(int(share * len(_BARS)), 0), len(_BARS) - 1)]
