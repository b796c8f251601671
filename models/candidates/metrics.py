"""River's metrics: their names, the defaults of each task, and what each looks at.

To add a default metric, add it to `_DEFAULTS`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TypeGuard

from river import metrics
from river.metrics.base import BinaryMetric, ClassificationMetric, Metric

from millrace.models.pipeline.metrics import MetricFactory, reads_probabilities
from millrace.models.pipeline.tasks import Task

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
