"""What River's metrics look at: probabilities, or a confusion matrix."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TypeGuard

from river.metrics.base import BinaryMetric, ClassificationMetric

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.metrics import MetricFactory, reads_probabilities
from millrace.models.pipeline.tasks import Task


def measures_probabilities(task: Task, chosen: Mapping[str, MetricFactory] | None) -> bool:
    """Whether a pipeline with these metrics looks at the probabilities of classes.

    Examples
    --------
    >>> from river.metrics import LogLoss
    >>> measures_probabilities(Task.BINARY, {"log_loss": LogLoss})
    True
    >>> measures_probabilities(Task.BINARY, None)
    False
    """
    return any(reads_probabilities(each(), task) for each in (chosen or {}).values())


def needs_probabilities(pipeline: Pipeline) -> bool:
    """Whether all candidates and baselines have to give the probabilities of classes.

    Metrics look at them, or the loss by which candidates are compared.
    """
    compares = pipeline.comparison_loss.needs_probabilities
    return compares or measures_probabilities(Task(pipeline.task), pipeline.metrics)


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
