"""A pipeline of visits, to be changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from river import linear_model, naive_bayes

from millrace.models.features import calendar, derived, fields, rolling
from millrace.models.pipeline.definition import Pipeline

Make = Callable[..., Pipeline]

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Visit",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "user", "type": ["null", "string"]},
        {"name": "at", "type": "long"},
        {"name": "age", "type": "int"},
        {"name": "price", "type": "double", "default": 0.0},
        {"name": "note", "type": "string", "default": ""},
        {"name": "bought", "type": "boolean"},
    ],
}


def bayes() -> naive_bayes.GaussianNB:
    return naive_bayes.GaussianNB()


def per_year(event: dict[str, Any]) -> float:
    """Return what is paid for each year of age."""
    return float(event["price"] / event["age"])


@pytest.fixture
def visits() -> Make:
    def make(**given: Any) -> Pipeline:
        features = (
            fields("age"),
            derived("per_year", per_year),
            calendar("hour"),
            rolling("price", "mean", window=timedelta(hours=1)),
        )
        plain: dict[str, Any] = {
            "name": "visits",
            "schema": SCHEMA,
            "event_id": "id",
            "label": "bought",
            "key": "user",
            "event_time": "at",
            "task": "binary",
            "models": {"linear": linear_model.LogisticRegression, "bayes": bayes},
            "features": features,
        }
        return Pipeline(**(plain | given))

    return make


@pytest.fixture
def schema_with() -> Callable[..., dict[str, Any]]:
    """Return the schema with fields replaced (None: taken away) or added."""

    def make(*more: dict[str, Any], **replaced: Any) -> dict[str, Any]:
        kept = [each for each in SCHEMA["fields"] if each["name"] not in replaced]
        return {**SCHEMA, "fields": [*kept, *(e for e in replaced.values() if e), *more]}

    return make
