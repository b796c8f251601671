"""The loss of a prediction, for each task."""

from __future__ import annotations

import pytest

from millrace.models.candidates.losses import loss, losses
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import Predicted


@pytest.mark.parametrize(
    ("task", "label", "value", "expected"),
    [
        (Task.BINARY, True, True, 0.0),
        (Task.BINARY, True, False, 1.0),
        (Task.MULTICLASS, "sky", "path", 1.0),
        (Task.MULTICLASS, 3, 3, 0.0),
        (Task.REGRESSION, 2.0, 5.5, 3.5),
        (Task.REGRESSION, 5.5, 2.0, 3.5),
        (Task.ANOMALY, True, 0.75, 0.25),
        (Task.ANOMALY, False, 0.75, 0.75),
        (Task.ANOMALY, False, 17.0, 1.0),
        (Task.ANOMALY, True, -3.0, 1.0),
    ],
)
def test_loss(task, label, value, expected):
    """0 or 1 for a class, a distance for a number, and at most 1 for an anomaly."""
    found = loss(task, label, value)
    assert found == expected
    assert type(found) is float


@pytest.mark.parametrize("task", Task)
def test_candidates_without_a_prediction_have_no_loss(task):
    """The others keep their order."""
    values = {"b": 0.5, "a": None, "c": True}
    predicted = {name: Predicted(value=each, probabilities={}) for name, each in values.items()}
    found = losses(task, True, predicted)
    assert [*found.items()] == [("b", loss(task, True, 0.5)), ("c", loss(task, True, True))]


def test_a_loss_beyond_a_float_is_left_out():
    """It would never leave a sum or a mean."""
    predicted = {
        "a": Predicted(value=-1.7e308, probabilities={}),
        "b": Predicted(value=1.0, probabilities={}),
    }
    assert losses(Task.REGRESSION, 1.7e308, predicted) == {"b": 1.7e308}
