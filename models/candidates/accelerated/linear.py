"""River's scaled linear models, without doing the same work twice.

In a pipeline, River's `StandardScaler` goes over the features of an example to learn from them, and
again to scale them; the one here does both at once. River's pipeline asks each step at every
example what it is; the one here knows it of two steps. River's logistic regression prepares at
every example for new weights, for regularisation, and for other losses and optimisers; the one
here leaves an example to River where any of these is needed. Predictions and state equal River's,
to the last digit.
"""

from __future__ import annotations

from math import exp
from typing import Any

from river import compose, linear_model, optim, preprocessing
from river.base.typing import ClfTarget, FeatureName
from river.utils import VectorDict

from millrace.models.candidates.accelerated import Instance

_LARGEST_MARGIN = 18.0  # beyond it, River's loss has another formula
_LARGEST_LOGIT = 30.0  # beyond it, River's probability is 0 or 1

# The example scaled last, by which scaler, if no scaler has learned since: no part of a model.
_NEWEST: list[tuple[StandardScaler, Instance, Instance] | None] = [None]


class StandardScaler(preprocessing.StandardScaler):
    """River's scaler; it scales an example as it learns from it, and keeps the result for once."""

    _learned: tuple[Instance, Instance] | None = None

    def learn_one(self, x: Instance) -> None:
        _NEWEST[0] = None
        if self.window_size is not None or not self.with_std:
            super().learn_one(x)  # type: ignore[no-untyped-call]  # River's
            return
        counts, means, variances = self.counts, self.means, self.vars
        scaled = {}
        for name, value in x.items():
            counts[name] = count = counts[name] + 1
            old_mean = means[name]
            means[name] = mean = old_mean + (value - old_mean) / count
            variance = variances[name]
            variance += ((value - old_mean) * (value - mean) - variance) / count
            variances[name] = variance
            scaled[name] = (value - mean) / variance**0.5 if variance else 0.0
        self._learned = x, scaled

    def transform_one(self, x: Instance) -> Instance:
        learned, self._learned = self._learned, None
        if learned is not None and learned[0] is x:
            return learned[1]
        if self.window_size is not None or not self.with_std:
            return super().transform_one(x)  # type: ignore[no-untyped-call,no-any-return]  # River's
        means, variances = self.means, self.vars
        scaled = {}
        for name, value in x.items():
            variance = variances[name]
            scaled[name] = (value - means[name]) / variance**0.5 if variance else 0.0
        _NEWEST[0] = self, x, scaled
        return scaled

    def scaled(self, x: Instance) -> Instance:
        """Return an example scaled; from its prediction, where that is the last thing done."""
        newest = _NEWEST[0]
        if newest is not None and newest[0] is self and newest[1] == x:
            return newest[2]
        return self.transform_one(x)

    def __or__(self, other: object) -> compose.Pipeline:
        """Return a pipeline of this scaler and a model."""
        if isinstance(other, compose.Pipeline):
            return other.__ror__(self)
        return Pipeline(self, other)


class Pipeline(compose.Pipeline):
    """River's pipeline, with a shorter way for a transformer and a supervised model."""

    _two: tuple[Any, Any] | None = None  # the steps, if there is a shorter way

    def learn_one(self, x: Instance, y: ClfTarget | None = None, **params: Any) -> None:
        two = self._two
        if two is None or params or self._is_changed:
            super().learn_one(x, y, **params)
            return
        transformer, model = two
        transformer.learn_one(x)
        model.learn_one(transformer.transform_one(x), y)

    def predict_one(self, x: Instance, **params: Any) -> Any:
        two = self._two
        if two is None or params or self._is_changed:
            return super().predict_one(x, **params)
        transformer, model = two
        return model.predict_one(transformer.transform_one(x))

    def predict_proba_one(self, x: Instance, **params: Any) -> Any:
        two = self._two
        if two is None or params or self._is_changed:
            return super().predict_proba_one(x, **params)
        transformer, model = two
        return model.predict_proba_one(transformer.transform_one(x))

    @property
    def _is_changed(self) -> bool:
        """Whether a step was added, or transformers learn as they predict."""
        return self._plan is None or self._LEARN_UNSUPERVISED_DURING_PREDICT

    def _build_plan(self) -> tuple[Any, ...]:
        plan: tuple[Any, ...] = super()._build_plan()
        roles = [(kind, *info[:1]) for kind, _, *info in plan]
        is_short = roles == [("transformer", False), ("final", True)]
        self._two = (plan[0][1], plan[1][1]) if is_short else None
        return plan


class LogisticRegression(linear_model.LogisticRegression):
    """River's logistic regression, faster where an example has exactly the features seen so far."""

    _names: list[FeatureName] | None = None  # of all weights, in order; None: leave it to River

    def learn_one(self, x: Instance, y: ClfTarget, w: float = 1.0) -> None:
        if w != 1.0 or [*x] != self._names:
            self._leave_to_river(x, y, w)
            return
        sign = 1 if y else -1
        margin = (self._weights.dot(x) + self.intercept) * sign
        if not -_LARGEST_MARGIN <= margin <= _LARGEST_MARGIN:
            self._leave_to_river(x, y, w)
            return
        gradient = -sign / (exp(margin) + 1.0)
        optimizer = self.optimizer
        iterations = optimizer.n_iterations
        self.intercept -= self.intercept_lr.get(iterations) * gradient
        step = VectorDict.from_scaled(x, gradient)
        self._weights.isub_scaled(step, optimizer.lr.get(iterations))
        optimizer.n_iterations = iterations + 1

    def predict_proba_one(self, x: Instance, **params: Any) -> dict[ClfTarget, float]:
        margin = self._weights.dot(x) + self.intercept
        if (
            type(self.loss) is not optim.losses.Log
            or not -_LARGEST_LOGIT <= margin <= _LARGEST_LOGIT
        ):
            found: dict[ClfTarget, float] = super().predict_proba_one(x, **params)  # type: ignore[no-untyped-call]  # River's
            return found
        probability = 1 / (1 + exp(-margin))
        return {False: 1.0 - probability, True: probability}

    def _leave_to_river(self, x: Instance, y: ClfTarget, w: float) -> None:
        super().learn_one(x, y, w)
        has_all = len(self._weights) == len(x) and self._is_plain()
        self._names = [*self._weights] if has_all else None

    def _is_plain(self) -> bool:
        loss = self.loss
        return (
            type(self.optimizer) is optim.SGD
            and type(loss) is optim.losses.Log
            and loss.weight_pos == loss.weight_neg == 1.0
            and self.l1 == self.l2 == 0.0
            and self.clip_gradient >= 1.0
        )
