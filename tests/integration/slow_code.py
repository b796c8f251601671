"""Pipelines whose own code is slow: workers load this file."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from river import linear_model

from millrace import Pipeline, fields

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "load", "type": "double"},
        {"name": "faulty", "type": "boolean"},
    ],
}
SECONDS = 0.4
HANGS = "TEST_HANGS"
"""While this variable is set, a reading of load 0 is never predicted."""


class Slow(linear_model.LogisticRegression):
    """Takes its time for each prediction."""

    def predict_proba_one(self, x: dict[str, Any]) -> Any:
        time.sleep(SECONDS)
        return super().predict_proba_one(x)


class Hanging(linear_model.LogisticRegression):
    """Holds Python's lock for ever, as a regular expression does that backtracks."""

    def predict_proba_one(self, x: dict[str, Any]) -> Any:
        if x["load"] == 0 and HANGS in os.environ:
            re.match("(a+)+$", "a" * 100 + "b")
        return super().predict_proba_one(x)


class Looping(linear_model.LogisticRegression):
    """Never predicts a reading of load 0."""

    def predict_proba_one(self, x: dict[str, Any]) -> Any:
        while x["load"] == 0:
            pass
        return super().predict_proba_one(x)


def readings(*loads: float) -> list[dict[str, Any]]:
    """Return a reading for each load, numbered from 0."""
    return [
        {"id": str(number), "load": load, "faulty": load > 0.5} for number, load in enumerate(loads)
    ]


def _pipeline(model: type) -> Pipeline:
    return Pipeline(
        name="slow",
        schema=SCHEMA,
        event_id="id",
        label="faulty",
        task="binary",
        features=[fields("load")],
        models={"model": model},
    )


slow = _pipeline(Slow)
hanging = _pipeline(Hanging)
looping = _pipeline(Looping)
