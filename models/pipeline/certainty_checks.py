"""Whether a certainty fits what a pipeline predicts."""

from __future__ import annotations

from millrace.models.certainty.conformal import Conformal
from millrace.models.parameters import require
from millrace.models.pipeline.tasks import Task


def check_certainty(certainty: object, task: Task, *, has_key: bool) -> None:
    """Refuse a certainty that the predictions of a task cannot have.

    Raises
    ------
    DefinitionError
        Naming the parameter.

    Examples
    --------
    >>> check_certainty(Conformal(abstain=True), Task.REGRESSION, has_key=True)
    Traceback (most recent call last):
    millrace.schemas.errors.DefinitionError: certainty.abstain must be False with the task
    regression: an interval around a number is never without a number; got True
    """
    if certainty is None:
        return
    if not isinstance(certainty, Conformal):
        require(False, "certainty must be Conformal(...), or None", certainty)
        return
    must = "certainty must be None with the task anomaly: a score has no label to be compared with"
    require(task is not Task.ANOMALY, must, certainty)
    must = "certainty.by_key must be False in a pipeline without key"
    require(has_key or not certainty.by_key, must, certainty.by_key)
    must = (
        f"certainty.abstain must be False with the task {task}: an interval around a number is"
        " never without a number"
    )
    require(task.is_classification or not certainty.abstain, must, certainty.abstain)
