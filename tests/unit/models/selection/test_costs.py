"""Costs of mistakes are checked as they are written down, and have one form."""

from __future__ import annotations

import pytest

from millrace.models.identity.description import identity_of
from millrace.models.selection.costs import checked_costs
from millrace.schemas import DefinitionError

COSTS = {("bad", "good"): 5, ("good", "bad"): 1.0}


def test_costs_have_one_form():
    """Floats, in an order of their own, so that a definition is the same however they came."""
    found, other = checked_costs("m", COSTS), checked_costs("m", dict([*COSTS.items()][::-1]))
    assert [*found.items()] == [*other.items()] == [(("bad", "good"), 5.0), (("good", "bad"), 1.0)]
    assert {*map(type, found.values())} == {float}
    assert identity_of(found) == identity_of(other)
    assert identity_of(found) != identity_of(checked_costs("m", COSTS | {("bad", "good"): 6}))


def test_what_is_returned_is_a_copy():
    """Whoever changes a dictionary after the definition was made changes nothing."""
    given = {**COSTS}
    found = checked_costs("m", given)
    given.clear()
    assert len(found) == 2


def test_a_correct_prediction_may_cost_something():
    """A granted loan does, whether it was right or not."""
    assert checked_costs("m", {("good", "good"): 0.5})["good", "good"] == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"^m must have costs of pairs of label and prediction, .*; got \{\}"),
        ({"good": 1.0}, "pairs of label and prediction, .*; got 'good'"),
        ({("good",): 1.0}, "pairs of label and prediction"),
        ({("good", "bad", "ugly"): 1.0}, "pairs of label and prediction"),
        ({("good", 1.5): 1.0}, "pairs of label and prediction"),
        ({("good", None): 1.0}, "pairs of label and prediction"),
        ({("good", "bad"): -1.0}, r"^m\[\('good', 'bad'\)\] must be a finite number, 0 or more"),
        ({("good", "bad"): float("nan")}, "must be a finite number, 0 or more; got nan"),
        ({("good", "bad"): float("inf")}, "must be a finite number, 0 or more; got inf"),
        ({("good", "bad"): 10**400}, "must be a finite number, 0 or more"),
        ({("good", "bad"): True}, "must be a finite number, 0 or more; got True"),
        ({("good", "bad"): "5"}, "must be a finite number, 0 or more; got '5'"),
        ({("good", "bad"): 0, ("bad", "good"): 0.0}, "must have a cost above 0"),
    ],
)
def test_what_is_no_cost_is_refused(given, message):
    """With the pair and what it must be."""
    with pytest.raises(DefinitionError, match=message):
        checked_costs("m", given)
