"""The passive-aggressive regressor takes bounded steps that never pass the target."""

import random

import pytest

from millrace.models.candidates.passive_aggressive import PassiveAggressiveRegressor


@pytest.mark.parametrize("size", [0.0, 1e-9, 1.0, 1e3, 1e9, 1e100])
@pytest.mark.parametrize("count", [0, 1, 50, 1_000])
@pytest.mark.parametrize("target", [-3.0, 0.0, 0.5, 1e6])
def test_a_step_never_leads_away_from_the_target(size, count, target):
    """Whatever the size and the number of the features."""
    model = PassiveAggressiveRegressor()
    x = {f"x{place}": size for place in range(count)}
    for _ in range(3):
        before = model.predict_one(x)
        model.learn_one(x, target)
        after = model.predict_one(x)
        assert abs(target - after) <= abs(target - before) + 1e-12 * abs(target)


def test_a_step_is_the_limit_where_the_target_is_far():
    """Each weight moves by the limit times its feature, the intercept by the limit."""
    model = PassiveAggressiveRegressor(limit=0.5)
    model.learn_one({"a": 2.0, "b": -1.0}, -100.0)
    assert (model.weights, model.intercept) == ({"a": -1.0, "b": 0.5}, -0.5)


def test_a_step_reaches_a_target_that_is_near():
    """The smallest step that predicts the target, as in the paper."""
    model = PassiveAggressiveRegressor(limit=10.0)
    model.learn_one({"a": 2.0, "b": 2.0}, 4.5)
    assert (model.weights, model.intercept) == ({"a": 1.0, "b": 1.0}, 0.5)


def test_what_is_not_known_counts_for_nothing():
    """A feature that has never been learned, and one that is absent."""
    model = PassiveAggressiveRegressor()
    model.learn_one({"a": 1.0}, 5.0)
    assert model.predict_one({"new": 9.0}) == model.predict_one({}) == model.intercept


def test_a_line_is_learned():
    """To within a few steps."""
    rng, model = random.Random(1), PassiveAggressiveRegressor()
    for _ in range(5_000):
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}
        model.learn_one(x, 2 * x["a"] - 3 * x["b"] + 1)
    assert model.predict_one({"a": 1.0, "b": 1.0}) == pytest.approx(0.0, abs=0.1)
