"""Scores, intervals and sets: what is inside is what has a score up to the threshold."""

from __future__ import annotations

import random
from math import inf, nan
from timeit import repeat

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from millrace.models.certainty.regions import (
    Abstention,
    Interval,
    Unknown,
    abstention,
    class_sets,
    intervals,
    why_unknown,
)
from millrace.models.certainty.scores import of_classes, of_numbers
from tests.unit.models.certainty.oracle import published_set

NAMES = st.sampled_from(["sky", "path", "grass", "True", "False"])
SHARES = st.dictionaries(NAMES, st.floats(0, 1), max_size=5)
BINARY = st.dictionaries(st.sampled_from(["True", "False"]), st.floats(0, 1), max_size=2)
NUMBERS = st.floats(-1e300, 1e300)


@pytest.mark.parametrize(
    ("value", "threshold", "found"),
    [
        (2.0, 0.5, Interval(1.5, 2.5)),
        (2, 0.0, Interval(2.0, 2.0)),
        (None, 0.5, None),
        (nan, 0.5, None),
        (-inf, 0.5, None),
        (2.0, None, None),
        (1.5e308, 1e308, Interval(5e307, inf)),
    ],
)
def test_an_interval_is_around_the_prediction(
    value: float | None, threshold: float | None, found: Interval | None
) -> None:
    """There is none before the first label, and none around what is no number."""
    assert intervals([value], [threshold]) == [found]


@given(label=NUMBERS, value=NUMBERS, threshold=st.floats(0, 1e300))
def test_a_label_is_inside_where_its_score_is_up_to_the_threshold(
    label: float, value: float, threshold: float
) -> None:
    """Apart from the last digit of a bound."""
    (score,) = of_numbers([label], [value])
    assert score is not None
    assume(abs(score - threshold) > 1e-9 * max(abs(label), abs(value), threshold))
    (found,) = intervals([value], [threshold])
    assert found is not None
    assert (found.lower <= label <= found.upper) == (score <= threshold)


def test_a_prediction_that_is_no_number_has_no_score() -> None:
    """It changes no threshold."""
    assert of_numbers([1.0] * 4, [None, nan, inf, 1]) == [None, None, None, 0.0]
    assert of_numbers([1e308], [-1e308]) == [inf]


@given(shares=SHARES, label=NAMES, threshold=st.floats(0, 1.25))
def test_a_class_is_in_the_set_where_its_score_is_up_to_the_threshold(
    shares: dict[str, float], label: str, threshold: float
) -> None:
    """To the last digit; a class without a name is in no set."""
    (score,) = of_classes([label], [shares], is_binary=False)
    (found,) = class_sets([shares], [threshold], is_binary=False)
    assert (score is None) == (found is None) == (not shares)
    if score is not None and found is not None:
        assert (label in found) == (score <= threshold)


@given(shares=BINARY, label=st.booleans(), threshold=st.floats(0, 1.25))
def test_the_same_of_two_classes(shares: dict[str, float], label: bool, threshold: float) -> None:
    """Of which one may have no name, and has what the other one leaves."""
    (score,) = of_classes([label], [shares], is_binary=True)
    (found,) = class_sets([shares], [threshold], is_binary=True)
    assert (score is None) == (found is None) == (not shares)
    if score is not None and found is not None:
        assert (str(label) in found) == (score <= threshold)


@given(columns=st.lists(SHARES, max_size=8), threshold=st.none() | st.floats(0, 1.25))
def test_a_column_of_sets_is_each_by_itself(
    columns: list[dict[str, float]], threshold: float | None
) -> None:
    """Of two classes, and of many."""
    for is_binary in (True, False):
        single = [class_sets([each], [threshold], is_binary=is_binary)[0] for each in columns]
        assert class_sets(columns, [threshold] * len(columns), is_binary=is_binary) == single


def test_a_set_is_that_of_split_conformal_prediction() -> None:
    """With the same threshold: the score of the rank that the published formula says."""
    rng = random.Random(1)
    scores = [rng.random() for _ in range(99)]
    threshold = sorted(scores)[89]
    for _ in range(200):
        shares = {name: rng.random() for name in ("sky", "path", "grass")}
        (found,) = class_sets([shares], [threshold], is_binary=False)
        assert found is not None
        assert {*found} == published_set(shares, scores, 0.9)


def test_probabilities_that_are_none_are_in_no_set() -> None:
    """And a label that has such a one was missed by as much as can be."""
    shares = {"sky": nan, "path": -0.5, "grass": 1.5}
    assert class_sets([shares], [0.9], is_binary=False) == [{"grass": 1.5}]
    assert of_classes(["sky", "path", "grass"], [shares] * 3, is_binary=False) == [inf, 1.5, -0.5]


def test_a_tie_is_inside() -> None:
    """A score that is the threshold is not above it."""
    shares = {"sky": 0.5, "path": 0.5}
    assert class_sets([shares], [0.5], is_binary=False) == [shares]
    assert class_sets([{"True": 0.5}], [0.5], is_binary=True) == [{"True": 0.5, "False": 0.5}]


def test_a_class_that_is_not_named_is_missed_by_any_threshold() -> None:
    """The model has never seen it, so that no set has it."""
    assert of_classes(["grass"], [{"sky": 0.5, "path": 0.5}], is_binary=False) == [inf]


def test_labels_may_be_whole_numbers() -> None:
    """Their probabilities are named as text."""
    assert of_classes([3, True], [{"3": 0.75}, {"True": 0.5}], is_binary=False) == [0.25, 0.5]


@pytest.mark.parametrize(
    ("predicted", "threshold", "why"),
    [
        (1.0, 0.5, None),
        (1.0, None, Unknown.NO_LABEL),
        (None, 0.5, Unknown.NO_PREDICTION),
        (nan, None, Unknown.NO_PREDICTION),
        ({}, 0.5, Unknown.NO_PROBABILITIES),
        ({"sky": 1.0}, 0.5, None),
        ({"sky": 1.0}, None, Unknown.NO_LABEL),
    ],
)
def test_it_is_said_why_there_is_no_certainty(
    predicted: float | dict[str, float] | None, threshold: float | None, why: Unknown | None
) -> None:
    """The model's own lack first, since that does not pass."""
    assert why_unknown(predicted, threshold) is why


def test_a_set_of_one_class_is_an_answer() -> None:
    """None or several are not, and where there is no set nothing is withheld."""
    assert abstention(("sky",)) is None
    assert abstention(None) is None
    assert abstention(()) is Abstention.NO_CLASS
    assert abstention(("sky", "path")) is Abstention.SEVERAL_CLASSES


def test_a_column_takes_less_than_a_microsecond_a_prediction() -> None:
    """Ten times as much is allowed here, since other work may run on the machine."""
    rng = random.Random(1)
    values = [rng.random() for _ in range(10_000)]
    shares = [{"True": each, "False": 1 - each} for each in values]
    for make in (
        lambda: intervals(values, [0.5] * len(values)),
        lambda: class_sets(shares, [0.5] * len(shares), is_binary=True),
        lambda: class_sets(shares, [0.5] * len(shares), is_binary=False),
    ):
        assert min(repeat(make, number=1, repeat=5)) / len(values) < 10e-6
