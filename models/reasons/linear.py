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
from typing import Any, TypeAlias

from river import base, linear_model, optim

from millrace.models.candidates.accelerated import linear
from millrace.models.candidates.passive_aggressive import PassiveAggressiveRegressor
from millrace.models.reasons.family import Family, Find, Question, Seen, always, refused
from millrace.models.reasons.reasons import Reasons, Scale

Weights: TypeAlias = Mapping[Any, float]
Terms: TypeAlias = Callable[[Any], tuple[Weights, float]]
"""Returns the weights and the intercept of a model."""


def products(weights: Weights, x: Seen) -> dict[str, float]:
    """Return what each feature adds; one without a weight adds nothing, and is left out."""
    return {name: value * weights[name] for name, value in x.items() if name in weights}


def _of_glm(model: Any) -> tuple[Weights, float]:
    return model._weights.to_dict(), model.intercept


def _of_alma(model: Any) -> tuple[Weights, float]:
    return dict(model.w), 0.0  # which would take up whatever it is asked for


def _of_passive_aggressive(model: Any) -> tuple[Weights, float]:
    return dict(model.weights), model.intercept


def _of_own(model: PassiveAggressiveRegressor) -> tuple[Weights, float]:
    return model.weights, model.intercept


def _of_bayesian(model: Any) -> tuple[Weights, float]:
    means = model._ss_inv_arr @ model._eta_arr if model._m_dirty else model._m_arr
    return {name: float(means[place]) for name, place in model._idx.items()}, 0.0


def _number(terms: Terms, model: Any, x: Seen, _question: Question) -> Reasons:
    weights, intercept = terms(model)
    return Reasons(Scale.TARGET, float(intercept), products(weights, x))


def _two_classes(terms: Terms, model: Any, x: Seen, _question: Question) -> Reasons:
    weights, intercept = terms(model)
    contributions = products(weights, x)
    return Reasons(Scale.LOG_ODDS, float(intercept), contributions, of=True, against=False)


def _many_classes(model: Any, x: Seen, question: Question) -> Reasons:
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


def _check_loss(kind: Any, scale: Scale, model: Any, _find: Find) -> Scale:
    if type(model.loss).mean_func is not kind.mean_func:
        raise refused(f"the loss {type(model.loss).__name__} predicts on another scale")
    return scale


TERMS: Mapping[type, Terms] = {
    linear_model.LogisticRegression: _of_glm,
    linear.LogisticRegression: _of_glm,
    linear_model.Perceptron: _of_glm,
    linear_model.ALMAClassifier: _of_alma,
    linear_model.PAClassifier: _of_passive_aggressive,
    linear_model.LinearRegression: _of_glm,
    linear_model.PARegressor: _of_passive_aggressive,
    PassiveAggressiveRegressor: _of_own,
    linear_model.BayesianLinearRegression: _of_bayesian,
}
"""How each model's weights are read; none of them is changed by looking up a name."""


_LOSSES = {Scale.LOG_ODDS: optim.losses.BinaryLoss, Scale.TARGET: optim.losses.RegressionLoss}


def _family(kind: type, terms: Terms) -> Family:
    if issubclass(kind, base.Classifier):
        explain, scale = _two_classes, Scale.LOG_ODDS
    else:
        explain, scale = _number, Scale.TARGET
    has_loss = issubclass(kind, linear_model.base.GLM)
    check = partial(_check_loss, _LOSSES[scale], scale) if has_loss else always(scale)
    return Family(partial(explain, terms), check)


MODELS: Mapping[type, Family] = {
    **{kind: _family(kind, terms) for kind, terms in TERMS.items()},
    linear_model.SoftmaxRegression: Family(_many_classes, always(Scale.LOG_ODDS)),
}
