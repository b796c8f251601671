"""What is published of a threshold: intervals, sets, and why there is none.

An interval has the numbers that are no farther from the prediction than the threshold, a set the
classes that lack no more than it to a probability of 1. A set may have no class: the model is less
sure of each than it has to be. Nothing is known before the first label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from enum import StrEnum
from math import isfinite
from typing import NamedTuple, TypeAlias

from millrace.models.certainty.scores import FALSE, TRUE
from millrace.schemas.records import Probabilities

ClassSet: TypeAlias = dict[str, float]
"""The classes that are in it, each with its probability."""


class Interval(NamedTuple):
    """Between which numbers the label is, both included.

    Examples
    --------
    >>> intervals([2.0, None], [0.5, 0.5])
    [Interval(lower=1.5, upper=2.5), None]
    """

    lower: float
    upper: float


class Unknown(StrEnum):
    """Why a prediction has neither an interval nor a set.

    Examples
    --------
    >>> why_unknown({}, threshold=0.5)
    <Unknown.NO_PROBABILITIES: 'no_probabilities'>
    """

    NO_LABEL = "no_label"
    """No label has been learned yet."""
    NO_PREDICTION = "no_prediction"
    """The model predicted no number."""
    NO_PROBABILITIES = "no_probabilities"
    """The model gives no probabilities."""


class Abstention(StrEnum):
    """Why "I do not know" is published instead of a class.

    Examples
    --------
    >>> [abstention(each) for each in [(), ("sky",), ("sky", "path"), None]]
    [<Abstention.NO_CLASS: 'no_class'>, None, <Abstention.SEVERAL_CLASSES: 'several_classes'>, None]
    """

    NO_CLASS = "no_class"
    """No class is probable enough."""
    SEVERAL_CLASSES = "several_classes"
    """Several classes are."""


def intervals(
    values: Iterable[float | None], thresholds: Iterable[float | None]
) -> list[Interval | None]:
    """Return the intervals around numbers, each predicted with a threshold.

    Returns
    -------
    list
        None where there is no threshold yet, no number, or one that is not finite. A bound beyond
        the largest float is infinite.
    """
    return [
        Interval(value - threshold, value + threshold)
        if value is not None and threshold is not None and isfinite(value)
        else None
        for value, threshold in zip(values, thresholds, strict=True)
    ]


def class_sets(
    probabilities: Iterable[Probabilities],
    thresholds: Iterable[float | None],
    *,
    is_binary: bool,
) -> list[ClassSet | None]:
    """Return the sets of classes of predictions, each made with a threshold.

    Returns
    -------
    list
        None where there is no threshold yet, or no probabilities.

    Examples
    --------
    >>> class_sets([{"sky": 0.5, "path": 0.4, "grass": 0.1}, {}], [0.7, 0.7], is_binary=False)
    [{'sky': 0.5, 'path': 0.4}, None]
    >>> class_sets([{"True": 0.9}, {"True": 0.6}], [0.3, 0.3], is_binary=True)
    [{'True': 0.9}, {}]
    """
    find = _of_two if is_binary else _of_many
    return [
        None if threshold is None else find(each, threshold)
        for each, threshold in zip(probabilities, thresholds, strict=True)
    ]


def _of_many(given: Probabilities, threshold: float) -> ClassSet | None:
    if not given:
        return None
    return {name: share for name, share in given.items() if 1.0 - share <= threshold}


def _of_two(given: Probabilities, threshold: float) -> ClassSet | None:
    """Return the set of two classes, of which one may not be named."""
    true, false = given.get(TRUE), given.get(FALSE)
    if true is None:
        if false is None:
            return None
        true = 1.0 - false
    elif false is None:
        false = 1.0 - true
    found = {}
    if 1.0 - true <= threshold:
        found[TRUE] = true
    if 1.0 - false <= threshold:
        found[FALSE] = false
    return found


def why_unknown(predicted: float | Probabilities | None, threshold: float | None) -> Unknown | None:
    """Return why a prediction has no interval and no set; None where it has one.

    Parameters
    ----------
    predicted
        A number, or the probabilities of classes.
    """
    if isinstance(predicted, dict):
        if not predicted:
            return Unknown.NO_PROBABILITIES
    elif predicted is None or not isfinite(predicted):
        return Unknown.NO_PREDICTION
    return Unknown.NO_LABEL if threshold is None else None


def abstention(found: Sized | None) -> Abstention | None:
    """Return why a set is no answer; None where it has one class, or where there is no set."""
    if found is None or len(found) == 1:
        return None
    return Abstention.SEVERAL_CLASSES if found else Abstention.NO_CLASS
