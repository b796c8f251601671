"""The probability that predictions gave to the labels: what proper scores of classes look at.

A model is the user's own, and what it calls probabilities may be none. So that nobody wins by
giving every class a probability of 1, they are divided by their sum where that is above 1. One that
is negative or NaN counts as 0. Where there are none, or nothing but zeros, the prediction counts as
certain of its value: that is what it says.

With two classes, one that is not named has what the other one leaves. With many, a class that is
not named has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import fsum, isfinite
from operator import add, eq, itemgetter, mul, truediv
from typing import NamedTuple

from millrace.schemas.records import LabelValue, Probabilities

_LARGEST = 1e100  # whose sums are finite
_MOST_NAMES = 10_000
_TRUE, _FALSE = itemgetter("True"), itemgetter("False")


class Given(NamedTuple):
    """What a prediction gave.

    Attributes
    ----------
    to_label
        To the label.
    squares
        Sum of the squares of all that it gave.
    """

    to_label: float
    squares: float


def given_to_one(
    label: LabelValue, value: LabelValue, probabilities: Probabilities, *, is_binary: bool
) -> Given:
    """Return what a prediction gave to the label.

    Examples
    --------
    >>> given_to_one("sky", "sky", {"sky": 0.5, "path": 0.5}, is_binary=False)
    Given(to_label=0.5, squares=0.5)
    >>> given_to_one("sky", "sky", {"sky": 1.0, "path": 1.0}, is_binary=False)
    Given(to_label=0.5, squares=0.5)
    >>> given_to_one("sky", "path", {}, is_binary=False)
    Given(to_label=0.0, squares=1.0)
    >>> given_to_one(False, True, {"True": 0.75}, is_binary=True).to_label
    0.25
    """
    shares = {name: min(each, _LARGEST) for name, each in probabilities.items() if each > 0.0}
    total = fsum(shares.values())
    if not total or (is_binary and probabilities.keys().isdisjoint(("True", "False"))):
        return Given(1.0 if value == label else 0.0, 1.0)
    squares = fsum(map(mul, shares.values(), shares.values()))
    name = _name(label)
    to_label = shares.get(name, 0.0)
    if total > 1.0:
        return Given(to_label / total, squares / (total * total))
    if is_binary and name not in probabilities:
        to_label = 1.0 - shares.get(_name(not label), 0.0)
    return Given(to_label, squares)


def given_of_two(
    labels: Sequence[LabelValue],
    values: Sequence[LabelValue],
    probabilities: Sequence[Probabilities],
) -> list[float] | None:
    """Return what predictions gave to the labels, of two classes.

    Returns
    -------
    list of float or None
        None where they are not all as they should be: then each has to be looked at by itself.
    """
    if not any(probabilities):
        return [float(hit) for hit in map(eq, labels, values)]
    if {*map(len, probabilities)} != {2}:
        return None
    try:
        true, false = [*map(_TRUE, probabilities)], [*map(_FALSE, probabilities)]
    except KeyError:
        return None
    totals = [*map(add, true, false)]
    if not _are_shares(totals, min(true), min(false)):
        return None
    found = [p if label else q for label, p, q in zip(labels, true, false, strict=True)]
    if max(totals) <= 1.0:
        return found
    return [*map(truediv, found, [max(each, 1.0) for each in totals])]


def given_of_many(
    labels: Sequence[LabelValue],
    values: Sequence[LabelValue],
    probabilities: Sequence[Probabilities],
) -> tuple[list[float], list[float]] | None:
    """Return the same of many classes, and what it was divided by: 1, or a sum above it."""
    if not any(probabilities):
        return [float(hit) for hit in map(eq, labels, values)], [1.0] * len(labels)
    if not all(probabilities):
        return None
    shares = [each.values() for each in probabilities]
    try:
        totals = [*map(fsum, shares)]
    except (OverflowError, ValueError):  # of what is too large, or infinite
        return None
    if not _are_shares(totals, min(map(min, shares)), 0.0):
        return None
    found = [each.get(_name(label), 0.0) for label, each in zip(labels, probabilities, strict=True)]
    divisors = [max(each, 1.0) for each in totals]
    return [*map(truediv, found, divisors)], divisors


def sums_of_squares(
    probabilities: Sequence[Probabilities], divisors: Sequence[float]
) -> list[float]:
    """Return the sum of the squares of all that each prediction gave; 1 where it gave nothing."""
    shares = [each.values() or (1.0,) for each in probabilities]
    sums = [fsum(map(mul, each, each)) for each in shares]
    return [*map(truediv, sums, map(mul, divisors, divisors))]


def _are_shares(totals: Sequence[float], *least: float) -> bool:
    """Whether numbers with these sums are shares, which may be too large by a factor."""
    is_finite = isfinite(sum(totals))
    return is_finite and min(least) >= 0.0 < min(totals) and max(totals) < _LARGEST


@lru_cache(_MOST_NAMES, typed=True)
def _name(label: LabelValue) -> str:
    """Return a class as it is named where probabilities are: the same few come every time."""
    return str(label)
