"""The loss of a prediction: how wrong it was, as one number that is lower where it was better.

Drift monitors watch it, trials compare by it, and the topic `outcomes` has it. Candidates are
compared with the champion by it, too, unless a definition asks for another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from millrace.models.pipeline.comparison_losses import own_loss
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import LabelValue, Predicted


def loss(task: Task, label: LabelValue, value: LabelValue) -> float:
    """Return how wrong a prediction was.

    Returns
    -------
    float
        0 or 1 for a class, the absolute error for a number, and for an anomaly the distance of
        the score from the label, in [0, 1].

    Examples
    --------
    >>> loss(Task.MULTICLASS, "sky", "grass"), loss(Task.REGRESSION, 3.0, 2.5)
    (1.0, 0.5)
    """
    return own_loss(task).one(label, value, {})


def losses(task: Task, label: LabelValue, predicted: Mapping[str, Predicted]) -> dict[str, float]:
    """Return the loss of each candidate that made a prediction, by name.

    A loss too large for a float is left out: no sum or mean would recover from it.

    Examples
    --------
    >>> tree = Predicted(value="cloudy", probabilities={})
    >>> untrained = Predicted(value=None, probabilities={})
    >>> losses(Task.MULTICLASS, "sunny", {"tree": tree, "untrained": untrained})
    {'tree': 1.0}
    """
    if task.is_classification:  # without a call for each candidate: every event takes it
        return {
            name: 0.0 if value == label else 1.0
            for name, each in predicted.items()
            if (value := each["value"]) is not None
        }
    return {
        name: error
        for name, each in predicted.items()
        if (value := each["value"]) is not None and (error := loss(task, label, value)) < inf
    }


def loss_column(
    task: Task, labels: Sequence[LabelValue], values: Sequence[LabelValue | None]
) -> list[float | None]:
    """Return the loss of what one candidate predicted for each of several events.

    None stands where it made no prediction, and for a loss too large for a float.

    Examples
    --------
    >>> loss_column(Task.REGRESSION, [1.0, 2.0, 3.0], [1.5, None, 1.0])
    [0.5, None, 2.0]
    """
    return own_loss(task).column(labels, values)
