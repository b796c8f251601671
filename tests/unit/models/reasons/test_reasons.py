"""What an answer is: its largest parts, what is left, and whether it adds up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.reasons.reasons import (
    Change,
    NoReasons,
    Reasons,
    Scale,
    changes,
    in_leaf,
    weighted_sum,
)

parts = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.floats(-1e3, 1e3))


@given(parts, st.integers(0, 8))
def test_the_largest_are_the_largest_by_size(contributions, k):
    """The largest first, zeros left out, never more than asked for."""
    top = Reasons(Scale.TARGET, 0.0, contributions).top(k)
    expected = sorted((abs(each) for each in contributions.values() if each), reverse=True)[:k]
    assert [abs(each) for _, each in top] == expected
    assert all(contributions[name] == each for name, each in top)
    assert len({name for name, _ in top}) == len(top)


@given(parts, st.integers(0, 8))
def test_base_largest_and_rest_add_up(contributions, k):
    """Nothing is lost by showing only some."""
    reasons = Reasons(Scale.TARGET, 5.0, contributions)
    shown = reasons.base + sum(each for _, each in reasons.top(k)) + reasons.rest(k)
    assert math.isclose(shown, reasons.total, abs_tol=1e-9)


def test_names_can_be_those_of_the_features_behind():
    """Parts of one feature are added; what it adds in a leaf keeps its place."""
    found = Reasons(
        Scale.TARGET, 0.0, {"c_red": 1.0, "c_blue": 2.0, in_leaf("c_red"): 4.0, "x": 8.0}
    )
    origins = {"c_red": "c", "c_blue": "c", "x": "x"}
    assert found.renamed(origins).contributions == {"c": 3.0, in_leaf("c"): 4.0, "x": 8.0}
    assert found.renamed(None) is found


@pytest.mark.parametrize(
    ("reasons", "value", "probabilities", "adds_up"),
    [
        (Reasons(Scale.TARGET, 1.0, {"x": 2.0}), 3.0, {}, True),
        (Reasons(Scale.TARGET, 1.0, {"x": 2.0}), 3.1, {}, False),
        (Reasons(Scale.TARGET, 1.0, {"x": math.nan}), 3.0, {}, False),
        (Reasons(Scale.TARGET, 1.0, {"x": 2.0}), None, {}, False),
        (Reasons(Scale.PROBABILITY, 0.5, {"x": 0.25}, "a"), "a", {"a": 0.75, "b": 0.25}, True),
        (Reasons(Scale.PROBABILITY, 0.5, {"x": 0.25}, "a"), "a", {"a": 0.7, "b": 0.3}, False),
        (Reasons(Scale.PROBABILITY, 0.0, {}, "a"), "b", {"b": 1.0}, True),
        (Reasons(Scale.PROBABILITY, 0.5, {"x": 0.25}, "a"), "a", {}, True),
        (Reasons(Scale.PROBABILITY, 0.5, {"x": 0.75}, "a"), "a", {}, False),
        (Reasons(Scale.LOG_ODDS, 0.0, {}, True, False), False, {"True": 0.5, "False": 0.5}, True),
        (Reasons(Scale.LOG_ODDS, 0.0, {}, True, False), True, {"True": 0.6, "False": 0.4}, False),
        (Reasons(Scale.LOG_ODDS, 40.0, {}, True, False), True, {"True": 1.0, "False": 0.0}, True),
        (Reasons(Scale.LOG_ODDS, -40.0, {}, True, False), True, {"True": 1.0, "False": 0.0}, False),
        (Reasons(Scale.LOG_ODDS, 40.0, {}, True, False), False, {"True": 0.0, "False": 1.0}, False),
        (Reasons(Scale.LOG_ODDS, 1.0, {}, True, False), True, {}, True),
        (Reasons(Scale.LOG_ODDS, 1.0, {}, True, False), False, {}, False),
        (Reasons(Scale.LOG_ODDS, math.inf, {}, True, False), True, {"True": 1.0}, False),
        (Reasons(Scale.LOG_ODDS, 1.0, {}, "a"), "a", {"a": 0.5, "b": 0.5}, True),
        (Reasons(Scale.LOG_ODDS, math.nan, {}, "a"), "a", {"a": 0.5, "b": 0.5}, False),
        (
            Reasons(Scale.LOG_ODDS, math.log(3), {}, "a", 7),
            "a",
            {"a": 0.3, "7": 0.1, "c": 0.6},
            True,
        ),
    ],
)
def test_adding_up_is_on_the_scale(reasons, value, probabilities, adds_up):
    """The number, the probability, or the log-odds of two classes."""
    assert reasons.adds_up_to({"value": value, "probabilities": probabilities}) is adds_up


def test_a_weighted_sum_has_all_features():
    """Those of one member only, too."""
    one, other = Reasons(Scale.TARGET, 1.0, {"x": 1.0}), Reasons(Scale.TARGET, 2.0, {"y": 4.0})
    assert weighted_sum([(2.0, one), (0.5, other)]) == (3.0, {"x": 2.0, "y": 2.0})
    assert weighted_sum([]) == (0.0, {})


def test_changes_are_ordered_by_size_and_leave_out_what_is_equal():
    """A feature that one of the answers does not know adds nothing there."""
    before = Reasons(Scale.TARGET, 1.0, {"x": 1.0, "y": 4.0, "same": 2.0})
    after = Reasons(Scale.TARGET, 1.0, {"x": 2.0, "new": -9.0, "same": 2.0})
    expected = [Change("new", 0.0, -9.0), Change("y", 4.0, 0.0), Change("x", 1.0, 2.0)]
    assert changes(before, after, 10) == expected
    assert changes(before, after, 1) == expected[:1]


@pytest.mark.parametrize(
    "after",
    [
        Reasons(Scale.TARGET, 1.0, {}),
        Reasons(Scale.LOG_ODDS, 1.0, {}, "b", "a"),
        Reasons(Scale.LOG_ODDS, 1.0, {}, "a"),
    ],
)
def test_answers_on_other_scales_or_classes_are_not_compared(after):
    """Their numbers mean something else."""
    with pytest.raises(ValueError, match="one scale"):
        changes(Reasons(Scale.LOG_ODDS, 1.0, {}, "a", "b"), after, 3)


def test_no_reasons_is_a_sentence():
    """It says so, and why."""
    assert str(NoReasons("of this")) == "no exact reasons for this model: of this"
