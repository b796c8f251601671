"""Linear models: each feature adds its weight times its value.

The prediction is intercept + sum of w_i * x_i. For classes, this sum is the log-odds ln(p / (1 -
p)), since River's models turn it into the probability p = 1 / (1 + exp(-sum)). With many classes
(softmax), the log-odds of two of them are the difference of their sums.

A feature is compared with the value at which it adds nothing: zero. After a `StandardScaler`, zero
is the running mean of the feature, so that w_i * x_i is w_i / s_i * (value - mean): what it adds,
compared with an event of which it has the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Any, TypeAlias

from river import linear_model, optim, preprocessing

from millrace.models.candidates.accelerated import Instance, linear
from millrace.models.candidates.passive_aggressive import PassiveAggressiveRegressor
from millrace.models.reasons.family import Family, Find, Question, refused
from millrace.models.reasons.reasons import Reasons, Scale

Weights: TypeAlias = Mapping[Any, float]
_Terms: TypeAlias = Callable[[Any], tuple[Weights, float]]
"""Returns the weights and the intercept of a model."""


def products(weights: Weights, x: Instance) -> dict[str, float]:
    """Return what each feature adds; one without a weight adds nothing, and is left out."""
    return {name: value * weights[name] for name, value in x.items() if name in weights}


def shortcut(scaler: object, model: object) -> Callable[[Instance], Reasons] | None:
    """Return a function that answers for a scaler and a linear model at once.

    Equivalent to the long way but for the last digit, and faster; it raises `KeyError`,
    `ZeroDivisionError` or `ValueError` where an event needs the long way.
    """
    terms, scale = _SHORT.get(type(model)), _scale(model)
    if terms is None or not isinstance(scaler, preprocessing.StandardScaler):
        return None
    if type(scaler) not in _SCALERS or scaler.window_size is not None or not scaler.with_std:
        return None
    return partial(_scaled, scaler, model, terms, *scale)


def _scaled(
    scaler: Any, model: object, terms: _Terms, scale: Scale, of: Any, against: Any, x: Instance
) -> Reasons:
    weights, intercept = terms(model)
    means, variances = scaler.means, scaler.vars
    contributions = {
        name: weights[name] * (value - means[name]) / sqrt(variances[name])
        for name, value in x.items()
    }
    return Reasons(scale, intercept, contributions, of, against)


def _of_glm(model: Any) -> tuple[Weights, float]:
    return model._weights.to_dict(), model.intercept


def _of_alma(model: Any) -> tuple[Weights, float]:
    return dict(model.w), 0.0  # which would take up whatever it is asked for


def _of_passive_aggressive(model: Any) -> tuple[Weights, float]:
    return dict(model.weights), model.intercept


def _of_bayesian(model: Any) -> tuple[Weights, float]:
    means = model._ss_inv_arr @ model._eta_arr if model._m_dirty else model._m_arr
    return {name: float(means[place]) for name, place in model._idx.items()}, 0.0


def _number(terms: _Terms, model: Any, x: Instance, _question: Question) -> Reasons:
    weights, intercept = terms(model)
    return Reasons(Scale.TARGET, float(intercept), products(weights, x))


def _two_classes(terms: _Terms, model: Any, x: Instance, _question: Question) -> Reasons:
    weights, intercept = terms(model)
    contributions = products(weights, x)
    return Reasons(Scale.LOG_ODDS, float(intercept), contributions, of=True, against=False)


def _many_classes(model: Any, x: Instance, question: Question) -> Reasons:
    of = question.of
    sums = {label: sum(products(each, x).values()) for label, each in model.weights.items()}
    own = sums.pop(of, None)
    if own is None or not sums:
        raise refused("it knows only one class yet")
    against = max(sums, key=sums.__getitem__)
    added, taken = products(model.weights[of], x), products(model.weights[against], x)
    names = dict.fromkeys([*added, *taken])
    contributions = {name: added.get(name, 0.0) - taken.get(name, 0.0) for name in names}
    return Reasons(Scale.LOG_ODDS, 0.0, contributions, of, against)


def _check_loss(kind: Any, model: Any, _find: Find) -> None:
    if type(model.loss).mean_func is not kind.mean_func:
        raise refused(f"the loss {type(model.loss).__name__} predicts on another scale")


def _scale(model: object) -> tuple[Scale, bool | None, bool | None]:
    is_class = isinstance(model, linear_model.LogisticRegression | linear_model.ALMAClassifier)
    is_class |= isinstance(model, linear_model.PAClassifier)
    return (Scale.LOG_ODDS, True, False) if is_class else (Scale.TARGET, None, None)


_SCALERS = frozenset({preprocessing.StandardScaler, linear.StandardScaler})
_SHORT: Mapping[type, _Terms] = {
    linear_model.LogisticRegression: _of_glm,
    linear.LogisticRegression: _of_glm,
    linear_model.LinearRegression: _of_glm,
    linear_model.Perceptron: _of_glm,
    linear_model.ALMAClassifier: _of_alma,
    linear_model.PAClassifier: _of_passive_aggressive,
    linear_model.PARegressor: _of_passive_aggressive,
    PassiveAggressiveRegressor: _of_passive_aggressive,
}

_CLASS_LOSS = partial(_check_loss, optim.losses.BinaryLoss)
_NUMBER_LOSS = partial(_check_loss, optim.losses.RegressionLoss)
_LOGISTIC = Family(partial(_two_classes, _of_glm), _CLASS_LOSS)

MODELS: Mapping[type, Family] = {
    linear_model.LogisticRegression: _LOGISTIC,
    linear.LogisticRegression: _LOGISTIC,
    linear_model.Perceptron: _LOGISTIC,
    linear_model.ALMAClassifier: Family(partial(_two_classes, _of_alma)),
    linear_model.PAClassifier: Family(partial(_two_classes, _of_passive_aggressive)),
    linear_model.SoftmaxRegression: Family(_many_classes),
    linear_model.LinearRegression: Family(partial(_number, _of_glm), _NUMBER_LOSS),
    linear_model.PARegressor: Family(partial(_number, _of_passive_aggressive)),
    PassiveAggressiveRegressor: Family(partial(_number, _of_passive_aggressive)),
    linear_model.BayesianLinearRegression: Family(partial(_number, _of_bayesian)),
}
