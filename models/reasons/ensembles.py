"""Forests and other ensembles: what each feature adds is the mean over the members.

A classifier's members vote with their probabilities, each with its weight w_m, and the sum is
divided by the sum of all votes, as in River:

    p(c)  =  sum of w_m * p_m(c)  /  sum over all classes of the same.

This is linear in the probabilities of the members, so that base and contributions are the same
weighted mean of theirs. It needs members that answer on the scale of probabilities: log-odds do not
survive a mean of probabilities. A regressor's members are averaged; where River takes the median,
it is the answer of the one or two members in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from river import ensemble, forest

from millrace.models.candidates.accelerated import trees
from millrace.models.reasons.family import Family, Find, Question, Seen, always, checked, refused
from millrace.models.reasons.reasons import Reasons, Scale, weighted_sum

_Member: TypeAlias = tuple[Any, float, Seen]
"""A model, the weight of its vote, and what it sees of an event."""


def _vote(members: Iterable[_Member], question: Question) -> Reasons:
    found, total = [], 0.0
    for model, weight, x in members:
        votes = sum(model.predict_proba_one(x).values())
        if votes:  # it has learned something
            total += weight * votes
            found.append((weight, question.ask(model, x)))
    if not total:
        raise refused("its members have no answer for this event")
    base, contributions = weighted_sum((weight / total, reasons) for weight, reasons in found)
    return Reasons(Scale.PROBABILITY, base, contributions, question.of)


def _mean(members: Sequence[_Member], question: Question) -> Reasons:
    """Return the weighted sum of the answers of members."""
    answers = [(weight, question.ask(model, x)) for model, weight, x in members]
    return Reasons(Scale.TARGET, *weighted_sum(answers))


def _median(members: Sequence[tuple[Any, Seen]], question: Question) -> Reasons:
    """Return the mean of the one or two members in the middle."""
    values = [float(model.predict_one(x)) for model, x in members]
    order = sorted(range(len(values)), key=values.__getitem__)
    middle = order[(len(order) - 1) // 2], order[len(order) // 2]
    return _mean([(members[place][0], 0.5, members[place][1]) for place in middle], question)


def _bagging_classifier(model: Any, x: Seen, question: Question) -> Reasons:
    return _vote([(member, 1.0, x) for member in model], question)


def _bagging_regressor(model: Any, x: Seen, question: Question) -> Reasons:
    return _mean([(member, 1.0 / len(model), x) for member in model], question)


def _forest_classifier(model: Any, x: Seen, question: Question) -> Reasons:
    metrics = model._metrics if len(model) else ()
    weights = [_weight(model, metric) for metric in metrics]
    return _vote([(tree, each, x) for tree, each in zip(model, weights, strict=True)], question)


def _weight(model: Any, metric: Any) -> float:
    """Return the weight of a vote: River takes a metric of zero or less for one."""
    value = float(metric.get())
    return value if value > 0.0 and not model.disable_weighted_vote else 1.0


def _forest_regressor(model: Any, x: Seen, question: Question) -> Reasons:
    if not len(model):
        return Reasons(Scale.TARGET, 0.0, {})
    if model.aggregation_method != model._MEAN:
        return _median([(tree, x) for tree in model], question)
    weights = _forest_weights(model)
    return _mean([(tree, each, x) for tree, each in zip(model, weights, strict=True)], question)


def _forest_weights(model: Any) -> list[float]:
    """Return what River multiplies each tree by: it divides by their number twice if weighted."""
    share = 1.0 / model.n_models
    if model.disable_weighted_vote:
        return [share] * model.n_models
    errors = [float(metric.get()) for metric in model._metrics]
    total = sum(errors)
    if not total:
        return [share] * model.n_models
    weights = [total - each for each in errors]
    return [each / sum(weights) * share for each in weights]


def _patches_classifier(model: Any, x: Seen, question: Question) -> Reasons:
    patches = model.models
    return _vote([(p.model, _weight(model, p.metric), _seen(p, x)) for p in patches], question)


def _patches_regressor(model: Any, x: Seen, question: Question) -> Reasons:
    patches = model.models
    if not patches:
        return Reasons(Scale.TARGET, 0.0, {})
    if model.aggregation_method != model._MEAN:
        return _median([(patch.model, _seen(patch, x)) for patch in patches], question)
    weights = _patch_weights(model)
    total = sum(weights)
    if not total:
        return Reasons(Scale.TARGET, 0.0, {})
    pairs = zip(patches, weights, strict=True)
    return _mean([(patch.model, each / total, _seen(patch, x)) for patch, each in pairs], question)


def _patch_weights(model: Any) -> list[float]:
    if model.disable_weighted_vote:
        return [1.0] * len(model.models)
    weights = [max(float(patch.metric.get()), 0.0) for patch in model.models]
    if model.metric.bigger_is_better:
        return weights
    return [max(weights) - each for each in weights]


def _seen(patch: Any, x: Seen) -> Seen:
    names = patch.features
    return x if names is None else {name: x[name] for name in names if name in x}


def _check_vote(model: Any, find: Find) -> Scale:
    if checked(model.model, find) is not Scale.PROBABILITY:
        raise refused("it averages probabilities of models that add up to log-odds")
    return Scale.PROBABILITY


def _check_mean(model: Any, find: Find) -> Scale:
    return checked(model.model, find)


_BAGGING = Family(_bagging_classifier, _check_vote)
_FOREST = Family(_forest_classifier, always(Scale.PROBABILITY))

MODELS: Mapping[type, Family] = {
    ensemble.BaggingClassifier: _BAGGING,
    ensemble.ADWINBaggingClassifier: _BAGGING,
    ensemble.LeveragingBaggingClassifier: _BAGGING,
    ensemble.BaggingRegressor: Family(_bagging_regressor, _check_mean),
    ensemble.SRPClassifier: Family(_patches_classifier, _check_vote),
    ensemble.SRPRegressor: Family(_patches_regressor, _check_mean),
    forest.ARFClassifier: _FOREST,
    trees.ARFClassifier: _FOREST,
    forest.ARFRegressor: Family(_forest_regressor, always(Scale.TARGET)),
}
