"""A shorter way for linear models behind a `StandardScaler`: the same answers, three times faster.

The long way scales an event, asks each model inside another one, and maps names back. Here it is
one loop, for the three shapes that the catalogue has: a linear model by itself, one against the
rest of each class, and a limited one of a scaled target. Its answers equal those of the long way
but for the last digit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf, sqrt
from typing import Any, TypeAlias

from river import base, compose, multiclass, preprocessing

from millrace.models.candidates.accelerated import linear as accelerated
from millrace.models.reasons.family import Seen
from millrace.models.reasons.linear import TERMS, Terms
from millrace.models.reasons.reasons import Reasons, Scale
from millrace.schemas.records import LabelValue

Shortcut: TypeAlias = Callable[[Seen, LabelValue | None], Reasons | None]
"""Answers for features and what was predicted of them.

It returns None, or raises, where an event needs the long way: a feature that is new, or a
prediction at its limits.
"""

_new = tuple.__new__  # half the time of calling the class of a named tuple
_SCALERS = frozenset({preprocessing.StandardScaler, accelerated.StandardScaler})
_PIPELINES = frozenset({compose.Pipeline, accelerated.Pipeline})


def shortcut(model: Any) -> Shortcut | None:
    """Return the shorter way for a model, if it has one.

    Examples
    --------
    >>> from millrace import catalogue
    >>> shortcut(catalogue.hoeffding_tree()) is None, shortcut(catalogue.alma()) is None
    (True, False)
    """
    steps = [*model.steps.values()] if type(model) in _PIPELINES else []
    if len(steps) != 2 or not _is_plain(steps[0]):
        return None
    scaler, last = steps
    if type(last) is multiclass.OneVsRestClassifier:
        terms = TERMS.get(type(last.classifier))
        return None if terms is None else partial(_one_of_many, scaler, last, terms)
    if type(last) is preprocessing.TargetStandardScaler:
        clipper: Any = last.regressor
        is_clipped = type(clipper) is preprocessing.PredClipper
        terms = TERMS.get(type(clipper.regressor)) if is_clipped else None
        return None if terms is None else partial(_scaled_target, scaler, last, terms)
    terms = TERMS.get(type(last))
    if terms is None:
        return None
    if isinstance(last, base.Classifier):
        return partial(_alone, scaler, last, terms, Scale.LOG_ODDS, True, False)
    return partial(_alone, scaler, last, terms, Scale.TARGET, None, None)


def _is_plain(scaler: Any) -> bool:
    return type(scaler) in _SCALERS and scaler.with_std and scaler.window_size is None


def _alone(
    scaler: Any,
    model: object,
    terms: Terms,
    scale: Scale,
    of: LabelValue | None,
    against: LabelValue | None,
    x: Seen,
    _value: LabelValue | None,
) -> Reasons:
    weights, intercept = terms(model)
    means, variances, root, never = scaler.means, scaler.vars, sqrt, inf
    contributions = {}
    for name, value in x.items():  # faster than a comprehension, which is a call
        contributions[name] = (
            weights[name] * (value - means[name]) / (root(variances[name]) or never)
        )  # a constant adds nothing
    return _new(Reasons, (scale, intercept, contributions, of, against))


def _one_of_many(
    scaler: Any, model: Any, terms: Terms, x: Seen, value: LabelValue | None
) -> Reasons:
    own = model.classifiers[value]
    return _alone(scaler, own, terms, Scale.LOG_ODDS, value, None, x, value)


def _scaled_target(
    scaler: Any, model: Any, terms: Terms, x: Seen, predicted: LabelValue | None
) -> Reasons | None:
    clipper, variance = model.regressor, model.var
    weights, intercept = terms(clipper.regressor)
    means, variances, root, never = scaler.means, scaler.vars, sqrt, inf
    unit, mean = root(variance.get()), variance.mean.get()
    if not clipper.y_min * unit < predicted - mean < clipper.y_max * unit:
        return None
    contributions = {}
    for name, value in x.items():
        contributions[name] = (
            unit * weights[name] * (value - means[name]) / (root(variances[name]) or never)
        )
    return _new(Reasons, (Scale.TARGET, unit * intercept + mean, contributions, None, None))
