"""`millrace.run`: the worker's fold in memory, equal to River and to any cut of the log."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from river import base, evaluate, metrics

from millrace import Pipeline, SettingsError, run
from millrace.streams.operators.record import Origin, RawRecord
from millrace.streams.operators.registry import OPERATORS
from millrace.streams.operators.slice import Slice
from millrace.streams.replay.encoding import Encoder, in_order
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.factory import TaskFactory

NOW = 1_700_000_000.0
Make = Callable[..., Any]


@pytest.fixture
def rows(make_rows: Make) -> Callable[..., list[dict[str, Any]]]:
    """Make rows with an id, two features and a label."""

    def make(task: str = "binary", count: int = 450) -> list[dict[str, Any]]:
        return [{"id": f"e{i}", **x, "y": y} for i, (x, y) in enumerate(make_rows(task, count))]

    return make


class Broken(base.Classifier):
    """Raises an exception for every event."""

    def learn_one(self, x: Any, y: Any) -> None:
        return

    def predict_one(self, x: Any) -> Any:
        return 1 / 0


SCORED = {
    "binary": {"accuracy": metrics.Accuracy, "log_loss": metrics.LogLoss},
    "multiclass": {"macro_f1": metrics.MacroF1},
    "regression": {"mae": metrics.MAE},
    "anomaly": {"roc_auc": metrics.ROCAUC},
}


@pytest.mark.parametrize("task", SCORED)
@pytest.mark.parametrize("label_delay", [0, 30])
def test_metrics_are_rivers(task: str, label_delay: int, make_pipeline: Make, rows: Make) -> None:
    """With labels at once and with labels later, metrics are `progressive_val_score`'s."""
    pipeline: Pipeline = make_pipeline(task, metrics=SCORED[task])
    result = run(pipeline, rows(task), label_delay=label_delay)
    for name, metric in SCORED[task].items():
        dataset = [({"a": row["a"], "b": row["b"]}, row["y"]) for row in rows(task)]
        model = pipeline.models["own"]()
        delay = label_delay or None
        expected = evaluate.progressive_val_score(dataset, model, metric(), delay=delay)
        assert result.metrics["own"][name] == expected.get()
    assert {*result.metrics} == {"own", "no_change", "prior"}


def folded(pipeline: Pipeline, rows: list[dict[str, Any]], size: int) -> list[Any]:
    """Return what a task makes of the same records, in slices of another size."""
    factory = TaskFactory(
        pipeline=pipeline,
        agent=AgentSpec(OPERATORS),
        clean_partitions=1,
        max_event_bytes=10**6,
        written_schema=lambda _: None,
        load_models=lambda _: pytest.fail("there are no models to load"),
        clock_ms=lambda: int(NOW * 1000),
    )
    task = factory.make()
    records = [
        RawRecord.of(Origin("events", 0, i, int(NOW * 1000), each.key, each.value))
        for i, each in enumerate(in_order(rows, Encoder(pipeline, 1), 7))
    ]
    return [
        (made.topic, made.value)
        for start in range(0, len(records), size)
        for made in task.run(Slice(records[start : start + size]))
    ]


@pytest.mark.parametrize("size", [1, 64, 10_000])
def test_slices_change_nothing(size: int, make_pipeline: Make, rows: Make) -> None:
    """All outputs are those of the fold, wherever the rows are cut."""
    pipeline = make_pipeline()
    result = run(pipeline, rows(), label_delay=7, clock=lambda: NOW)
    made = folded(pipeline, rows(), size)
    for topic in ("predictions", "outcomes", "alerts", "rejects"):
        assert getattr(result, topic) == [value for name, value in made if name == topic]
    assert (len(result.predictions), len(result.outcomes)) == (450, 450)


def test_a_table_is_rows(make_pipeline: Make, rows: Make) -> None:
    """A DataFrame gives what the same rows give as dictionaries; a missing cell is null."""
    given = rows(count=50)
    assert run(make_pipeline(), pd.DataFrame(given), clock=lambda: NOW) == run(
        make_pipeline(), given, clock=lambda: NOW
    )


@pytest.mark.parametrize("as_table", [True, False])
def test_rows_without_ids_are_numbered(as_table: bool, make_pipeline: Make, rows: Make) -> None:
    """Where no row has the event id, it is the number of the row."""
    given = [{name: row[name] for name in ("a", "b", "y")} for row in rows(count=3)]
    result = run(make_pipeline(), pd.DataFrame(given) if as_table else iter(given))
    assert [each["event_id"] for each in result.predictions] == ["0", "1", "2"]


def test_no_rows(make_pipeline: Make) -> None:
    """Of nothing comes nothing."""
    result = run(make_pipeline(), [])
    assert (result.predictions, result.outcomes, result.rejects) == ([], [], [])


def test_models_by_key_and_partition(make_pipeline: Make, avro: Make, rows: Make) -> None:
    """Over several partitions every event is predicted once, by the models of its key."""
    schema = avro(id="string", user="string", a="double", b="double", y=["null", "boolean"])
    pipeline = make_pipeline(schema=schema, key="user", scope="key")
    given = [{**row, "user": f"u{i % 5}"} for i, row in enumerate(rows())]
    one, four = run(pipeline, given), run(pipeline, given, partitions=4)
    by_id = [{each["event_id"]: each for each in found.predictions} for found in (one, four)]
    for event_id, prediction in by_id[0].items():
        other = by_id[1][event_id]
        assert other["value"] == prediction["value"]
        assert other["probabilities"] == prediction["probabilities"]
    assert len(by_id[1]) == len(four.predictions) == 450
    assert four.metrics["own"]["accuracy"] == pytest.approx(one.metrics["own"]["accuracy"])


def test_what_cannot_be_used_is_a_reject(make_pipeline: Make, rows: Make) -> None:
    """A row that is no event is rejected with its reason, and the others are predicted."""
    given = rows(count=5)
    given[2]["a"] = math.nan
    given[3]["b"] = "text"
    result = run(make_pipeline(), given)
    assert [each["reason"] for each in result.rejects] == ["not_finite", "ill_typed_field"]
    assert [each["offset"] for each in result.rejects] == [2, 3]
    assert [each["event_id"] for each in result.predictions] == ["e0", "e1", "e4"]


def test_scalars_of_numpy(make_pipeline: Make, avro: Make) -> None:
    """Rows may hold NumPy's scalars, as rows taken from arrays do."""
    schema = avro(id="string", a="double", b="long", y=["null", "boolean"])
    plain = {"id": "e1", "a": 0.5, "b": 3, "y": True}
    given = {"id": "e1", "a": np.float32(0.5), "b": np.int16(3), "y": np.bool_(True)}
    pipeline = make_pipeline(schema=schema)
    made, expected = (run(pipeline, [row], clock=lambda: NOW) for row in (given, plain))
    assert made == expected
    assert made.rejects == []


def test_a_label_of_no_type_is_a_reject(make_pipeline: Make) -> None:
    """A label that Avro has no type for is rejected, delayed or not; its event is predicted."""
    row = {"id": "e1", "a": 1.0, "b": 2.0, "y": {1, 2}}
    assert len(run(make_pipeline(), [row]).rejects) == 1
    delayed = run(make_pipeline(), [row], label_delay=1)
    assert (len(delayed.rejects), len(delayed.predictions)) == (1, 1)


def test_frames(make_pipeline: Make, rows: Make) -> None:
    """Each list is there as a table, and the metrics with a row for each candidate."""
    result = run(make_pipeline(), rows(count=20))
    assert result.frame("predictions")["event_id"].tolist() == [f"e{i}" for i in range(20)]
    assert result.frame("outcomes")["fate"].unique().tolist() == ["joined"]
    assert result.frame("rejects").empty
    assert result.frame("metrics").loc["own", "accuracy"] == result.metrics["own"]["accuracy"]
    with pytest.raises(SettingsError, match=r"frame must be one of predictions, .*; got 'models'"):
        result.frame("models")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partitions": 0}, "partitions must be at least 1; got 0"),
        ({"label_delay": -1}, "label_delay must be 0 or more events; got -1"),
    ],
)
def test_wrong_options(options: dict[str, int], message: str, make_pipeline: Make) -> None:
    """An option that is out of range is named."""
    with pytest.raises(SettingsError, match=message):
        run(make_pipeline(), [], **options)


def test_rows_are_produced_at_one_time(make_pipeline: Make, rows: Make) -> None:
    """Without a time of their own, all events have the time at which the run started."""
    result = run(make_pipeline(), rows(count=3), clock=lambda: NOW)
    assert {each["event_time_ms"] for each in result.predictions} == {int(NOW * 1000)}
    assert {each["prediction_time_ms"] for each in result.predictions} == {int(NOW * 1000)}


def test_users_errors_come_out(make_pipeline: Make, rows: Make) -> None:
    """With `on_error="stop"` what the user's code raises reaches the caller."""
    models = {"broken": Broken}
    with pytest.raises(ZeroDivisionError):
        run(make_pipeline(models=models, on_error="stop"), rows(count=1))
