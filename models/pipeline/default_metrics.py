"""The metrics of a pipeline that names none.

To add a default metric, add it to `_DEFAULTS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from river import metrics
from river.metrics.base import Metric

from millrace.models.pipeline.metrics import MetricFactory
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
