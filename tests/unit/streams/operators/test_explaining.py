"""Each prediction says what its features add to it, if the pipeline asks for that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from river import neighbors

from millrace.models.candidates import catalogue
from millrace.models.features import fields
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import Record
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice

Make = Callable[..., Any]
MODELS = {
    "binary": ["logistic_regression", "hoeffding_tree", "gaussian_naive_bayes"],
    "multiclass": ["hoeffding_tree", "gaussian_naive_bayes"],
    "regression": ["linear_regression", "hoeffding_tree_regressor"],
}
CASES = [(task, model) for task, names in MODELS.items() for model in names]


def records(task: str, make_rows: Make, make_vector: Make, make_label: Make) -> list[Record]:
    """Return events with their labels inside, or some events later."""
    made: list[Record] = []
    late: list[Record] = []
    for i, (x, y) in enumerate(make_rows(task, 300)):
        inside = y if i % 3 else None
        made.append(make_vector(f"e{i}", i, label=inside, **x))
        if inside is None:
            late.append(make_label(f"e{i}", y))
        if len(late) > 5:
            made.append(late.pop(0))
    return made


def predictions(pipeline: Pipeline, records: list[Record], at_a_time: int) -> list[Any]:
    models = ScopedModels(pipeline)
    operator = PredictionOperator(
        pipeline,
        models,
        LearningOperator(pipeline, models),
        lambda _: pytest.fail("there are no snapshots"),
    )
    return [
        each.value
        for at in range(0, len(records), at_a_time)
        for each in operator.run(Slice(records[at : at + at_a_time]))
        if each.topic == "predictions"
    ]


@pytest.mark.parametrize(("task", "model"), CASES)
def test_they_add_up_wherever_a_log_is_cut(
    task: str,
    model: str,
    make_pipeline: Make,
    make_rows: Make,
    make_vector: Make,
    make_label: Make,
) -> None:
    """To what was predicted, before the model has learned the label of the event."""
    models = {model: catalogue.factory(model, task)}
    pipeline = make_pipeline(task, models=models, features=(fields("a", "b"),), reasons=1)
    given = records(task, make_rows, make_vector, make_label)
    found = predictions(pipeline, given, 1)
    assert found == predictions(pipeline, given, 100)
    told = [each for each in found if not each["reasons"]["why_none"]]
    assert len(told) > 250
    for each in told:
        reasons = each["reasons"]
        assert len(reasons["contributions"]) <= 1
        total = reasons["base"] + sum(reasons["contributions"].values()) + reasons["rest"]
        assert total == pytest.approx(expected(each), abs=1e-9)
    encode, decode = shipped("prediction").encode, shipped("prediction").decode
    assert decode(encode(told[-1])) == told[-1]


def expected(prediction: Any) -> float:
    """Return what a prediction is on the scale of its reasons."""
    reasons, probabilities = prediction["reasons"], prediction["probabilities"]
    if reasons["scale"] == "target":
        return float(prediction["value"])
    of = probabilities.get(named(reasons["of"]), 0.0)
    if reasons["scale"] == "probability":
        return float(of)
    return math.log(of / probabilities[named(reasons["against"])])


def named(label: Any) -> str:
    """Return a class as probabilities name it."""
    return str(label).lower() if isinstance(label, bool) else str(label)


@pytest.mark.parametrize("count", [0, 2])
def test_where_there_are_none(
    count: int, make_pipeline: Make, make_rows: Make, make_vector: Make, make_label: Make
) -> None:
    """Null where nobody asks; else why."""
    pipeline = make_pipeline(
        models={"own": neighbors.KNNClassifier}, features=(fields("a", "b"),), reasons=count
    )
    given = records("binary", make_rows, make_vector, make_label)
    for each in predictions(pipeline, given, 10):
        if count:
            why = "no exact reasons for this model: KNNClassifier"
            assert each["reasons"]["why_none"].startswith(why)
            assert (each["reasons"]["contributions"], each["reasons"]["scale"]) == ({}, "")
        else:
            assert each["reasons"] is None


def test_the_largest_come_first(
    make_pipeline: Make, make_rows: Make, make_vector: Make, make_label: Make
) -> None:
    """As many as are asked for, if so many features add anything."""
    models = {"own": catalogue.logistic_regression}
    pipeline = make_pipeline(models=models, features=(fields("a", "b"),), reasons=5)
    given = records("binary", make_rows, make_vector, make_label)
    sizes = [
        abs(each)
        for each in predictions(pipeline, given, 10)[-1]["reasons"]["contributions"].values()
    ]
    assert len(sizes) == 2
    assert sizes == sorted(sizes, reverse=True)
