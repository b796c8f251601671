"""How a River model predicts for each task, and how it is trained.

A model is user code: it gets a copy of the features, and its answer is converted or refused
(`InvalidPredictionError`): a number that is not finite, nothing where a number is due, a class or
a probability of another type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TypeAlias, cast

from river import base

from millrace.models.pipeline.model import Classifier, Model, Predictor, Scorer
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import Scalar, scalar, shown
from millrace.schemas.records import Features, LabelValue, Predicted

Predict: TypeAlias = Callable[[Features], Predicted]
Learn: TypeAlias = Callable[[Features, LabelValue | None], object]

_NUMBERS = {int, float}
_NAMED = {bool, int, str}
_MOST_NAMES = 10_000


class InvalidPredictionError(ValueError):
    """What a model answered is no prediction."""


def learner(model: Model) -> Learn:
    """Return the function that trains `model` on an example, with the label or without."""
    learn_one = model.learn_one
    if model._supervised:
        return lambda x, y: learn_one(x.copy(), y)
    return lambda x, _: learn_one(x.copy())


def predictor(model: Model, task: Task, probabilities: bool = False) -> Predict:
    """Return the function that predicts a value with `model` and, if wanted, probabilities.

    The value is the same either way, and probabilities stay empty where the model has none. The
    function raises `InvalidPredictionError`, and whatever the model raises.
    """
    if task is Task.ANOMALY:
        score_one = cast(Scorer, model).score_one
        return lambda x: {"value": _number(score_one(x.copy())), "probabilities": {}}
    predict_one = cast(Predictor, model).predict_one
    if task is Task.REGRESSION:
        number = _number_or_none if _is_own(model) else _number
        return lambda x: {"value": number(predict_one(x.copy())), "probabilities": {}}
    last = cast(type[base.Classifier], type(getattr(model, "_last_step", model)))
    if not probabilities or last.predict_proba_one is base.Classifier.predict_proba_one:
        return lambda x: {"value": _class(task, predict_one(x.copy())), "probabilities": {}}
    predict_proba_one = cast(Classifier, model).predict_proba_one
    if last.predict_one is base.Classifier.predict_one:
        return _likeliest(task, predict_proba_one)
    return lambda x: {
        "value": _class(task, predict_one(x.copy())),
        "probabilities": _by_name(_probabilities(predict_proba_one(x.copy()))),
    }


def _is_own(model: Model) -> bool:
    return type(model).__module__.startswith("millrace.")


def _number_or_none(answer: object) -> float | None:
    """Return what a baseline answered, which is None before the first label."""
    return None if answer is None else _number(answer)


def _number(answer: object) -> float:
    """Return what a model answered as a finite number."""
    if type(answer) is not float:
        answer = _scalar(answer)
        if answer is None or isinstance(answer, str):
            raise InvalidPredictionError(f"a prediction must be a number; got {shown(answer)}")
        answer = float(answer)
    if math.isfinite(answer):
        return answer
    raise InvalidPredictionError(f"a prediction must be a finite number; got {answer}")


def _class(task: Task, answer: object) -> LabelValue | None:
    """Return what a model answered as a class; None where it knows none yet."""
    if answer is None or type(answer) is bool:
        return answer
    value = _scalar(answer)
    if task is Task.BINARY:
        if type(value) is int and value in (0, 1):
            return bool(value)
    elif type(value) is not float:
        return value
    if value is None or type(value) is bool:
        return value
    raise InvalidPredictionError(f"a prediction must be a class; got {shown(answer)}")


def _probabilities(answer: object) -> dict[object, float]:
    """Return what a model answered as finite numbers, by its own keys."""
    if not issubclass(type(answer), dict):
        raise InvalidPredictionError(f"probabilities must be a dictionary; got {shown(answer)}")
    found = cast(dict[object, float], answer)
    if type(answer) is not dict:
        found = dict(dict.items(found))
    with suppress(OverflowError):  # of a whole number that no float can hold
        if _NUMBERS.issuperset(map(type, found.values())) and math.isfinite(sum(found.values())):
            return found
    return {label: _number(probability) for label, probability in found.items()}


def _by_name(probabilities: dict[object, float]) -> dict[str, float]:
    named = {
        _name(label) if type(label) in _NAMED else str(_scalar(label)): probability
        for label, probability in probabilities.items()
    }
    if len(named) < len(probabilities):
        found = shown([*probabilities])
        raise InvalidPredictionError(f"classes must differ as text; got {found}")
    return named


@lru_cache(_MOST_NAMES, typed=True)
def _name(label: LabelValue) -> str:
    """Return a class as text: the same few come with every prediction."""
    return str(_scalar(label))


def _likeliest(task: Task, predict_proba_one: Callable[[Features], object]) -> Predict:
    """Choose as River's own `Classifier.predict_one` does: the first of the likeliest."""

    def predict(x: Features) -> Predicted:
        answer = predict_proba_one(x.copy())
        if type(answer) is dict and len(answer) == 2:
            (first, p), (second, q) = answer.items()
            are_plain = first is False and second is True and type(p) is type(q) is float
            if are_plain and math.isfinite(p + q):  # the way of almost every binary classifier
                return {"value": q > p, "probabilities": {"False": p, "True": q}}
        probabilities = _probabilities(answer)
        value = max(probabilities, key=probabilities.__getitem__) if probabilities else None
        return {"value": _class(task, value), "probabilities": _by_name(probabilities)}

    return predict


def _scalar(answer: object) -> Scalar | None:
    try:
        return scalar(answer)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidPredictionError(f"a prediction cannot be written: {error}") from None
