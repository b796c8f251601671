"""A metric that cannot measure a task is refused when the definition is made."""

from __future__ import annotations

import pytest
from river import metrics

from millrace.models.pipeline.metrics import check_metric
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError


@pytest.mark.parametrize(
    ("task", "metric", "kind"),
    [
        (Task.BINARY, metrics.MAE(), "ClassificationMetric"),
        (Task.MULTICLASS, {}, "ClassificationMetric"),
        (Task.REGRESSION, metrics.Accuracy(), "RegressionMetric"),
        (Task.ANOMALY, metrics.F1(), "metric of scores, for example metrics.ROCAUC,"),
        (Task.ANOMALY, metrics.MacroF1(), "metric of scores, for example metrics.ROCAUC,"),
        (Task.ANOMALY, metrics.MAE(), "metric of scores, for example metrics.ROCAUC,"),
    ],
)
def test_a_metric_that_cannot_measure_the_task_is_refused(task, metric, kind):
    """The message names the metric, the kind that can, the task and what was given."""
    with pytest.raises(DefinitionError) as caught:
        check_metric("mine", metric, task)
    expected = f"metrics['mine'] must be a River {kind} for the task '{task}'; got {metric!r}"
    assert str(caught.value) == expected
