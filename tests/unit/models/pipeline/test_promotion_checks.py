"""A promotion has to fit the rest of the definition."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from river.anomaly import HalfSpaceTrees
from river.linear_model import LogisticRegression

from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.label_default import LabelDefault
from millrace.models.selection.promotion import Promotion
from millrace.schemas import DefinitionError

HOUR = timedelta(hours=1)
FIELDS = [
    {"name": "id", "type": "string"},
    {"name": "x", "type": "double"},
    {"name": "y", "type": ["null", "boolean"], "default": None},
]


def made(task: str = "binary", **changes: Any) -> Pipeline:
    model: Any = LogisticRegression if task == "binary" else HalfSpaceTrees
    given: dict[str, Any] = {"label": "y", "models": {"own": model}} | changes
    schema = {"type": "record", "name": "Visit", "fields": FIELDS}
    return Pipeline(name="visits", schema=schema, event_id="id", task=task, **given)


def half(label: object, value: object, probabilities: object) -> float:
    return 0.5


def test_labels_are_waited_for_as_long_as_events_wait() -> None:
    """No longer: nothing comes after that."""
    given = made(pending=Pending(ttl=HOUR))
    assert replace(given, promotion=Promotion(wait=HOUR)).comparison.wait == HOUR
    with pytest.raises(DefinitionError, match=r"promotion\.wait must be at most pending\.ttl, 1:0"):
        replace(given, promotion=Promotion(wait=2 * HOUR))
    given = replace(given, label_default=LabelDefault(False, after=HOUR / 2))
    with pytest.raises(DefinitionError, match=r"at most label_default\.after, 0:30:00"):
        replace(given, promotion=Promotion(wait=HOUR))


@pytest.mark.parametrize("metric", [None, "absolute_error"])
def test_anomalies_are_promoted_by_a_function_alone(metric: str | None) -> None:
    """A distance from the label says little about a ranking; to look at it is fine."""
    given = made("anomaly")
    with pytest.raises(DefinitionError, match=r"promotion\.policy must be 'off' with the task"):
        replace(given, promotion=Promotion(metric=metric))
    assert replace(given, promotion=Promotion(metric=metric, policy="off")).comparison.is_off
    assert not replace(given, promotion=Promotion(metric=half)).comparison.is_off


def test_models_without_labels_are_not_promoted() -> None:
    """Nothing says which of them is better."""
    given = made("anomaly", label=None)
    with pytest.raises(DefinitionError, match="where models learn without labels"):
        replace(given, promotion=Promotion(metric=half))


def test_a_loss_of_another_task_is_refused() -> None:
    """As the definition is made, whatever the policy."""
    with pytest.raises(DefinitionError, match=r"promotion\.metric must be one of"):
        replace(made(), promotion=Promotion(metric="squared_error", policy="off"))
