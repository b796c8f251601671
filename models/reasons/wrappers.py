"""Models around a model: one against the rest, scaled targets, limits.

- One against the rest: the answer is that of the predicted class's own model, the log-odds of the
  class against all others. River then divides the probabilities of all classes by their sum; the
  log-odds are those before it. Where the models inside answer with probabilities, theirs are
  divided likewise.
- A scaled target: y = s * z + m for what is predicted inside, z; so contributions are multiplied by
  s, and m moves the base.
- Limits: what brings a prediction back between the limits is a contribution of its own, `LIMITS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from river import multiclass, preprocessing

from millrace.models.reasons.family import Family, Find, Question, Seen, checked, refused
from millrace.models.reasons.reasons import LIMITS, Reasons, Scale


def _one_against_the_rest(model: Any, x: Seen, question: Question) -> Reasons:
    of = question.of
    own = model.classifiers.get(of)
    if own is None:
        raise refused("it has learned nothing yet")
    reasons = Question(True, question.find).ask(own, x)
    if reasons.scale is not Scale.PROBABILITY:
        return reasons._replace(of=of, against=None)
    total = sum(each.predict_proba_one(x)[True] for each in model.classifiers.values())
    if not total:
        raise refused("no class has any probability for this event")
    return reasons.scaled(1.0 / total)._replace(of=of)


def _clipped(model: Any, x: Seen, question: Question) -> Reasons:
    reasons = question.ask(model.regressor, x)
    total = reasons.total
    within = min(max(total, model.y_min), model.y_max)
    if within == total:
        return reasons
    return reasons._replace(contributions={**reasons.contributions, LIMITS: within - total})


def _standard_scaled(model: Any, x: Seen, question: Question) -> Reasons:
    reasons = question.ask(model.regressor, x)
    return reasons.scaled(model.var.get() ** 0.5, model.var.mean.get())


def _min_max_scaled(model: Any, x: Seen, question: Question) -> Reasons:
    reasons = question.ask(model.regressor, x)
    least = model.min.get()
    return reasons if least == inf else reasons.scaled(model.max.get() - least, least)


def _check_classifier(model: Any, find: Find) -> Scale:
    return checked(model.classifier, find)


def _check_regressor(model: Any, find: Find) -> Scale:
    return checked(model.regressor, find)


MODELS: Mapping[type, Family] = {
    multiclass.OneVsRestClassifier: Family(_one_against_the_rest, _check_classifier),
    preprocessing.PredClipper: Family(_clipped, _check_regressor),
    preprocessing.TargetStandardScaler: Family(_standard_scaled, _check_regressor),
    preprocessing.TargetMinMaxScaler: Family(_min_max_scaled, _check_regressor),
}
