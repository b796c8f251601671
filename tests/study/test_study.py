"""A small part of `make study`: equal models are not called better, and better ones are."""

from __future__ import annotations

import pytest

from tests.study import streams
from tests.study.__main__ import LABELS, Case, of_equals, of_unequals

EVENTS = 3_000


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("dependence", ["independent", "dependent"])
def test_equal_models_are_not_called_better(dependence: str, labels: str) -> None:
    """Whenever labels come, and however events depend on each other."""
    case = Case("linear", dependence, labels)
    found = [of_equals(case, EVENTS, seed) for seed in range(2)]
    assert [each.labels for each in found] == [None, None]
    assert min(each.blocks for each in found) > 5


@pytest.mark.parametrize("labels", [streams.AT_ONCE, streams.SOME_NEVER])
def test_a_better_model_is_called_better(labels: streams.Labels) -> None:
    """A champion that errs much more is found out within some hundred labels."""
    found = of_unequals(0.15, labels, EVENTS, seed=1)
    assert found.labels is not None
    assert found.labels < 1_500
    assert found.difference > 0.05
