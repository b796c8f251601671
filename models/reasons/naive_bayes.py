"""Naive Bayes: each feature adds its log-likelihood ratio.

By Bayes' rule, with features that are independent given the class, the log-odds of two classes are

    ln P(c | x) / P(d | x)  =  ln P(c) / P(d)  +  sum over features of ln P(x_i | c) / P(x_i | d).

The first term is the base. Each other term is what a feature says: the weight of evidence of Good
(Probability and the Weighing of Evidence, 1950). With two classes, c is true and d is false; with
more, c is the class that is predicted and d the likeliest of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import fsum, log
from typing import Any, TypeAlias

from river import naive_bayes

from millrace.models.reasons.family import Family, Question, Seen, always, refused
from millrace.models.reasons.reasons import Reasons, Scale

_Joint: TypeAlias = Callable[[Any, Seen, Any], tuple[float, dict[str, float]]]
"""Returns the logarithms of a class's prior, and of the likelihood of each feature."""

_LEAST = 10e-10  # what River's Bernoulli model adds to each probability


def _explain(joint: _Joint, model: Any, x: Seen, question: Question) -> Reasons:
    of = question.of
    logs = {label: joint(model, x, label) for label in model.class_counts}
    own = logs.pop(of, None)
    if own is None or not logs:
        raise refused("it knows only one class yet")
    prior, likelihoods = own
    against = max(logs, key=lambda label: logs[label][0] + fsum(logs[label][1].values()))
    other_prior, others = logs[against]
    contributions = {name: each - others[name] for name, each in likelihoods.items()}
    return Reasons(Scale.LOG_ODDS, prior - other_prior, contributions, of, against)


def _gaussian(model: Any, x: Seen, label: Any) -> tuple[float, dict[str, float]]:
    gaussians, density = model.gaussians.get(label, {}), model._log_gaussian_pdf
    likelihoods = {name: density(gaussians.get(name), value) for name, value in x.items()}
    return log(model.p_class(label)), likelihoods


def _multinomial(model: Any, x: Seen, label: Any) -> tuple[float, dict[str, float]]:
    of_class = model.p_feature_given_class
    likelihoods = {name: count * log(of_class(name, label)) for name, count in x.items()}
    return log(model.p_class(label)), likelihoods


def _bernoulli(model: Any, x: Seen, label: Any) -> tuple[float, dict[str, float]]:
    likelihoods = {}
    for name in model.feature_counts:
        probability = model.p_feature_given_class(name, label)
        is_true = name in x and x[name] > model.true_threshold
        likelihoods[name] = log(_LEAST + (probability if is_true else 1.0 - probability))
    return log(model.p_class(label)), likelihoods


MODELS: Mapping[type, Family] = {
    naive_bayes.GaussianNB: Family(partial(_explain, _gaussian), always(Scale.LOG_ODDS)),
    naive_bayes.MultinomialNB: Family(partial(_explain, _multinomial), always(Scale.LOG_ODDS)),
    naive_bayes.BernoulliNB: Family(partial(_explain, _bernoulli), always(Scale.LOG_ODDS)),
}
