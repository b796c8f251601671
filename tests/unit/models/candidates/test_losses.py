"""The loss of a prediction, for each task."""

from __future__ import annotations

import random

import pytest

from millrace.models.candidates.losses import loss, loss_column, losses
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


@pytest.mark.parametrize("task", Task)
def test_a_column_has_the_loss_of_each_event(task):
    """The same as one event after the other, with None for what has no loss."""
    rng = random.Random(4)
    values = [rng.choice([0.0, 1.0, None, 1.7e308, -0.5, rng.random()]) for _ in range(300)]
    labels = [rng.choice([False, True]) for _ in values]
    if task is Task.REGRESSION:
        labels = [rng.choice([-1.7e308, rng.random()]) for _ in values]
    expected = [
        losses(task, label, {"a": Predicted(value=value, probabilities={})}).get("a")
        for label, value in zip(labels, values, strict=True)
    ]
    assert loss_column(task, labels, values) == expected
    assert {*map(type, expected)} == {float, type(None)}
    assert loss_column(task, [], []) == []
