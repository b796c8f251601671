"""River's metrics: their names, the defaults of each task, and which metrics fit a task.

To add a default metric, add it to `_DEFAULTS`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeGuard

from river import metrics
from river.metrics.base import BinaryMetric, ClassificationMetric, Metric, RegressionMetric

from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError

MetricFactory: TypeAlias = Callable[[], Metric]
"""Returns a fresh River metric."""

_DEFAULTS: Mapping[Task, tuple[type[Metric], ...]] = {
    Task.BINARY: (metrics.Accuracy, metrics.F1),
    Task.MULTICLASS: (metrics.Accuracy, metrics.MacroF1, metrics.CohenKappa),
    Task.REGRESSION: (metrics.MAE, metrics.RMSE, metrics.R2),
    Task.ANOMALY: (metrics.ROCAUC,),
}
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]|AUC)")


def metric_name(metric: type[Metric]) -> str:
    """Return the name that a River metric goes by in Millrace.

    Examples
    --------
    >>> [metric_name(each) for each in (metrics.MacroF1, metrics.ROCAUC)]
    ['macro_f1', 'roc_auc']
    """
    return _WORD_START.sub("_", metric.__name__).lower()


def default_metrics(task: Task) -> dict[str, MetricFactory]:
    """Return the metrics of a task whose pipeline names none, by name.

    Examples
    --------
    >>> [*default_metrics(Task.BINARY)]
    ['accuracy', 'f1']
    """
    return {metric_name(each): each for each in _DEFAULTS[task]}


def measures_probabilities(task: Task, chosen: Mapping[str, MetricFactory] | None) -> bool:
    """Whether a pipeline with these metrics looks at the probabilities of classes.

    Examples
    --------
    >>> measures_probabilities(Task.BINARY, {"log_loss": metrics.LogLoss})
    True
    >>> measures_probabilities(Task.BINARY, None)
    False
    """
    return any(reads_probabilities(each(), task) for each in (chosen or {}).values())


def reads_probabilities(metric: Metric, task: Task) -> bool:
    """Whether a metric looks at the probabilities of classes, and not at the predicted one."""
    if not (task.is_classification and isinstance(metric, ClassificationMetric)):
        return False
    return not metric.requires_labels


def reads_confusion_matrix(
    factory: MetricFactory, task: Task
) -> TypeGuard[type[ClassificationMetric]]:
    """Whether a metric class only reads a confusion matrix that another may keep for it."""
    if not (isinstance(factory, type) and issubclass(factory, ClassificationMetric)):
        return False
    updates: list[object] = [ClassificationMetric.update]
    if task is Task.BINARY:
        updates.append(BinaryMetric.update)  # which only maps labels that are booleans
    return factory.update in updates and "cm" in inspect.signature(factory).parameters


def check_metric(name: str, metric: object, task: Task) -> None:
    """Raise an error if a metric cannot measure the task.

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
            f" got {metric!r}"
        )
