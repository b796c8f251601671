"""Which River metrics can measure a task, and what they are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TypeAlias

from river.metrics.base import BinaryMetric, ClassificationMetric, Metric, RegressionMetric

from millrace.models.parameters import function, made, require, text
from millrace.models.pipeline.labels import Labels
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import shown
from millrace.schemas import DefinitionError
from millrace.schemas.records import LabelValue

MetricFactory: TypeAlias = Callable[[], Metric]
"""Returns a fresh River metric."""


def check_metrics(metrics: Mapping[str, MetricFactory], task: Task, labels: Labels) -> None:
    """Refuse metrics that cannot measure a task, after trying each on made-up predictions.

    Parameters
    ----------
    metrics
        Name to a callable that returns a fresh metric.
    task
        What is predicted.
    labels
        What its labels are.

    Raises
    ------
    DefinitionError
        Naming the metric and the fix.
    """
    for name, factory in metrics.items():
        text("metrics must have names, each of which", name)
        where = f"metrics[{name!r}]"
        must = f"{where} must be a callable that returns a fresh metric, for example metrics.MAE"
        require(not isinstance(factory, Metric), must, type(factory).__name__)
        function(where, factory, arguments=0, returns="a fresh River metric")
        metric, other = (made(where, factory, returns="a fresh River metric") for _ in range(2))
        require(metric is not other, f"{must}, a new one at every call", metric)
        check_metric(name, metric, task)
        _check_positive(where, metric, task, labels)
        _try(where, metric, task, labels)


def check_metric(name: str, metric: object, task: Task) -> None:
    """Refuse a metric that cannot measure the task.

    Raises
    ------
    DefinitionError
        Naming the metric, and the kind of metric that can.
    """
    if task is Task.REGRESSION:
        wanted, fits = "RegressionMetric", isinstance(metric, RegressionMetric)
    elif task is Task.ANOMALY:
        wanted = "metric of scores, for example metrics.ROCAUC,"
        fits = isinstance(metric, BinaryMetric) and not metric.requires_labels
    else:
        wanted, fits = "ClassificationMetric", isinstance(metric, ClassificationMetric)
    if not fits:
        raise DefinitionError(
            f"metrics[{name!r}] must be a River {wanted} for the task {task.value!r};"
            f" got {shown(metric)}"
        )


def reads_probabilities(metric: Metric, task: Task) -> bool:
    """Whether a metric looks at the probabilities of classes, and not at the predicted one."""
    if not (task.is_classification and isinstance(metric, ClassificationMetric)):
        return False
    return not metric.requires_labels


def _check_positive(where: str, metric: Metric, task: Task, labels: Labels) -> None:
    """Refuse a metric of two classes for many, unless it is told which class is the positive."""
    if task is Task.MULTICLASS and isinstance(metric, BinaryMetric):
        name = type(metric).__name__
        has_macro = hasattr(inspect.getmodule(type(metric)), f"Macro{name}")
        fix = f"metrics.Macro{name}" if has_macro else f"lambda: metrics.{name}(pos_val=...)"
        must = f"{where} must be a metric of many classes for the task 'multiclass', as {fix}"
        require(labels.admits(getattr(metric, "pos_val", True)), must, metric)


def _try(where: str, metric: Metric, task: Task, labels: Labels) -> None:
    """Update a metric as an evaluation does, and read it."""
    try:
        for label, answer in _answers(metric, task, labels):
            metric.update(label, answer)
        float(metric.get())
    except Exception as error:  # River's or the user's: it may raise anything
        raise DefinitionError(
            f"{where} must measure predictions of the task {task.value!r} by one number; got"
            f" {type(metric).__name__}, which raised {type(error).__name__}: {shown(error)}"
        ) from error


def _answers(metric: Metric, task: Task, labels: Labels) -> list[tuple[LabelValue, object]]:
    if task is Task.REGRESSION:
        return [(1.5, 2.0), (3.0, 1.0), (2.0, 2.0)]
    if task is Task.ANOMALY:
        return [(True, 0.75), (False, 0.25), (True, 0.5)]
    one, other = labels.examples[:2]
    if not reads_probabilities(metric, task):
        return [(one, other), (other, other), (one, one)]
    if task is Task.MULTICLASS:  # an evaluation names them as text
        one, other = str(one), str(other)
    return [(each, {one: 0.25, other: 0.75}) for each in (one, other, one)]
