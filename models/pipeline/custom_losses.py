"""Losses that a definition writes out: by the cost of each mistake, or as a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from millrace.models.parameters import function, require
from millrace.models.pipeline.comparison_loss import ComparisonLoss, Many, One
from millrace.models.pipeline.labels import Labels
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.costs import Costs, checked_costs
from millrace.models.selection.promotion import COSTS, FUNCTION
from millrace.models.user_code import PASSED_ON, scalar, shown
from millrace.schemas import DefinitionError, RecordError
from millrace.schemas.records import LabelValue, Probabilities

PARAMETER = "promotion.metric"
_RETURNS = "a number in [0, 1]"


def loss_of_costs(given: Mapping[Any, float], task: Task, labels: Labels) -> ComparisonLoss:
    """Return the loss that costs stand for, each divided by the largest.

    A pair that is not given costs nothing where label and prediction are equal, and as much as the
    largest cost otherwise: what nobody thought of is not the cheapest mistake.

    Raises
    ------
    DefinitionError
        They do not fit the task or its classes; where there are two classes, a pair is missing.
    """
    must = f"{PARAMETER} must have costs only where classes are predicted"
    require(task.is_classification, must, f"the task {task.value!r}")
    known = (False, True) if task is Task.BINARY else labels.classes
    costs = {
        (_class(label, task, labels), _class(predicted, task, labels)): cost
        for (label, predicted), cost in checked_costs(PARAMETER, given).items()
    }
    if known is not None and len(known) == 2:
        missing = [pair for pair in (known, known[::-1]) if pair not in costs]
        must = f"{PARAMETER} must have a cost of {shown(missing)}, too, where there are two classes"
        require(not missing, must, given)
    largest = max(costs.values())
    one, many = _by_pair({pair: cost / largest for pair, cost in costs.items()})
    is_whole = {*costs.values()} <= {0.0, largest}
    return ComparisonLoss(COSTS, [task], one, many, is_whole=is_whole, scale=largest)


def _class(value: LabelValue, task: Task, labels: Labels) -> LabelValue:
    try:
        return task.label(value) if task is Task.BINARY else labels.learnable(value)
    except RecordError as error:
        must = f"{PARAMETER} must have costs of classes that labels may have"
        raise DefinitionError(f"{must}; got {shown(value)} ({error.detail})") from None


def _by_pair(shares: Costs) -> tuple[One, Many]:
    find = shares.get

    def one(label: LabelValue, value: LabelValue, _: object) -> float:
        found = find((label, value))
        return (0.0 if value == label else 1.0) if found is None else found

    def many(labels: Sequence[LabelValue], values: Sequence[LabelValue], _: object) -> list[float]:
        return [
            (0.0 if pair[0] == pair[1] else 1.0) if (found := find(pair)) is None else found
            for pair in zip(labels, values, strict=True)
        ]

    return one, many


def loss_of_function(given: Callable[..., float], task: Task, labels: Labels) -> ComparisonLoss:
    """Return the loss that a function of the user's stands for, after trying it.

    Raises
    ------
    DefinitionError
        It cannot be called with label, predicted value and probabilities, or does not return a
        number in [0, 1]. With classes that show only as labels come, it is not tried.
    """
    function(PARAMETER, given, arguments=3, returns=_RETURNS)
    name = FUNCTION.format(getattr(given, "__qualname__", type(given).__qualname__))
    one = partial(_returned, given, task)
    loss = ComparisonLoss(name, [task], one, needs_probabilities=task.is_classification)
    _try(loss, task, labels)
    return loss


def _returned(
    given: Callable[..., float],
    task: Task,
    label: LabelValue,
    value: LabelValue,
    probabilities: Probabilities,
) -> float:
    """Return what a function of the user's returns, if it is a number in [0, 1].

    It may change the probabilities, which are a copy.
    """
    seen = _completed(probabilities, label, value, task) if task.is_classification else {}
    found = scalar(given(label, value, seen))
    if not isinstance(found, int | float) or not 0 <= found <= 1:
        raise ValueError(f"{PARAMETER} must return {_RETURNS}; got {shown(found)}")
    return float(found)


def _completed(
    probabilities: Probabilities, label: LabelValue, value: LabelValue, task: Task
) -> Probabilities:
    """Return probabilities that have the label, and both of two classes.

    Where there are none, the candidate is certain of its value.
    """
    if task is not Task.BINARY:
        return {str(label): 0.0} | (probabilities or {str(value): 1.0})
    true, false = probabilities.get("True"), probabilities.get("False")
    if true is None:
        true = float(value) if false is None else max(1.0 - false, 0.0)
    return {"False": max(1.0 - true, 0.0) if false is None else false, "True": true}


def _try(loss: ComparisonLoss, task: Task, labels: Labels) -> None:
    """Call a function of the user's as a comparison does."""
    for label, value, probabilities in _tried(task, labels):
        try:
            loss.one(label, value, probabilities)
        except PASSED_ON:
            raise
        except BaseException as error:  # the user's function may raise anything
            raise DefinitionError(
                f"{PARAMETER} must return {_RETURNS} for label, value and probabilities; called"
                f" with {shown(label)}, {shown(value)} and {shown(probabilities)}, {loss.name}"
                f" raised {type(error).__name__}: {shown(error)}"
            ) from error


def _tried(task: Task, labels: Labels) -> list[tuple[LabelValue, LabelValue, Probabilities]]:
    if task is Task.REGRESSION:
        return [(1.5, 2.0, {}), (3.0, 1.0, {}), (2.0, 2.0, {})]
    if task is Task.ANOMALY:
        return [(True, 0.75, {}), (False, 0.25, {})]
    known = (False, True) if task is Task.BINARY else labels.classes or ()
    return [(label, value, _given(value, known)) for label in known[:2] for value in known[:2]]


def _given(value: LabelValue, known: Sequence[LabelValue]) -> Probabilities:
    """Return probabilities of classes of which a value is the likeliest."""
    rest = 0.25 / (len(known) - 1)
    return {str(each): 0.75 if each == value else rest for each in known}
