"""The column of the labels: which task it is for, and two values of any kind as false and true."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from pandas.api import types

from millrace.models.pipeline.tasks import Task
from millrace.models.tables.columns import Column, as_numbers
from millrace.schemas import DefinitionError

POSITIVE = "positive"
"""Attribute of the label in a schema that is made from a table: the value that is true."""

_MOST_CLASSES = 20
_POSITIVE = frozenset({"true", "t", "yes", "y", "1", "1.0", "positive", "pos", "on", "+"})
_NEGATIVE = frozenset(
    {"false", "f", "no", "n", "0", "0.0", "negative", "neg", "off", "-", "-1", "-1.0"}
)


class Labels(NamedTuple):
    """Labels as events carry them.

    Attributes
    ----------
    column
        As the task takes them: two values that are not 0 and 1 are booleans.
    task
        The task that they are for.
    positive
        The value that is true; empty where the table has booleans, or there are not two classes.
    """

    column: Column
    task: Task
    positive: str = ""


def infer_task(labels: Column) -> Task:
    """Return the task that a column of labels is for.

    It is `binary` for two values of any kind; `regression` for other floats, and for more than 20
    integers; else `multiclass`.
    """
    known = labels.dropna()
    distinct = known.nunique()
    if types.is_bool_dtype(labels.dtype) or distinct == 2:
        return Task.BINARY
    if types.is_float_dtype(labels.dtype):
        return Task.REGRESSION
    if types.is_integer_dtype(labels.dtype) and distinct > _MOST_CLASSES:
        return Task.REGRESSION
    return Task.MULTICLASS


def as_labels(column: Column, task: Task, positive: str | None = None) -> Labels:
    """Return the labels of a task, in a type that it takes.

    Where there are two classes, two values of any kind become false and true.

    Parameters
    ----------
    column
        As the table has it.
    task
        The task.
    positive
        The value that is true, as text. By default the one of the two that means it ("yes", 1);
        else the one that comes later in order.

    Raises
    ------
    DefinitionError
        The column has no labels of that task, or `positive` is none of its two values.

    Examples
    --------
    >>> import pandas as pd
    >>> as_labels(pd.Series(["No", "Yes", None]), Task.BINARY)[1:]
    (<Task.BINARY: 'binary'>, 'Yes')
    >>> as_labels(pd.Series([1, 2]), Task.BINARY, positive="1").column.tolist()
    [True, False]
    """
    if task in (Task.BINARY, Task.ANOMALY):
        return _two_classes(column, task, positive)
    if positive is not None:
        raise DefinitionError(
            f"--positive must be used with the tasks binary and anomaly; got {task.value}"
        )
    numbers = types.is_numeric_dtype(column.dtype)
    if task is Task.REGRESSION:
        if not numbers:
            raise _no_numbers(column)
        return Labels(column.astype("Float64") if _is_bool(column) else column, task)
    if types.is_float_dtype(column.dtype):
        if bool((column.dropna() % 1 != 0).any()):
            raise _unfit(column, "whole numbers, text or booleans", task)
        return Labels(column.astype("Int64"), task)
    return Labels(column, task)


def _two_classes(column: Column, task: Task, positive: str | None) -> Labels:
    if _is_bool(column) and positive is None:
        return Labels(column, task)
    values = {str(each): each for each in sorted(column.dropna().unique(), key=_by_value)}
    if len(values) > 2:
        shown = ", ".join([*values][:5]) + (", ..." if len(values) > 5 else "")
        raise DefinitionError(
            f"label must have two values for the task {task.value}; {str(column.name)!r} has"
            f" {len(values)} ({shown}). Choose another --task"
        )
    chosen = _positive([*values]) if positive is None else positive
    if chosen not in values and len(values) == 2:
        raise DefinitionError(f"--positive must be one of {[*values]}; got {chosen!r}")
    if types.is_integer_dtype(column.dtype) and {*values} <= {"0", "1"} and chosen != "0":
        return Labels(column, task, chosen)
    found = column == values[chosen] if chosen in values else column.isna()
    return Labels(found.astype("boolean").mask(column.isna()), task, chosen)


def _positive(values: list[str]) -> str:
    """Return the value that is true, of two at most in order; empty where none is."""
    meant = [each for each in values if each.strip().lower() in _POSITIVE]
    others = [each for each in values if each.strip().lower() not in _NEGATIVE]
    if len(meant) == 1 and values != ["1", "2"]:
        return meant[0]
    return others[-1] if others else "".join(values[1:])


def _by_value(value: object) -> tuple[bool, object]:
    return isinstance(value, str), value


def _is_bool(column: Column) -> bool:
    return bool(types.is_bool_dtype(column.dtype))


def _no_numbers(column: Column) -> DefinitionError:
    found, name = as_numbers(column), str(column.name)
    bad = column[found.isna() & column.notna()]
    cells = bad if len(bad) else column.dropna()
    fix = f"--numeric {shlex.quote(name)} reads it as " + ("missing" if len(bad) else "a number")
    if not bool(found.notna().any()):
        fix = "Write numbers as 1234.5 in the table, or choose another --task"
    shown = repr(str(cells.iloc[0])) if len(cells) else "none"
    return DefinitionError(
        f"label must be numbers for the task regression; {name!r} has {shown}. {fix}"
    )


def _unfit(column: Column, what: str, task: Task) -> DefinitionError:
    return DefinitionError(
        f"label must be {what} for the task {task.value}; {str(column.name)!r} has"
        f" {str(column.dropna().iloc[0])!r}. Choose another --task"
    )
