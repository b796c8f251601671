"""The task follows from the labels, and two values of any kind are false and true."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from millrace.models.pipeline.tasks import Task
from millrace.models.tables.labels import as_labels, infer_task
from millrace.schemas import DefinitionError


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([True, False], Task.BINARY),
        ([0, 1, 1], Task.BINARY),
        (pd.array([0, None, 1], dtype="Int64"), Task.BINARY),
        (pd.array([True, None], dtype="boolean"), Task.BINARY),
        ([1, 2], Task.BINARY),
        ([0.0, 1.0], Task.BINARY),
        (["a", "b", "a"], Task.BINARY),
        ([0, 0], Task.MULTICLASS),
        ([*range(20)], Task.MULTICLASS),
        ([*range(21)], Task.REGRESSION),
        ([*range(21)] * 20, Task.REGRESSION),
        ([0.5, 1.0, 2.0], Task.REGRESSION),
        (["a", "b", "c"], Task.MULTICLASS),
        ([str(number) for number in range(21)], Task.MULTICLASS),
    ],
)
def test_task_follows_from_the_labels(labels: Any, task: Task) -> None:
    """Two values are two classes; floats and many integers a number; else many classes."""
    assert infer_task(pd.Series(labels)) is task


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        ([1, 2], "2"),
        ([-1, 1], "1"),
        (["no", "yes"], "yes"),
        (["No", "Yes"], "Yes"),
        (["N", "Y"], "Y"),
        (["f", "t"], "t"),
        (["FALSE", "TRUE"], "TRUE"),
        (["0", "1"], "1"),
        (["negative", "positive"], "positive"),
        (["bad", "good"], "good"),
        (["no", "maybe"], "maybe"),
        ([5, 7], "7"),
    ],
)
def test_the_positive_value_is_the_one_that_means_it(values: list[Any], positive: str) -> None:
    """Else it is the later one; the other may be chosen."""
    column = pd.Series([*values, None, values[0]], name="y").convert_dtypes()
    found = as_labels(column, Task.BINARY)
    assert found.positive == positive
    is_true = [str(value) == positive for value in values]
    assert found.column.tolist() == [*is_true, pd.NA, is_true[0]]
    (other,) = {*map(str, values)} - {positive}
    assert as_labels(column, Task.BINARY, other).column[:2].tolist() == [not t for t in is_true]


def test_floats_may_be_two_classes() -> None:
    """A table may write 0 and 1 as floats."""
    found = as_labels(pd.Series([0.0, 1.0, None], dtype="Float64"), Task.BINARY)
    assert (found.column.tolist(), found.positive) == ([False, True, pd.NA], "1.0")


def test_zero_and_one_stay_numbers() -> None:
    """So that a pipeline that is kept takes them; the other way round they are booleans."""
    column = pd.Series([0, 1, None], dtype="Int64")
    assert as_labels(column, Task.BINARY).column is column
    assert as_labels(column, Task.BINARY, "0").column.tolist() == [True, False, pd.NA]


def test_booleans_stay_as_they_are() -> None:
    """Unless false is chosen."""
    column = pd.Series([True, False])
    assert as_labels(column, Task.BINARY) == (column, Task.BINARY, "")
    assert as_labels(column, Task.ANOMALY, "False").column.tolist() == [False, True]


@pytest.mark.parametrize(("value", "is_true"), [("yes", True), ("no", False), (3, True)])
def test_one_value_is_enough(value: object, is_true: bool) -> None:
    """The first rows of a table may all be of one class."""
    assert as_labels(pd.Series([value] * 2), Task.BINARY).column.tolist() == [is_true] * 2


def test_no_value_is_enough() -> None:
    """All labels may be missing."""
    assert as_labels(pd.Series([None, None]), Task.BINARY).column.isna().all()


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([1, 2, 3], Task.BINARY, r"two values for the task binary; 'y' has 3 \(1, 2, 3\)"),
        ([*range(9)], Task.BINARY, r"has 9 \(0, 1, 2, 3, 4, ...\). Choose another --task"),
        (["a", "b"], Task.REGRESSION, r"numbers for the task regression; 'y' has 'a'"),
        (
            [1.5],
            Task.MULTICLASS,
            r"text or booleans for .* multiclass; 'y' has '1.5'",
        ),
    ],
)
def test_labels_of_another_task_are_refused(values: list[Any], task: Task, message: str) -> None:
    """The message has a value, and the option."""
    with pytest.raises(DefinitionError, match=message):
        as_labels(pd.Series(values, name="y"), task)


def test_a_positive_value_that_is_none_of_the_two_is_refused() -> None:
    """And so is one where there are no two classes."""
    with pytest.raises(DefinitionError, match=r"one of \['no', 'yes'\]; got 'Yes'"):
        as_labels(pd.Series(["no", "yes"]), Task.BINARY, "Yes")
    with pytest.raises(DefinitionError, match="--positive must be used with the tasks binary"):
        as_labels(pd.Series([1.5]), Task.REGRESSION, "1.5")


def test_whole_floats_are_classes() -> None:
    """A column with missing cells may have them as floats."""
    column = pd.Series([1.0, None, 2.0, 3.0], dtype="Float64")
    assert as_labels(column, Task.MULTICLASS).column.tolist() == [1, pd.NA, 2, 3]


def test_booleans_are_numbers_for_a_regression() -> None:
    """0 and 1."""
    assert as_labels(pd.Series([True, False]), Task.REGRESSION).column.tolist() == [1.0, 0.0]


def test_an_empty_value_is_none_of_two() -> None:
    """It would make all labels false."""
    with pytest.raises(DefinitionError, match=r"--positive must be one of \['no', 'yes'\]; got ''"):
        as_labels(pd.Series(["no", "yes"]), Task.BINARY, positive="")


def test_one_value_that_is_not_the_positive_one_is_false() -> None:
    """As in a part of a table of which the other part has both."""
    assert as_labels(pd.Series(["a", None]), Task.BINARY, positive="b").column.tolist() == [
        False,
        pd.NA,
    ]


def test_a_plus_is_positive() -> None:
    """Although it comes before a minus."""
    assert as_labels(pd.Series(["+", "-"]), Task.BINARY).positive == "+"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1.5", "n.a.", "2"], r"'y' has 'n\.a\.'\. --numeric y reads it as missing"),
        ([str(2**70), "1"], r"'y' has '1180591620717411303424'\. --numeric y reads it as a number"),
        (["1,5", "2,5"], r"'y' has '1,5'\. Write numbers as 1234\.5"),
        ([None, None], r"'y' has none\."),
    ],
)
def test_text_is_no_label_of_a_regression(cells: list[str | None], message: str) -> None:
    """The message has the first cell that is no number, and the option that helps."""
    with pytest.raises(DefinitionError, match=message):
        as_labels(pd.Series(cells, name="y", dtype="string"), Task.REGRESSION)
