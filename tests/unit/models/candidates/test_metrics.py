"""Which metrics fit a task, what they are called, and what they look at."""

from __future__ import annotations

import pytest
from river import metrics

from millrace.models.candidates.metrics import (
    measures_probabilities,
    reads_confusion_matrix,
)
from millrace.models.pipeline.default_metrics import default_metrics, metric_name
from millrace.models.pipeline.metrics import check_metric, reads_probabilities
from millrace.models.pipeline.tasks import Task


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (metrics.Accuracy, "accuracy"),
        (metrics.LogLoss, "log_loss"),
        (metrics.F1, "f1"),
        (metrics.MacroF1, "macro_f1"),
        (metrics.CohenKappa, "cohen_kappa"),
        (metrics.RMSE, "rmse"),
        (metrics.R2, "r2"),
        (metrics.ROCAUC, "roc_auc"),
        (metrics.RollingROCAUC, "rolling_roc_auc"),
        (metrics.FBeta, "f_beta"),
    ],
)
def test_metric_names(metric, name):
    """Snake case, with acronyms as words."""
    assert metric_name(metric) == name


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Task.BINARY, {"accuracy": metrics.Accuracy, "f1": metrics.F1}),
        (
            Task.MULTICLASS,
            {
                "accuracy": metrics.Accuracy,
                "macro_f1": metrics.MacroF1,
                "cohen_kappa": metrics.CohenKappa,
            },
        ),
        (Task.REGRESSION, {"mae": metrics.MAE, "rmse": metrics.RMSE, "r2": metrics.R2}),
        (Task.ANOMALY, {"roc_auc": metrics.ROCAUC}),
    ],
)
def test_default_metrics(task, expected):
    """Each task has its own, and they can measure it."""
    found = default_metrics(task)
    assert [*found.items()] == [*expected.items()]
    for name, make in found.items():
        check_metric(name, make(), task)
    assert not measures_probabilities(task, found)


@pytest.mark.parametrize(
    ("task", "metric", "expected"),
    [
        (Task.BINARY, metrics.LogLoss, True),
        (Task.BINARY, metrics.ROCAUC, True),
        (Task.BINARY, metrics.F1, False),
        (Task.MULTICLASS, metrics.CrossEntropy, True),
        (Task.MULTICLASS, metrics.MacroF1, False),
        (Task.ANOMALY, metrics.ROCAUC, False),
        (Task.REGRESSION, metrics.MAE, False),
        (Task.BINARY, metrics.MAE, False),
    ],
)
def test_which_metrics_look_at_probabilities(task, metric, expected):
    """Those of classes that need no label; an anomaly has a score, which is its value."""
    assert reads_probabilities(metric(), task) is expected
    assert measures_probabilities(task, {"a": metric}) is expected
    assert measures_probabilities(task, {"a": metrics.Accuracy, "b": metric}) is expected


@pytest.mark.parametrize("task", Task)
def test_without_metrics_no_probabilities_are_measured(task):
    """The defaults look at values."""
    assert measures_probabilities(task, None) is measures_probabilities(task, {}) is False


@pytest.mark.parametrize(
    ("task", "factory", "expected"),
    [
        (Task.BINARY, metrics.Accuracy, True),
        (Task.BINARY, metrics.F1, True),
        (Task.MULTICLASS, metrics.F1, False),
        (Task.MULTICLASS, metrics.MacroF1, True),
        (Task.BINARY, metrics.LogLoss, False),
        (Task.BINARY, metrics.ROCAUC, False),
        (Task.BINARY, metrics.FBeta, True),
        (Task.BINARY, lambda: metrics.F1(pos_val=False), False),
        (Task.BINARY, metrics.RollingROCAUC, False),
        (Task.REGRESSION, metrics.MAE, False),
    ],
)
def test_which_metrics_can_share_a_confusion_matrix(task, factory, expected):
    """Classes that only read one; with many classes, none that maps them to two."""
    assert reads_confusion_matrix(factory, task) is expected


def test_a_metric_without_a_parameter_for_the_matrix_keeps_its_own():
    """Although it updates nothing else."""

    class Own(metrics.Accuracy):
        def __init__(self):
            super().__init__()

    assert not reads_confusion_matrix(Own, Task.BINARY)
