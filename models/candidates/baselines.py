"""Baselines: what a model must beat to be worth running.

They run beside the models of every pipeline, predict and learn at the same places in the log,
and appear in the same metrics. On a stream where labels stay the same for a while, the no-change
baseline is hard to beat (Zliobaite et al. 2015), and users should see that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import TypeAlias, cast

from river import base, dummy, stats
from river.base.typing import ClfTarget

from millrace.models.candidates.running_mean import means
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.sealed import Fields
from millrace.schemas.records import LabelValue

Answers: TypeAlias = Sequence[LabelValue | None]


def baselines(task: Task | str) -> dict[str, Model]:
    """Return fresh baselines for a task, as River models, by name.

    `no_change` predicts the last label; `prior` predicts the most common class, the mean, or the
    share of anomalies.

    Examples
    --------
    >>> for model in (models := baselines("binary")).values():
    ...     for label in (True, True, False):
    ...         model.learn_one({}, label)
    >>> {name: model.predict_one({}) for name, model in models.items()}
    {'no_change': False, 'prior': True}
    """
    task = Task(task)
    if task is Task.REGRESSION:
        return {"no_change": LastValue(), "prior": dummy.StatisticRegressor(stats.Mean())}
    if task is Task.ANOMALY:
        return {"no_change": LastAnomaly(), "prior": AnomalyRate()}
    return {"no_change": dummy.NoChangeClassifier(), "prior": MostCommon()}


def saved(model: Model) -> dict[str, object]:
    """Return what a baseline has learned, as data.

    Examples
    --------
    >>> saved(baselines("regression")["prior"]), saved(baselines("binary")["prior"])
    ({'n': 0.0, 'mean': 0.0}, {'counts': {}, 'most_common': None})
    """
    if isinstance(model, dummy.StatisticRegressor):
        mean = cast(stats.Mean, model.statistic)
        return {"n": mean.n, "mean": mean._mean}
    if isinstance(model, dummy.NoChangeClassifier):
        return {"last_class": model.last_class, "classes": [*model.classes]}
    return vars(model)


def restored(task: Task, fields: Mapping[str, Fields]) -> dict[str, Model]:
    """Return the baselines of a task with what was saved of each, by name."""
    found = baselines(task)
    for name, learned in fields.items():
        model = found[name]
        if isinstance(model, dummy.StatisticRegressor):
            mean = cast(stats.Mean, model.statistic)
            mean.n, mean._mean = learned["n"], learned["mean"]
        elif isinstance(model, dummy.NoChangeClassifier):
            model.last_class, model.classes = learned["last_class"], {*learned["classes"]}
        else:
            vars(model).update(learned)
    return found


def answers(model: Model, labels: Sequence[LabelValue | None]) -> Answers:
    """Let a baseline learn labels, and return its answer before each and after the last.

    Equivalent to one `learn_one` after the other, at a fraction of the cost. None stands where it
    has no answer: before it has learned, and for a mean that is too large for a float.

    Examples
    --------
    >>> model = baselines("binary")["prior"]
    >>> answers(model, [True, False, False])
    [None, True, True, False]
    >>> answers(model, [])
    [False]
    """
    return _ANSWERS[type(model)](model, labels)


class MostCommon(base.Classifier):
    """Predicts the most common class so far; of equally common ones, the one seen first.

    Equivalent to River's `PriorClassifier`, but it keeps the most common class instead of
    counting all classes at every prediction: it runs beside every model, on every event.

    Examples
    --------
    >>> model = MostCommon()
    >>> for label in ("sky", "grass", "grass"):
    ...     model.learn_one({}, label)
    >>> model.predict_one({})
    'grass'
    >>> model.predict_proba_one({})
    {'sky': 0.333..., 'grass': 0.666...}
    """

    def __init__(self) -> None:
        self.counts: dict[ClfTarget, int] = {}
        self.most_common: ClfTarget | None = None

    @property
    def _multiclass(self) -> bool:
        return True

    def learn_one(self, x: object, y: ClfTarget) -> None:  # noqa: ARG002 - ignores the features
        self.answers([y])

    def answers(self, labels: Sequence[ClfTarget]) -> Answers:
        """Learn labels; return the most common class before each of them, and after the last."""
        counts, most_common = self.counts, self.most_common
        most = 0 if most_common is None else counts[most_common]
        found = [most_common]
        for label in labels:
            counts[label] = count = counts.get(label, 0) + 1
            if label == most_common:
                most = count
            elif count > most:
                most_common, most = label, count
            elif count == most:
                most_common = max(counts, key=counts.__getitem__)
            found.append(most_common)
        self.most_common = most_common
        return found

    def predict_one(self, x: object, **_: object) -> ClfTarget | None:  # noqa: ARG002
        return self.most_common

    def predict_proba_one(self, x: object, **_: object) -> dict[ClfTarget, float]:  # noqa: ARG002
        total = sum(self.counts.values())
        return {label: count / total for label, count in self.counts.items()}


class LastValue(base.Regressor):
    """Predicts the last value learned, and None before there is one.

    Examples
    --------
    >>> model = LastValue()
    >>> model.learn_one({"x": 1.0}, 3.5)
    >>> model.predict_one({"x": 2.0})
    3.5
    """

    def __init__(self) -> None:
        self.last: float | None = None

    def learn_one(self, x: object, y: float) -> None:  # noqa: ARG002 - ignores the features
        self.last = y

    def predict_one(  # type: ignore[override]  # None, as River's classifiers before they learn
        self,
        x: object,  # noqa: ARG002 - ignores the features
    ) -> float | None:
        return self.last


class _LabelScorer(base.AnomalyDetector):
    """An anomaly detector that learns from labels and not from features."""

    @property
    def _supervised(self) -> bool:
        return True


class LastAnomaly(_LabelScorer):
    """Scores 1.0 if the last labelled event was an anomaly, and 0.0 otherwise.

    Examples
    --------
    >>> model = LastAnomaly()
    >>> model.learn_one({}, True)
    >>> model.score_one({})
    1.0
    """

    def __init__(self) -> None:
        self.last = 0.0

    def learn_one(self, x: object, y: bool | None = None) -> None:  # noqa: ARG002 - ignores the features
        if y is not None:
            self.last = float(y)

    def score_one(self, x: object) -> float:  # noqa: ARG002 - ignores the features
        return self.last


class AnomalyRate(_LabelScorer):
    """Scores every event with the share of anomalies among the labels, 0.0 before the first.

    Examples
    --------
    >>> model = AnomalyRate()
    >>> for label in (True, False, False, False):
    ...     model.learn_one({}, label)
    >>> model.score_one({})
    0.25
    """

    def __init__(self) -> None:
        self.labels = 0
        self.anomalies = 0

    def learn_one(self, x: object, y: bool | None = None) -> None:  # noqa: ARG002 - ignores the features
        if y is not None:
            self.labels += 1
            self.anomalies += bool(y)

    def score_one(self, x: object) -> float:  # noqa: ARG002 - ignores the features
        return self.anomalies / self.labels if self.labels else 0.0


def _last_classes(model: dummy.NoChangeClassifier, labels: Sequence[ClfTarget]) -> Answers:
    found = [model.last_class, *labels]
    model.last_class = found[-1]
    model.classes.update(labels)
    return found


def _last_values(model: LastValue, labels: Sequence[float]) -> Answers:
    found = [model.last, *labels]
    model.last = found[-1]
    return found


def _means(model: dummy.StatisticRegressor, labels: Sequence[float]) -> Answers:
    found = means(cast(stats.Mean, model.statistic), labels)
    return found if isfinite(found[-1]) else [each if isfinite(each) else None for each in found]


def _last_scores(model: LastAnomaly, labels: Sequence[bool | None]) -> Answers:
    found = [model.last]
    for label in labels:
        found.append(found[-1] if label is None else float(label))
    model.last = found[-1]
    return found


def _rates(model: AnomalyRate, labels: Sequence[bool | None]) -> Answers:
    found = [model.score_one({})]
    for label in labels:
        model.learn_one({}, label)
        found.append(model.score_one({}))
    return found


_ANSWERS: Mapping[type, Callable[..., Answers]] = {
    dummy.NoChangeClassifier: _last_classes,
    dummy.StatisticRegressor: _means,
    LastValue: _last_values,
    LastAnomaly: _last_scores,
    AnomalyRate: _rates,
    MostCommon: MostCommon.answers,
}
