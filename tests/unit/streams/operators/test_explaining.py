"""Each prediction says what its features add to it, if the pipeline asks for that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from river import neighbors

from millrace.models.candidates import catalogue
from millrace.models.features import fields
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from millrace.schemas.records import FeatureVector
from millrace.streams.cli.consume import Decoder
from millrace.streams.formats import Outputs, OutputSchemas
from millrace.streams.operators.examples import ExampleWriter
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import Record, VectorRecord
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.task import Task
from tests.unit.streams.operators.commanding import Log, make_task

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
    ids = OutputSchemas({"Prediction": 300}, lambda _: pytest.fail("it is known"))
    for outputs in (Outputs("avro"), Outputs("json"), Outputs("confluent", ids)):
        data = outputs.encoder(shipped("prediction")).encode(told[-1])
        assert outputs.decode(shipped("prediction"), data) == told[-1]
        line = json.loads(Decoder("p.predictions", None, outputs).line(data))
        assert line["reasons"] == told[-1]["reasons"]


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


@pytest.mark.parametrize("scope", ["global", "partition", "key"])
@pytest.mark.parametrize("chain", ["default", "split"])
def test_each_chain_and_scope(
    chain: str, scope: str, make_pipeline: Make, make_rows: Make, make_origin: Make, move: Make
) -> None:
    """They add up to what the models of the scope predict, wherever a log is cut and restored."""
    pipeline = keyed(make_pipeline, scope)
    given = keyed_records(make_rows, make_origin)
    trained = ScopedModels(pipeline)
    if chain == "split":  # where the models come over a topic of their own
        folded_by_learning(pipeline, trained, given[:200])

    def fresh() -> Task | PredictionOperator:
        if chain == "default":
            return make_task(pipeline)
        writer = ExampleWriter(pipeline, trained)
        return PredictionOperator(pipeline, trained, writer, lambda _: pytest.fail("no models"))

    def run(at_a_time: int, restarts: bool = False) -> list[Any]:
        task, log, entries, found = fresh(), Log(), dict[Any, Any](), list[Any]()
        for at in range(0, len(given), at_a_time):
            made = task.run(Slice(given[at : at + at_a_time]))
            found += [each.value for each in made if each.topic == "predictions"]
            if restarts and isinstance(task, Task):
                log.save(task)
                task = log.restore(make_task(pipeline))
            elif restarts:
                task = move(task, fresh(), entries)
        return found

    found = run(1)
    assert found == run(100) == run(37, restarts=True)
    told = [each for each in found if each["value"] is not None]
    assert len(told) == len(found) == len(given)
    for each in told:
        reasons = each["reasons"]
        total = reasons["base"] + sum(reasons["contributions"].values()) + reasons["rest"]
        assert total == pytest.approx(expected(each), abs=1e-9)
    if scope == "key":  # each key has weights of its own
        assert len({each["reasons"]["base"] for each in told[-2:]}) == 2


def keyed(make_pipeline: Make, scope: str) -> Pipeline:
    """Return a pipeline with a key and this scope."""
    schema = {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": name, "type": kind}
            for name, kind in [
                *(("id", "string"), ("user", "string"), ("a", "double"), ("b", "double")),
                ("y", ["null", "boolean"]),
            ]
        ],
    }
    model = {"own": catalogue.logistic_regression}
    found: Pipeline = make_pipeline(
        schema=schema, key="user", scope=scope, models=model, reasons=1, features=[fields("a", "b")]
    )
    return found


def keyed_records(make_rows: Make, make_origin: Make) -> list[Record]:
    """Return labelled events of two keys, by turns."""
    return [
        VectorRecord(
            FeatureVector(
                event_id=f"e{i}", key=f"u{i % 2}", event_time_ms=i, label=y, features={**x}
            ),
            make_origin(topic="features", offset=i),
        )
        for i, (x, y) in enumerate(make_rows("binary", 300))
    ]


def folded_by_learning(pipeline: Pipeline, models: ScopedModels, given: list[Record]) -> None:
    """Train models as learning does."""
    learning = LearningOperator(pipeline, models)
    operator = PredictionOperator(pipeline, models, learning, lambda _: pytest.fail("no models"))
    operator.run(Slice(given))


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
