"""Two models, one of them clearly worse, which serves at first: workers load this file."""

from __future__ import annotations

import random
from typing import Any

from river.base import Classifier

from millrace import Pipeline, Promotion, fields

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Point",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "key", "type": "string"},
        {"name": "x", "type": "double"},
        {"name": "y", "type": ["null", "boolean"], "default": None},
    ],
}
WORSE, BETTER = "worse", "better"


class Erring(Classifier):  # type: ignore[misc]  # River has no types
    """A model that knows the answer, x > 0, and errs at some of each hundred events.

    Parameters
    ----------
    errors
        At how many.
    """

    def __init__(self, errors: int) -> None:
        self.errors = errors
        self.learned = 0

    def learn_one(self, x: dict[str, Any], y: bool) -> None:
        self.learned += 1

    def predict_one(self, x: dict[str, Any]) -> bool:
        is_wrong = round(1_000_000 * abs(x["x"])) % 100 < self.errors
        return bool(x["x"] > 0) is not is_wrong


pipeline = Pipeline(
    name="rivals",
    schema=SCHEMA,
    event_id="id",
    key="key",
    label="y",
    task="binary",
    scope="partition",
    features=[fields("x")],
    models={WORSE: lambda: Erring(40), BETTER: lambda: Erring(5)},
    promotion=Promotion(min_labels=50),
)


def points(count: int, first: int) -> list[dict[str, Any]]:
    """Return events with their labels, those of certain numbers."""
    made = []
    for number in range(first, first + count):
        value = random.Random(number).gauss(0, 1)
        key = f"k{number % 40}"
        made.append({"id": str(number), "key": key, "x": value, "y": value > 0})
    return made
