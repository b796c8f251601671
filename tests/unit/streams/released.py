"""The pipelines and records that the fixtures of earlier releases were made from."""

from __future__ import annotations

import json
import random
from collections import deque
from datetime import timedelta
from functools import partial
from typing import Any

from river import linear_model, metrics
from river.drift import PageHinkley

from millrace import DriftSettings, Feature, Pending, Pipeline, Store, catalogue, fields, rolling

KEY = b"a key for fixtures"
NOW_MS = 1_700_000_000_000
EVENTS = 240
CASES = [
    f"{task}-{scope}"
    for task in ("binary", "multiclass", "regression", "anomaly")
    for scope in ("global", "partition", "key")
] + [
    "binary-catalogue",
    "multiclass-catalogue",
    "regression-catalogue",
    "binary-replacing",
    "anomaly-unlabelled",
    "binary-own",  # since state version 3
]
_LABELS = {
    "binary": "boolean",
    "multiclass": "long",
    "regression": "double",
    "anomaly": "boolean",
}
_MODELS = {
    "binary": ["hoeffding_tree", "logistic_regression", "gaussian_naive_bayes"],
    "multiclass": ["hoeffding_tree", "logistic_regression", "knn"],
    "regression": ["linear_regression", "hoeffding_tree_regressor"],
    "anomaly": ["half_space_trees"],
}
_REST_OF_THE_CATALOGUE = {
    "binary": ["adaptive_random_forest", "alma", "hoeffding_adaptive_tree"],
    "multiclass": ["leveraging_bagging", "aggregated_mondrian_forest"],
    "regression": ["adaptive_random_forest_regressor"],
}
_COUNTS = Store[dict[str, Any]]("counts")
_NEWEST = Store[deque[float]]("newest")


class Own(Feature):
    """Keeps plain data in one store, and an object in another."""

    names = ("nth", "spread")

    def check(self, schema: object) -> None:
        """Any will do."""

    def bind(self, stores: Any) -> Any:
        counts, newest = stores(_COUNTS), stores(_NEWEST)

        def extract(event: Any) -> dict[str, float]:
            key, a = event["key"], event["fields"]["a"]
            count = {"seen": counts.get(key, {"seen": 0})["seen"] + 1, "last": (a, None)}
            counts[key] = count
            values = newest[key] = deque([*newest.get(key, ()), a], maxlen=5)
            return {"nth": count["seen"], "spread": max(values) - min(values)}

        return extract


class OwnModel(linear_model.LogisticRegression):
    """A model of the author's."""


class OwnMetric(metrics.LogLoss):
    """A metric of the author's."""


def pipeline_of(case: str) -> Pipeline:
    task, kind = case.split("-")
    scope = kind if kind in ("global", "partition", "key") else "global"
    names = (_REST_OF_THE_CATALOGUE if kind == "catalogue" else _MODELS)[task]
    has_label = kind != "unlabelled"
    schema = {
        "type": "record",
        "name": "Reading",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "user", "type": "string"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "a", "type": "double"},
            {"name": "b", "type": ["null", "double"], "default": None},
            *(
                [{"name": "y", "type": ["null", _LABELS[task]], "default": None}]
                if has_label
                else []
            ),
        ],
    }
    replacing, own = kind == "replacing", kind == "own"
    return Pipeline(
        name="released",
        schema=schema,
        event_id="id",
        key="user",
        event_time="at",
        label="y" if has_label else None,
        task=task,
        features=[fields("a", "b"), rolling("a", "count", "mean", window=timedelta(minutes=5))]
        + [Own()] * own,
        models={name: catalogue.factory(name, task) for name in names}
        | ({"own": OwnModel} if own else {}),
        metrics={"f1": metrics.F1, "log_loss": OwnMetric} if own else None,
        scope=scope,
        max_models=50,
        drift=DriftSettings(
            policy="replace" if replacing else "alert",
            loss=partial(PageHinkley, min_instances=10, threshold=3.0),
            cooldown=50,
            replacement_after=160,
        ),
        pending=Pending(limit=60, ttl=timedelta(hours=2)),
    )


def inputs_of(case: str) -> list[tuple[str, bytes]]:
    """Events and labels in order: early, late and duplicate labels and bad records among them."""
    task, kind = case.split("-")
    rng = random.Random(7)
    made: list[tuple[str, bytes]] = []
    for i in range(EVENTS):
        a, b = rng.gauss(0, 1), rng.gauss(5, 3)
        signal = a + 0.2 * (b - 5) + rng.gauss(0, 0.3)
        if i >= EVENTS // 2:
            signal = -signal + 2
        label = {
            "binary": signal > 0,
            "multiclass": 0 if signal < -0.5 else 2 if signal > 0.5 else 1,
            "regression": signal,
            "anomaly": abs(signal) > 1.5,
        }[task]
        user = f"u{i * 7 % 3}"
        event = {
            "id": f"e{i}",
            "user": user,
            "at": NOW_MS + i * 10_000,
            "a": a,
            "b": None if i % 11 == 0 else b,
        }
        known = {"event_id": f"e{i}", "label": label, "key": user}
        if i % 41 == 40:
            made.append(("events", b"broken"))
        if kind == "unlabelled":
            made.append(("events", json.dumps(event).encode()))
            continue
        if i % 3 == 0 or kind == "replacing":
            made.append(("events", json.dumps(event | {"y": label}).encode()))
            continue
        if i % 7 == 1:  # early
            made.append(("labels", json.dumps(known).encode()))
            made.append(("events", json.dumps(event).encode()))
            continue
        made.append(("events", json.dumps(event).encode()))
        if i % 5 != 4:
            made.append(("labels", json.dumps(known).encode()))
        if i % 17 == 1:
            made.append(("labels", json.dumps(known).encode()))
        if i % 29 == 2:
            made.append(("labels", json.dumps(known | {"event_id": f"never-{i}"}).encode()))
    return made
