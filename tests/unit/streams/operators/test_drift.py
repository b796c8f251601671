"""Inputs and predictions are watched for drift without a label."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from river import drift

from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Prediction
from millrace.streams.operators.drift import DriftOperator
from millrace.streams.operators.record import PredictionRecord
from millrace.streams.operators.slice import Slice
from tests.chaos.likeness import difference, entries_of

Make = Callable[..., Any]


def sensitive() -> Any:
    return drift.PageHinkley(min_instances=5, threshold=2.0)


@pytest.fixture
def watch(make_pipeline: Make, make_origin: Make) -> Callable[..., list[Any]]:
    """Pass predictions through a fresh operator and return the alerts' values."""

    def run(task: str, count: int, at: Callable[[int], dict[str, Any]], **drift: Any) -> list[Any]:
        pipeline: Pipeline = make_pipeline(task, drift=DriftSettings(**drift))
        operator, origin = DriftOperator(pipeline), make_origin(topic="predictions")
        alerts = []
        for i in range(count):
            value = Prediction(
                event_id=f"e{i}",
                key=None,
                event_time_ms=1_000 + i,
                prediction_time_ms=0,
                value=None,
                probabilities={},
                features={},
                model="own",
                model_version=i // 2,
                staleness_examples=0,
                reasons=None,
                certainty=None,
                definition="",
            )
            value.update(at(i))  # type: ignore[typeddict-item]
            for made in operator.run(Slice([PredictionRecord(value, origin)])):
                assert (made.topic, made.type) == ("alerts", "Alert")
                alerts.append(made.value)
        return alerts

    return run


def steps(level: float, seed: int = 1, at: int = 600) -> Callable[[int], float]:
    """Return noise around 0, and around `level` from `at` on."""
    rng = random.Random(seed)
    noise = [rng.gauss(0, 0.1) for _ in range(3_000)]
    return lambda i: noise[i] + (level if i >= at else 0.0)


def test_input_drift(watch: Callable[..., list[Any]]) -> None:
    """A feature that moves is one alert with its evidence; others, and text, are none."""
    moves, stays = steps(1.0), steps(0.0, seed=2)
    (alert,) = watch(
        "binary", 1_200, lambda i: {"features": {"moves": moves(i), "stays": stays(i), "t": "x"}}
    )
    assert alert["source"] == "input:moves"
    assert 600 < alert["position"] < 700
    assert alert["event_id"] == f"e{alert['position'] - 1}"
    assert alert["event_time_ms"] == 1_000 + alert["position"] - 1
    assert (alert["mean_before"] < 0.2, alert["mean_after"] > 0.8) == (True, True)
    assert (alert["detector"], alert["action"], alert["model"]) == ("ADWIN", "alert", "own")
    assert alert["model_version"] == (alert["position"] - 1) // 2


@pytest.mark.parametrize("level", [1e-6, 1e6])
def test_scale_does_not_matter(level: float, watch: Callable[..., list[Any]]) -> None:
    """A feature of millionths or millions is watched as well as one around 1."""
    moves = steps(1.0)
    alerts = watch("binary", 1_200, lambda i: {"features": {"x": level * moves(i)}})
    assert [alert["source"] for alert in alerts] == ["input:x"]


@pytest.mark.parametrize(
    ("task", "before", "after"),
    [
        (
            "binary",
            {"value": False, "probabilities": {"True": 0.1, "False": 0.9}},
            {"value": True, "probabilities": {"True": 0.9, "False": 0.1}},
        ),
        (
            "binary",
            {"value": False, "probabilities": {"true": 0.1, "false": 0.9}},
            {"value": False, "probabilities": {"true": 0.4, "false": 0.6}},
        ),
        ("binary", {"value": False}, {"value": True}),
        (
            "multiclass",
            {"value": "a", "probabilities": {"a": 0.9, "b": 0.1}},
            {"value": "a", "probabilities": {"a": 0.4, "b": 0.35, "c": 0.25}},
        ),
        ("anomaly", {"value": 0.1}, {"value": 0.9}),
    ],
)
def test_prediction_drift(
    task: str, before: dict[str, Any], after: dict[str, Any], watch: Callable[..., list[Any]]
) -> None:
    """The predicted distribution is watched: of true, of the likeliest class, or the score."""
    (alert,) = watch(task, 1_200, lambda i: before if i < 600 else after)
    assert alert["source"] == "prediction"
    assert 600 < alert["position"] < 760


def test_regression_drift(watch: Callable[..., list[Any]]) -> None:
    """A predicted value is watched on its own scale."""
    moves = steps(1.0)
    alerts = watch("regression", 1_200, lambda i: {"value": 5e4 * moves(i)})
    assert [alert["source"] for alert in alerts] == ["prediction"]


def test_no_prediction_is_no_value(watch: Callable[..., list[Any]]) -> None:
    """What a model has not said is not counted as a value."""
    (alert,) = watch(
        "binary",
        1_600,
        lambda i: {"value": None if i < 400 else i >= 1_000},
    )
    assert 600 < alert["position"] < 700


def test_non_finite_and_missing_inputs(watch: Callable[..., list[Any]]) -> None:
    """NaN, infinity and absent features pass by, and a drift among them is seen all the same."""
    moves = steps(1.0)

    def at(i: int) -> dict[str, Any]:
        x = [moves(i), float("nan"), float("inf")][i % 3] if i % 5 == 0 else moves(i)
        return {"features": {} if i % 7 == 0 else {"x": x}}

    assert [alert["source"] for alert in watch("binary", 1_200, at)] == ["input:x"]


def test_only_what_is_asked_for(watch: Callable[..., list[Any]]) -> None:
    """Detectors can be given for some inputs, or none; and for predictions, or not."""
    moves = steps(1.0)

    def at(i: int) -> dict[str, Any]:
        return {"features": {"a": moves(i), "b": moves(i)}, "value": i >= 600}

    def sources(**drift: Any) -> set[str]:
        return {alert["source"] for alert in watch("binary", 1_200, at, **drift)}

    assert sources() == {"input:a", "input:b", "prediction"}
    assert sources(inputs=None) == {"prediction"}
    assert sources(inputs={"b": "page_hinkley"}, predictions=None) == {"input:b"}
    assert sources(inputs=None, predictions=None) == set()


def test_cooldown(watch: Callable[..., list[Any]]) -> None:
    """Two drifts within the cooldown are one alert, further apart they are two."""

    def at(i: int) -> dict[str, Any]:
        return {"value": 400 <= i < 800}

    for cooldown, alerts in ((1_000, 1), (100, 2)):
        assert len(watch("binary", 1_200, at, cooldown=cooldown)) == alerts


def test_a_cycle_is_no_drift(watch: Callable[..., list[Any]]) -> None:
    """Neither of a feature nor of the predictions that follow from it."""

    def at(i: int) -> dict[str, Any]:
        return {"features": {"hour": i // 60 % 24, "count": i}, "value": 5.0 * (i // 60 % 24)}

    assert len(watch("regression", 20_000, at)) <= 2


def test_a_source_that_changes_again_and_again_is_no_longer_watched(
    make_pipeline: Make, make_origin: Make
) -> None:
    """Three alerts within 100,000 values are all, and a reading says that it is so."""
    operator = DriftOperator(make_pipeline("regression"))
    origin = make_origin(topic="predictions")
    rng = random.Random(1)
    alerts = []
    for i in range(16_000):
        value = {
            "event_id": str(i),
            "key": None,
            "event_time_ms": i,
            "staleness_examples": 0,
            "reasons": None,
            "certainty": None,
            "definition": "",
            "value": 5 * (i // 2_000 % 2) + rng.gauss(0, 1),
            "probabilities": {},
            "features": {"x": rng.random()},
            "model": "own",
            "model_version": 0,
        }
        alerts += operator.run(Slice([PredictionRecord(value, origin)]))  # type: ignore[arg-type]
    assert [each.value["source"] for each in alerts] == ["prediction"] * 3  # type: ignore[index]
    assert {*operator.readings()} == {("drift_unwatched", ("prediction",), True)}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("seed", range(5))
def test_where_a_slice_is_cut_changes_nothing(
    task: str, seed: int, make_pipeline: Make, make_origin: Make
) -> None:
    """Alerts, their order and the state are the same, whatever events lack."""
    rng = random.Random(seed)
    pipeline = make_pipeline(
        task, drift=DriftSettings(inputs=sensitive, predictions=sensitive, cooldown=5)
    )
    predictions = []
    for i in range(600):
        numbers = {name: rng.gauss(i // 150, 1) for name in ("a", "b", "c", "d")}
        named = {"text": "sky", "flag": rng.random() < 0.5, "huge": rng.choice([1e200, 1.0])}
        features = {
            name: value
            for name, value in (numbers | named | {"both": rng.choice(["x", 2.0])}).items()
            if rng.random() < 0.3 + (i > 100)
        }
        value = Prediction(
            event_id=f"e{i}",
            key=None,
            event_time_ms=i,
            prediction_time_ms=0,
            value=None if rng.random() < 0.2 else 0.0,
            probabilities={"True": rng.random()} if rng.random() < 0.8 else {},
            features=features,
            model=rng.choice(["own"] * 50 + ["other"]),
            model_version=i,
            staleness_examples=0,
            reasons=None,
            certainty=None,
            definition="",
        )
        predictions.append(PredictionRecord(value, make_origin(topic="predictions", offset=i)))
    runs = []
    for most in (1, 60):
        operator, made, left = DriftOperator(pipeline), list[Any](), predictions
        while left:
            size = rng.randint(1, most)
            part, left = left[:size], left[size:]
            made += [each.value for each in operator.run(Slice(part))]
        runs.append((made, entries_of(operator.stores["monitors"])))
    (made, state), (of_others, others) = runs
    assert made == of_others != []
    assert difference(state, others) is None
