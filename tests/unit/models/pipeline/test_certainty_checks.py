"""Which tasks have certainty, and which may be answered with "I do not know"."""

from __future__ import annotations

import pytest

from millrace.models.certainty.conformal import Conformal
from millrace.models.pipeline.certainty_checks import check_certainty
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_numbers_and_classes_have_certainty(task: Task) -> None:
    """And no task has to have it."""
    check_certainty(Conformal(), task, has_key=False)
    check_certainty(None, task, has_key=False)


def test_classes_may_be_withheld() -> None:
    """With two classes, and with many."""
    check_certainty(Conformal(abstain=True), Task.BINARY, has_key=False)
    check_certainty(Conformal(abstain=True), Task.MULTICLASS, has_key=False)


@pytest.mark.parametrize(
    ("certainty", "task", "message"),
    [
        (0.9, Task.BINARY, "certainty must be Conformal(...), or None; got 0.9"),
        (Conformal(), Task.ANOMALY, "certainty must be None with the task anomaly"),
        (
            Conformal(abstain=True),
            Task.REGRESSION,
            "certainty.abstain must be False with the task regression",
        ),
    ],
)
def test_what_does_not_fit_is_refused(certainty: object, task: Task, message: str) -> None:
    """With the parameter, and why."""
    with pytest.raises(DefinitionError) as caught:
        check_certainty(certainty, task, has_key=False)
    assert str(caught.value).startswith(message)
