"""The pipeline under test: every kind of state that a pipeline can have, and little of each.

Topics of others, rolling windows by key and by a field, a tree, a linear model and a seeded forest,
a drift policy that replaces models, labels that wait, come early or come too late, sets of classes
and reasons. One of the models can be slow. The first one is nearly always wrong, which is proven
within seconds: so the pipeline's own rule promotes another wherever it serves.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from river.base import Classifier
from river.forest import ARFClassifier
from river.linear_model import LogisticRegression

from millrace import (
    Conformal,
    DriftSettings,
    LabelSource,
    Pipeline,
    Promotion,
    Source,
    calendar,
    catalogue,
    derived,
    fields,
    rolling,
)
from millrace.models.pipeline.definition import Pending, Scope

SLOW = "CHAOS_SLOW"
"""While the file exists that this variable names, one of the models is slow."""

SLOW_SECONDS = 0.3
LARGEST_AMOUNT = 1e6
ROWS, VERDICTS = "rows", "verdicts"  # topics of somebody else's: payments in a table, and labels
TTL = timedelta(seconds=20)
SCHEMA = {
    "type": "record",
    "name": "Payment",
    "namespace": "chaos",
    "fields": [
        {"name": "payment_id", "type": "string"},
        {"name": "account", "type": "string"},
        {"name": "paid_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "amount", "type": "double"},
        {"name": "items", "type": ["null", "int"]},
        {"name": "shop", "type": "string"},
        {"name": "is_fraud", "type": ["null", "boolean"]},
    ],
}


def amount_per_item(payment: Mapping[str, Any]) -> float | None:
    """Return the price of one item, where their number is known."""
    return payment["amount"] / payment["items"] if payment["items"] else None


def small_forest() -> ARFClassifier:
    """Return a forest of three trees: what it draws at random is a part of its state."""
    return ARFClassifier(n_models=3, seed=7)


class Contrary(Classifier):  # type: ignore[misc]  # River has no types
    """A model that knows the rule of the load, and says the opposite."""

    def __init__(self) -> None:
        self.is_turned = False

    def learn_one(self, x: dict[str, Any], y: bool) -> None:
        self.is_turned = self._is_large(x) != y

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        wrong = self._is_large(x) == self.is_turned
        return {wrong: 0.9, not wrong: 0.1}

    def _is_large(self, x: dict[str, Any]) -> bool:
        return bool(x.get("amount", 0.0) > 20 * (x.get("items") or 1))


class Moody(LogisticRegression):
    """A model that takes its time while somebody wants it to."""

    def predict_proba_one(self, x: dict[str, Any]) -> Any:
        if SLOW in os.environ and Path(os.environ[SLOW]).exists():
            time.sleep(SLOW_SECONDS)
        return super().predict_proba_one(x)


pipeline = Pipeline(
    name="chaos",
    schema=SCHEMA,
    event_id="payment_id",
    key="account",
    event_time="paid_at",
    label="is_fraud",
    task="binary",
    scope=Scope.PARTITION,
    features=[
        fields("amount", "items"),
        derived("amount_per_item", amount_per_item),
        calendar("hour"),
        rolling("amount", "count", "mean", "std", window=timedelta(minutes=1)),
        rolling("amount", "max", window=timedelta(seconds=10), by="shop"),
    ],
    models={
        "contrary": Contrary,
        "hoeffding_tree": catalogue.hoeffding_tree,
        "logistic_regression": catalogue.logistic_regression,
        "forest": small_forest,
        "moody": Moody,
    },
    drift=DriftSettings(policy="replace", cooldown=100, replacement_after=100),
    promotion=Promotion(min_labels=50, probation=200, wait=timedelta(seconds=6)),
    rolling_window=200,
    reasons=3,
    certainty=Conformal(coverage=0.8),
    largest_feature=LARGEST_AMOUNT,
    pending=Pending(limit=20_000, ttl=TTL),
    events=[Source(ROWS, envelope="debezium")],
    labels=[
        LabelSource(
            VERDICTS,
            event_id="payment.id",
            label="verdict",
            values={"fraud": True, "fine": False},
            time="at",
            key="payment.account",
        )
    ],
)

keyed = replace(
    pipeline,
    scope=Scope.KEY,
    max_models=8,
    certainty=Conformal(coverage=0.8, method="pi", abstain=True),
)
"""The same with a model and thresholds for each account, of which a partition holds fewer than
there are; it abstains where a set is no answer."""
