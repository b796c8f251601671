"""How wrong a prediction was: what is compared with the threshold.

Of a number, the distance to the label. Of a class, 1 less the probability that the label was given;
whether what a model calls probabilities are some makes no difference to how often a set holds, but
to how large it is. With two classes, one that is not named has what the other one leaves. A class
that is not named otherwise cannot be in a set: its score is infinite. Scores of anomalies have no
label to be compared with, and so no certainty.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite, isnan

from millrace.schemas.records import LabelValue, Probabilities

TRUE, FALSE = "True", "False"


def of_numbers(labels: Iterable[float], values: Iterable[float | None]) -> list[float | None]:
    """Return how wrong predicted numbers were; None where there was none, or one not finite.

    Examples
    --------
    >>> of_numbers([1.0, 2.0, 3.0], [1.5, None, 3.0])
    [0.5, None, 0.0]
    """
    pairs = zip(labels, values, strict=True)
    return [
        abs(label - value) if value is not None and isfinite(value) else None
        for label, value in pairs
    ]


def of_classes(
    labels: Iterable[LabelValue], probabilities: Iterable[Probabilities], *, is_binary: bool
) -> list[float | None]:
    """Return how wrong predictions of classes were; None where there were no probabilities.

    Examples
    --------
    >>> of_classes(["sky", "path"], [{"sky": 0.75, "grass": 0.25}, {}], is_binary=False)
    [0.25, None]
    >>> of_classes([True, False], [{"True": 0.75}, {"True": 0.75}], is_binary=True)
    [0.25, 0.75]
    """
    pairs = zip(labels, probabilities, strict=True)
    if is_binary:
        return [_of_two(label, given) for label, given in pairs]
    return [_of_many(label, given) for label, given in pairs]


def _of_two(label: LabelValue, given: Probabilities) -> float | None:
    own, other = (TRUE, FALSE) if label else (FALSE, TRUE)
    if own in given:
        return _missing(given[own])
    return _missing(1.0 - given[other]) if other in given else None


def _of_many(label: LabelValue, given: Probabilities) -> float | None:
    if not given:
        return None
    share = given.get(label if type(label) is str else str(label))
    return inf if share is None else _missing(share)


def _missing(share: float) -> float:
    """Return what a probability lacks to 1; infinite where it is NaN."""
    return inf if isnan(share) else 1.0 - share
