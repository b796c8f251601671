"""A drift alert says whose share in the reasons has changed, before and after."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.candidates import catalogue
from millrace.models.features import fields
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import FeatureVector, Prediction
from millrace.streams.formats.json import to_json
from millrace.streams.operators.drift import DriftOperator
from millrace.streams.operators.examples import ExampleWriter
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import PredictionRecord, Record, VectorRecord
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from tests.unit.streams.operators.commanding import Log, make_task

Make = Callable[..., Any]
EVENTS, CHANGE = 1_600, 1_000
USERS = 2
RIGHT = ("right_before", "right_after")


@pytest.fixture
def make(avro: Make, make_pipeline: Make) -> Callable[..., Pipeline]:
    """Make a pipeline with features a and b, and a key."""
    schema = avro(id="string", user="string", a="double", b="double", y=["null", "boolean"])

    def make(scope: str = "global", policy: str = "alert", **changes: Any) -> Pipeline:
        defined: dict[str, Any] = {
            "schema": schema,
            "key": "user",
            "scope": scope,
            "models": {"own": catalogue.logistic_regression},
            "features": [fields("a", "b")],
            "drift": DriftSettings(policy=policy, cooldown=200),
            "reasons": 2,
        }
        pipeline: Pipeline = make_pipeline(**(defined | changes))
        return pipeline

    return make


def events(make_origin: Make, users: int = USERS) -> list[Record]:
    """Return labelled events; what is true follows from `a` at first, and then from `b`."""
    rng = random.Random(3)
    made: list[Record] = []
    for i in range(EVENTS * users):
        x: dict[str, Any] = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}
        y = x["a" if i < CHANGE * users else "b"] > 0
        vector = FeatureVector(
            event_id=f"e{i}", key=f"u{i % users}", event_time_ms=i, label=y, features=x
        )
        made.append(VectorRecord(vector, make_origin(topic="features", offset=i)))
    return made


def alerts_of(made: list[Record]) -> list[Any]:
    return [each.value for each in made if each.topic == "alerts"]


@pytest.mark.parametrize("scope", ["global", "partition", "key"])
@pytest.mark.parametrize("policy", ["alert", "reset", "replace"])
def test_a_rule_that_changes(scope: str, policy: str, make: Make, make_origin: Make) -> None:
    """The alert says that `a` is right no more, and that `b` begins to be."""
    users = USERS if scope == "key" else 1
    task = make_task(make(scope, policy))
    found = alerts_of(task.run(Slice(events(make_origin, users))))
    alerts = [each for each in found if each["source"] == "loss:own"]
    assert alerts
    for alert in alerts[:users]:
        first, second = alert["reasons"]
        assert (first["feature"], second["feature"]) == ("a", "b")
        assert first["right_before"] > 0.7
        assert first["right_after"] < 0.4
        assert second["right_before"] + 0.02 < second["right_after"]
        for when in ("before", "after"):
            assert first[when] + second[when] == pytest.approx(1.0)
            assert first[when] > 0.7  # the model has yet to learn the new rule
            assert all(abs(each[f"right_{when}"]) <= each[when] for each in (first, second))


@pytest.mark.parametrize("scope", ["global", "key"])
@pytest.mark.parametrize("policy", ["alert", "reset"])
def test_wherever_a_log_is_cut(scope: str, policy: str, make: Make, make_origin: Make) -> None:
    """One by one, in slices, and after restores: the same alerts, to the last bit."""
    pipeline, given = make(scope, policy), events(make_origin, USERS if scope == "key" else 1)
    found = []
    for at_a_time, restarts in ((1, False), (97, False), (len(given), False), (173, True)):
        task, log, made = make_task(pipeline), Log(), list[Record]()
        for at in range(0, len(given), at_a_time):
            made += task.run(Slice(given[at : at + at_a_time]))
            if restarts:
                log.save(task)
                task = log.restore(make_task(pipeline))
        found.append([to_json(each) for each in alerts_of(made)])
    assert found[0]
    assert all(each == found[0] for each in found)


def test_learning_with_an_agent_of_its_own(make: Make, make_origin: Make) -> None:
    """In the chain `split`, learning tells the reasons of the examples that it learns."""
    pipeline, made = make(), list[Record]()
    models = ScopedModels(pipeline)
    prediction = PredictionOperator(
        pipeline, models, ExampleWriter(pipeline, models), lambda _: pytest.fail("no models")
    )
    learning = LearningOperator(pipeline, models, is_apart=True)
    for record in events(make_origin, 1):
        examples = [each for each in prediction.run(Slice([record])) if each.topic == "examples"]
        made += learning.run(Slice(examples))
    alone = alerts_of(made)
    together = alerts_of(make_task(pipeline).run(Slice(events(make_origin, 1))))
    assert [each["reasons"] for each in alone] == [each["reasons"] for each in together]
    assert alone[0]["reasons"]


@pytest.mark.parametrize("at_a_time", [1, 300, 2_000])
def test_predictions_and_inputs(at_a_time: int, make: Make, make_origin: Make, move: Make) -> None:
    """What has no labels goes by the reasons that predictions name, and outlives a restart."""
    pipeline = make()
    predictions = [predicted(i, make_origin) for i in range(1_500)]
    found = []
    for restarts in (False, True):
        watch, log, made = DriftOperator(pipeline), dict[Any, Any](), list[Record]()
        for at in range(0, len(predictions), at_a_time):
            made += watch.run(Slice(predictions[at : at + at_a_time]))
            if restarts and at % 300 == 0:
                watch = move(watch, DriftOperator(pipeline), log)
        found.append(alerts_of(made))
    assert found[0] == found[1]
    (alert,) = [each for each in found[0] if each["source"] == "input:a"]
    assert 1_000 < alert["position"] < 1_100
    assert [each["feature"] for each in alert["reasons"]] == ["a", "b"]
    rises, falls = alert["reasons"]
    assert (rises["before"], falls["before"]) == (0.25, 0.75)
    assert (rises["after"], falls["after"]) > (0.5, 0.25)
    assert {each[name] for each in alert["reasons"] for name in RIGHT} == {None}


def predicted(i: int, make_origin: Make) -> Record:
    """Return a prediction; from the thousandth on, `a` is larger and adds more."""
    noise, has_moved = random.Random(i).gauss(0, 1), i >= 1_000
    value = Prediction(
        event_id=f"e{i}",
        key=None,
        event_time_ms=i,
        prediction_time_ms=0,
        value=True,
        probabilities={"true": 0.6, "false": 0.4},
        features={"a": noise + (9.0 if has_moved else 0.0), "b": random.Random(-i).gauss(0, 1)},
        model="own",
        model_version=i,
        staleness_examples=0,
        definition="",
        certainty=None,
        reasons={
            "scale": "log_odds",
            "base": 0.0,
            "of": True,
            "against": False,
            "contributions": {"a": -0.75, "b": 0.25} if has_moved else {"b": 0.75, "a": 0.25},
            "rest": 0.0,
            "why_none": "",
        },
    )
    return PredictionRecord(value, make_origin(topic="predictions", offset=i))


def test_where_nobody_asks(make: Make, make_origin: Make) -> None:
    """Without `reasons`, and of a model that has none, the list is empty."""
    for changes in ({"reasons": 0}, {"models": {"own": catalogue.knn}}):
        found = alerts_of(make_task(make(**changes)).run(Slice(events(make_origin, 1))))
        assert found
        assert all(each["reasons"] == [] for each in found)


def test_another_candidate(make: Make, make_origin: Make) -> None:
    """The reasons are the champion's: an alert of another candidate has none."""
    models = {"tree": catalogue.hoeffding_tree, "own": catalogue.logistic_regression}
    found = alerts_of(make_task(make(models=models)).run(Slice(events(make_origin, 1))))
    by_source = {each["source"]: each["reasons"] for each in found}
    assert by_source["loss:own"] == []
    assert by_source["loss:tree"]
