"""How a River model predicts for each task, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from river import base

from millrace.models.pipeline.model import Classifier, Model, Predictor, Scorer
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import Features, LabelValue, Predicted

Predict: TypeAlias = Callable[[Features], Predicted]
Learn: TypeAlias = Callable[[Features, LabelValue | None], object]

_PLAIN = frozenset({bool, int, float, str, type(None)})


def learner(model: Model) -> Learn:
    """Return the function that trains `model` on an example, with the label or without."""
    learn_one = model.learn_one
    if model._supervised:
        return learn_one
    return lambda x, _: learn_one(x)


def predictor(model: Model, task: Task, probabilities: bool = False) -> Predict:
    """Return the function that predicts a value with `model` and, if wanted, probabilities.

    The value is the same either way, and probabilities stay empty where the model has none.
    """
    if task is Task.ANOMALY:
        score_one = cast(Scorer, model).score_one
        return lambda x: {"value": float(score_one(x)), "probabilities": {}}
    predict_one = cast(Predictor, model).predict_one
    if task is Task.REGRESSION:
        return lambda x: {"value": _number(predict_one(x)), "probabilities": {}}
    last = cast(type[base.Classifier], type(getattr(model, "_last_step", model)))
    if not probabilities or last.predict_proba_one is base.Classifier.predict_proba_one:
        return lambda x: {"value": _plain(predict_one(x)), "probabilities": {}}
    predict_proba_one = cast(Classifier, model).predict_proba_one
    if last.predict_one is base.Classifier.predict_one:
        return lambda x: _likeliest(predict_proba_one(x))
    return lambda x: {
        "value": _plain(predict_one(x)),
        "probabilities": _by_name(predict_proba_one(x)),
    }


def _plain(value: LabelValue | None) -> LabelValue | None:
    """Turn a NumPy scalar into Python's own, which is what is written to topics."""
    if type(value) in _PLAIN:
        return value
    item = getattr(value, "item", None)
    plain: LabelValue | None = value if item is None else item()
    return plain


def _number(value: LabelValue | None) -> float | None:
    return None if value is None else float(value)


def _by_name(probabilities: dict[LabelValue, float]) -> dict[str, float]:
    named = {str(label): probability for label, probability in probabilities.items()}
    if len(named) < len(probabilities):
        raise ValueError(f"classes must differ as text; got {[*probabilities]}")
    return named


def _likeliest(probabilities: dict[LabelValue, float]) -> Predicted:
    """Choose as River's own `Classifier.predict_one` does: the first of the likeliest."""
    value = max(probabilities, key=probabilities.__getitem__) if probabilities else None
    return {"value": _plain(value), "probabilities": _by_name(probabilities)}
