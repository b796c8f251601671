"""The losses by which candidates are compared with the champion.

A loss says how wrong one prediction was: lower is better, and no metric over many events is meant.
It is a number in [0, 1], since the test of who is better asks for that; only what has no largest
value (errors of numbers) is bounded later, by what earlier events lost. To add a loss, add an entry
to `LOSSES`: with what it is for one event, and, for speed, for a column of events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, log
from typing import Any

from millrace.models.parameters import one_of
from millrace.models.pipeline.comparison_loss import ComparisonLoss
from millrace.models.pipeline.custom_losses import PARAMETER, loss_of_costs, loss_of_function
from millrace.models.pipeline.labels import Labels
from millrace.models.pipeline.proper_scores import (
    LEAST_OF_MANY,
    LEAST_OF_TWO,
    brier_of_many,
    brier_of_two,
    briers_of_many,
    briers_of_two,
    log_loss_of_many,
    log_loss_of_two,
    log_losses_of_many,
    log_losses_of_two,
)
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.promotion import Metric
from millrace.schemas.records import LabelValue


def own_loss(task: Task) -> ComparisonLoss:
    """Return the loss of a pipeline that names none."""
    return _OWN[task]


def comparison_loss(metric: Metric | None, task: Task, labels: Labels) -> ComparisonLoss:
    """Return the loss that a definition asks for.

    Parameters
    ----------
    metric
        The name of one of `LOSSES`; costs of pairs of label and prediction; or a function of label,
        predicted value and probabilities that returns a number in [0, 1]. None for the task's own.
    task
        What is predicted.
    labels
        What its labels are.

    Raises
    ------
    DefinitionError
        It is none of these, or does not fit the task.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import pipeline
    >>> comparison_loss("log_loss", Task.BINARY, pipeline.allowed_labels).scale
    4.605170185988091
    >>> costs = {(True, False): 5.0, (False, True): 1.0}
    >>> loss = comparison_loss(costs, Task.BINARY, pipeline.allowed_labels)
    >>> loss.column([True, False, False], [False, True, False]), loss.scale
    ([1.0, 0.2, 0.0], 5.0)
    """
    if metric is None:
        return own_loss(task)
    if isinstance(metric, Mapping):
        return loss_of_costs(metric, task, labels)
    if callable(metric):
        return loss_of_function(metric, task, labels)
    names = [each.name for each in LOSSES if task in each.tasks]
    others = "costs, or a function" if task.is_classification else "or a function"
    must = f"{PARAMETER} must be one of {', '.join(map(repr, names))} for the task {task.value!r}"
    one_of(f"{must}, {others}", metric, names)
    return next(each for each in LOSSES if each.name == metric and task in each.tasks)


def _zero_one(label: LabelValue, value: LabelValue, _: object) -> float:
    return 0.0 if value == label else 1.0


def _zero_ones(
    labels: Sequence[LabelValue], values: Sequence[LabelValue], _: object
) -> list[float | None]:
    return [0.0 if each == label else 1.0 for label, each in zip(labels, values, strict=True)]


def _absolute(label: Any, value: Any, _: object) -> float:
    return abs(float(label) - float(value))


def _absolutes(labels: Sequence[Any], values: Sequence[Any], _: object) -> list[float | None]:
    pairs = zip(labels, values, strict=True)
    return _finite([abs(float(label) - float(value)) for label, value in pairs])


def _distance(label: Any, value: Any, _: object) -> float:
    return min(abs(float(label) - float(value)), 1.0)


def _distances(labels: Sequence[Any], values: Sequence[Any], _: object) -> list[float | None]:
    pairs = zip(labels, values, strict=True)
    return [min(abs(float(label) - float(value)), 1.0) for label, value in pairs]


def _squared(label: Any, value: Any, _: object) -> float:
    error = float(label) - float(value)
    return error * error


def _squares(labels: Sequence[Any], values: Sequence[Any], _: object) -> list[float | None]:
    errors = [float(label) - float(value) for label, value in zip(labels, values, strict=True)]
    return _finite([each * each for each in errors])


def _finite(losses: list[float]) -> list[float | None]:
    return [each if each < inf else None for each in losses]


_CLASSES = frozenset({Task.BINARY, Task.MULTICLASS})
_TWO, _MANY = frozenset({Task.BINARY}), frozenset({Task.MULTICLASS})
_NUMBERS, _SCORES = frozenset({Task.REGRESSION}), frozenset({Task.ANOMALY})

LOSSES: Sequence[ComparisonLoss] = (
    ComparisonLoss("zero_one", _CLASSES, _zero_one, _zero_ones, is_own=True, is_whole=True),
    ComparisonLoss(
        "log_loss",
        _TWO,
        log_loss_of_two,
        log_losses_of_two,
        needs_probabilities=True,
        scale=-log(LEAST_OF_TWO),
    ),
    ComparisonLoss(
        "log_loss",
        _MANY,
        log_loss_of_many,
        log_losses_of_many,
        needs_probabilities=True,
        scale=-log(LEAST_OF_MANY),
    ),
    ComparisonLoss("brier", _TWO, brier_of_two, briers_of_two, needs_probabilities=True),
    ComparisonLoss(
        "brier", _MANY, brier_of_many, briers_of_many, needs_probabilities=True, scale=2.0
    ),
    ComparisonLoss(
        "absolute_error", _NUMBERS, _absolute, _absolutes, is_own=True, is_bounded=False
    ),
    ComparisonLoss("absolute_error", _SCORES, _distance, _distances, is_own=True),
    ComparisonLoss("squared_error", _NUMBERS, _squared, _squares, is_bounded=False),
)
"""What may be named. A loss of the same name may differ by task."""

_OWN = {task: each for each in LOSSES if each.is_own for task in each.tasks}
