"""The regressor of the catalogue's linear regression: a linear model whose steps are bounded.

River's `PARegressor` cannot stand here: it takes the loss of a class in {0, 1} for that of a number
(as of River 0.26), so that its steps may overshoot by any distance.
"""

from __future__ import annotations

from math import copysign

from river import base

from millrace.models.candidates.accelerated import Instance


class PassiveAggressiveRegressor(base.Regressor):
    """PA-I of Crammer et al. 2006, with an intercept, for the absolute error.

    A step goes towards the target by `limit` times the gradient, and never beyond the target,
    however many features there are and however large they are.

    Parameters
    ----------
    limit
        The aggressiveness `C`: most that a step multiplies the features by.

    Attributes
    ----------
    weights
        Feature to weight.
    intercept
        What is predicted where all features are zero.

    Examples
    --------
    >>> model = PassiveAggressiveRegressor(limit=0.01)
    >>> model.learn_one({"x": 1.0}, 5.0)
    >>> model.weights, model.intercept
    ({'x': 0.01}, 0.01)
    >>> model.learn_one({"x": 1e9}, -5.0)
    >>> round(model.predict_one({"x": 1e9}), 6)
    -5.0
    """

    def __init__(self, limit: float = 0.01) -> None:
        self.limit = limit
        self.weights: dict[object, float] = {}
        self.intercept = 0.0

    def learn_one(self, x: Instance, y: float) -> None:
        error = y - self.predict_one(x)
        reach = abs(error) / (1.0 + sum([value * value for value in x.values()]))
        step = copysign(min(self.limit, reach), error)
        weights = self.weights
        for name, value in x.items():
            weights[name] = weights.get(name, 0.0) + step * value
        self.intercept += step

    def predict_one(self, x: Instance) -> float:
        weights = self.weights
        return sum(
            [value * weights[name] for name, value in x.items() if name in weights], self.intercept
        )
