"""A state of the demo, and pages of `/metrics` to feed it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from millrace.models.pipelines.loans import pipeline
from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.script import EXPECTED_REJECTS, Kind, Plan
from millrace.streams.demo.state import DemoState
from millrace.streams.worker.subprocess import Samples

CANDIDATES = [*pipeline.models, "no_change", "prior"]


@pytest.fixture
def state() -> DemoState:
    return DemoState(Plan(events=1_000, rate=100.0), pipeline, CANDIDATES)


@pytest.fixture
def samples() -> Callable[..., Samples]:
    """Return a factory of what a worker says after so many predictions and lessons."""
    return _samples


def _samples(
    predictions: int = 0,
    learned: int = 0,
    accuracy: Mapping[str, float] | None = None,
    rejected: Mapping[str, int] | None = None,
    **more: float,
) -> Samples:
    quality = [
        ("millrace_prequential_metric", {"candidate": name, "metric": metric, "window": window}, v)
        for name, value in (accuracy or {}).items()
        for metric, window, v in [
            ("accuracy", "rolling", value),
            ("accuracy", "cumulative", value / 2),
            ("f1", "rolling", 0.123),
        ]
    ]
    events = [
        ("millrace_events_rejected_total", {"reason": reason}, float(count))
        for reason, count in (rejected or {}).items()
    ]
    return Samples(
        [
            ("millrace_predictions_total", {"model": "hoeffding_tree"}, float(predictions)),
            ("millrace_examples_learned_total", {"model": "hoeffding_tree"}, float(learned)),
            ("millrace_model_version", {"partition": "0"}, float(learned)),
            *quality,
            *events,
            *((f"millrace_{name}", {}, value) for name, value in more.items()),
        ]
    )


@pytest.fixture
def alert() -> Callable[..., Alert]:
    return _alert


def _alert(event_id: str = "540", **changes: Any) -> Alert:
    made: dict[str, Any] = {
        "source": "loss:hoeffding_tree",
        "detector": "ADWIN",
        "event_id": event_id,
        "event_time_ms": 0,
        "position": 541,
        "mean_before": 0.04,
        "mean_after": 0.49,
        "action": "replace",
        "model": "hoeffding_tree",
        "model_version": 540,
    }
    return Alert(**(made | changes))


@pytest.fixture
def prediction() -> Callable[..., Prediction]:
    return _prediction


def _prediction(event_id: str = "7", **changes: Any) -> Prediction:
    made: dict[str, Any] = {
        "event_id": event_id,
        "key": None,
        "event_time_ms": 0,
        "prediction_time_ms": 0,
        "value": True,
        "probabilities": {"True": 0.984, "False": 0.016},
        "features": {},
        "model": "hoeffding_tree",
        "model_version": 1_234,
        "staleness_examples": 0,
    }
    return Prediction(**(made | changes))


@pytest.fixture
def finished(state: DemoState) -> DemoState:
    """Return a state at whose end everything adds up, after a drift and a recovery."""
    for kind, count in {Kind.EVENT: 1_000, Kind.BAD: 5, Kind.LABEL: 1_000}.items():
        for _ in range(count):
            state.count_sent(kind)
    readings = [(400, 0.95), (500, 0.96), (520, 0.49), (600, 0.5), (800, 0.7), (900, 0.955)]
    for learned, accuracy in readings:
        state.observe(_samples(accuracy={"hoeffding_tree": accuracy}, learned=learned), 1.0)
    page = _samples(
        1_000, 1_000, {"hoeffding_tree": 0.97}, EXPECTED_REJECTS, alerts_total=1, pending=0
    )
    state.observe(page, 61.0)
    state.predictions_read = 1_000
    state.add_alert(_alert())
    return state
