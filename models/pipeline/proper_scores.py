"""Proper scores of probabilities, by which nobody gains who says other ones than he believes.

`log_loss` is bounded by clipping probabilities, to 0.01 and 0.99 with two classes: the loss is then
in [0, 4.6] nats. The less is clipped, the larger is the range, and the more labels a proof takes.
Where another model was better by 0.07 nats, it took 1,100 labels at 0.01, 1,700 at 0.001, 2,200 at
0.0001, and 7,800 at River's 1e-15 (`brier`: 600). What is clipped is not told apart, and nobody
gains by saying 0 instead of 0.003. Where one label in a hundred is positive, 0.01 still took fewer
labels than any other. With many classes it is 0.001: with a hundred, 0.01 is what knows nothing.

Each score is there for one event, and for columns of them, with the same results.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from millrace.models.pipeline.label_probabilities import (
    given_of_many,
    given_of_two,
    given_to_one,
    sums_of_squares,
)
from millrace.schemas.records import LabelValue, Probabilities

LEAST_OF_TWO = 0.01
"""With two classes, the least probability that `log_loss` takes the logarithm of."""

LEAST_OF_MANY = 0.001
"""The same with many classes."""


def log_loss_of_two(label: LabelValue, value: LabelValue, probabilities: Probabilities) -> float:
    """Return the negative logarithm of the label's probability, as a share of the largest."""
    given = given_to_one(label, value, probabilities, is_binary=True)
    return _nats(LEAST_OF_TWO, given.to_label)


def log_losses_of_two(
    labels: Sequence[LabelValue],
    values: Sequence[LabelValue],
    probabilities: Sequence[Probabilities],
) -> list[float] | None:
    """Do the same for columns; None where each has to be looked at by itself."""
    found = given_of_two(labels, values, probabilities)
    return None if found is None else _all_nats(LEAST_OF_TWO, found)


def log_loss_of_many(label: LabelValue, value: LabelValue, probabilities: Probabilities) -> float:
    """Return the same as with two classes."""
    given = given_to_one(label, value, probabilities, is_binary=False)
    return _nats(LEAST_OF_MANY, given.to_label)


def log_losses_of_many(
    labels: Sequence[LabelValue],
    values: Sequence[LabelValue],
    probabilities: Sequence[Probabilities],
) -> list[float] | None:
    """Do the same for columns; None where each has to be looked at by itself."""
    found = given_of_many(labels, values, probabilities)
    return None if found is None else _all_nats(LEAST_OF_MANY, found[0])


def brier_of_two(label: LabelValue, value: LabelValue, probabilities: Probabilities) -> float:
    """Return the square of what the label's probability lacks to 1."""
    missing = 1.0 - given_to_one(label, value, probabilities, is_binary=True).to_label
    return missing * missing


def briers_of_two(
    labels: Sequence[LabelValue],
    values: Sequence[LabelValue],
    probabilities: Sequence[Probabilities],
) -> list[float] | None:
    """Do the same for columns; None where each has to be looked at by itself."""
    found = given_of_two(labels, values, probabilities)
    return None if found is None else [(1.0 - each) * (1.0 - each) for each in found]


def brier_of_many(label: LabelValue, value: LabelValue, probabilities: Probabilities) -> float:
    """Return half the sum of the squares of what lacks to 1 at the label, and to 0 elsewhere.

    With two classes whose probabilities sum to 1, it is the same as `brier_of_two`.
    """
    return _half_squares(*given_to_one(label, value, probabilities, is_binary=False))


def briers_of_many(
    labels: Sequence[LabelValue],
    values: Sequence[LabelValue],
    probabilities: Sequence[Probabilities],
) -> list[float] | None:
    """Do the same for columns; None where each has to be looked at by itself."""
    found = given_of_many(labels, values, probabilities)
    if found is None:
        return None
    to_label, divisors = found
    return [*map(_half_squares, to_label, sums_of_squares(probabilities, divisors))]


def _nats(least: float, probability: float) -> float:
    return log(min(max(probability, least), 1.0 - least)) / log(least)


def _all_nats(least: float, given: Sequence[float]) -> list[float]:
    most, unit = 1.0 - least, log(least)
    best = log(most) / unit
    return [1.0 if each <= least else best if each >= most else log(each) / unit for each in given]


def _half_squares(to_label: float, squares: float) -> float:
    found = (1.0 - 2.0 * to_label + squares) / 2.0
    return found if found > 0.0 else 0.0
