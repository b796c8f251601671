"""A state of the demo, and what it is fed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.script import EXPECTED_REJECTS, Kind, Plan
from millrace.streams.demo.state import DemoState
from millrace.streams.observability import names
from millrace.streams.observability.scraping import Samples


@pytest.fixture
def state() -> DemoState:
    return DemoState(Plan(events=1_000, rate=100.0))


@pytest.fixture
def samples() -> Callable[..., Samples]:
    """Return a factory of what `/metrics` says after so many predictions and labels."""
    return _samples


def _samples(
    predicted: int = 0,
    learned: int = 0,
    accuracy: Mapping[str, float] | None = None,
    rejected: Mapping[str, int] | None = None,
    more: Mapping[str, float] | None = None,
) -> Samples:
    quality = [
        (str(names.PREQUENTIAL_METRIC), {"candidate": name, "metric": metric, "window": window}, v)
        for name, value in (accuracy or {}).items()
        for metric, window, v in [
            ("accuracy", "rolling", value),
            ("accuracy", "cumulative", value / 2),
            ("f1", "rolling", 0.123),
        ]
    ]
    rejects = [
        (names.EVENTS_REJECTED.total, {"reason": reason}, float(count))
        for reason, count in (rejected or {}).items()
    ]
    return Samples(
        [
            (names.PREDICTIONS.total, {}, float(predicted)),
            (names.EXAMPLES_LEARNED.total, {}, float(learned)),
            (str(names.MODEL_VERSION), {}, float(learned)),
            *quality,
            *rejects,
            *((name, {}, value) for name, value in (more or {}).items()),
        ]
    )


@pytest.fixture
def alert() -> Callable[..., Alert]:
    return _alert


def _alert(
    event_id: str = "540",
    source: str = "loss:hoeffding_tree",
    action: str = "replace",
    means: tuple[float, float] = (0.04, 0.49),
) -> Alert:
    return Alert(
        source=source,
        detector="ADWIN",
        event_id=event_id,
        event_time_ms=0,
        position=541,
        mean_before=means[0],
        mean_after=means[1],
        action=action,
        model="hoeffding_tree",
        model_version=540,
        detail="",
        reasons=[],
    )


@pytest.fixture
def prediction() -> Callable[..., Prediction]:
    return _prediction


def _prediction(
    event_id: str = "7", value: bool | None = True, probability: float | None = 0.984
) -> Prediction:
    return Prediction(
        event_id=event_id,
        key=None,
        event_time_ms=0,
        prediction_time_ms=0,
        value=value,
        probabilities={} if probability is None else {str(value).lower(): probability},
        features={},
        model="hoeffding_tree",
        model_version=1_234,
        staleness_examples=0,
        reasons=None,
        certainty=None,
        definition="",
    )


@pytest.fixture
def finished() -> DemoState:
    """Return a state that adds up, at the end, after a drift and a recovery."""
    state = DemoState(Plan(events=1_000, rate=100.0))
    for kind, count in {Kind.EVENT: 1_000, Kind.INVALID: 5, Kind.LABEL: 1_000}.items():
        for _ in range(count):
            state.count_sent(kind)
    readings = [(400, 0.95), (500, 0.96), (520, 0.49), (600, 0.5), (800, 0.7), (900, 0.955)]
    for learned, accuracy in readings:
        state.observe(_samples(learned=learned, accuracy={"hoeffding_tree": accuracy}), 1.0)
    more = {names.ALERTS.total: 1.0}
    accuracies = {"hoeffding_tree": 0.97}
    state.observe(_samples(1_000, 1_000, accuracies, EXPECTED_REJECTS, more), 61.0)
    state.predictions_read = 1_000
    state.alerts.append(_alert())
    return state
