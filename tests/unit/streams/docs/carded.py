"""Pipelines on a broker whose workers have run, for tests of model cards."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from millrace import DriftSettings, Pending, Pipeline, catalogue, fields, run
from tests.unit.streams.serve.conftest import World

EVENTS = 1_600
BEGIN_MS, MINUTE_MS = 1_700_000_000_000, 60_000
ODD = "<b>&\"'|*_`[x](javascript:1)</b>\x1b\u202e"
"""What could be read as more than text."""


def own_pipeline(doc: str = "An application for a loan.", **changes: Any) -> Pipeline:
    """Return a pipeline whose schema says what it is about."""
    schema = {
        "type": "record",
        "name": "Application",
        "doc": doc,
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "income", "type": "double", "doc": "Of a year, in euros."},
            {"name": "age", "type": "double"},
            {"name": "granted", "type": ["null", "boolean"], "doc": "Whether it was granted."},
        ],
    }
    defined: dict[str, Any] = {
        "name": "grants",
        "schema": schema,
        "event_id": "id",
        "event_time": "at",
        "pending": Pending(ttl=timedelta(hours=3)),
        "label": "granted",
        "task": "binary",
        "models": {
            "tree": catalogue.hoeffding_tree,
            "logistic": catalogue.logistic_regression,
            "bayes": catalogue.gaussian_naive_bayes,
        },
        "features": [fields("income", "age")],
        "drift": DriftSettings(policy="reset", cooldown=200),
        "reasons": 2,
    }
    return Pipeline(**(defined | changes))


def rows(events: int = EVENTS) -> list[dict[str, Any]]:
    """Return applications whose rule changes half-way, from income to age; some have no label."""
    rng, made = random.Random(5), []
    for i in range(events):
        x = {"income": rng.gauss(0, 1), "age": rng.gauss(0, 1)}
        granted = x["income" if i < events // 2 else "age"] > 0
        known = None if i % 10 == 3 else granted
        made.append({"id": f"a{i}", "at": BEGIN_MS + i * MINUTE_MS, **x, "granted": known})
    return made


def worked(pipeline: Pipeline | None = None, events: int = EVENTS) -> World:
    """Return a broker with what workers have made of a stream."""
    pipeline = pipeline or own_pipeline()
    world = World(pipeline)
    result = run(pipeline, rows(events))
    made: Mapping[str, list[Any]] = {
        "evaluations": result.evaluations,
        "outcomes": result.outcomes,
        "alerts": result.alerts,
        "audit": result.audit,
    }
    for topic, records in made.items():
        for each in records:
            world.write(topic, each)
        world.broker.put(world.full(topic), b"\xff", None, 0)  # of somebody else
    return world
