"""`millrace.run`: the worker's fold in memory, equal to River's results."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from river import base, evaluate, metrics

from millrace import Pipeline, SettingsError, catalogue, run
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
    """With labels at once and with labels later, metrics are `progressive_val_score`'s.

    River adds what it has of each class in the order of a set, which differs between processes
    for text: in the last digit, its macro F1 does, too.
    """
    pipeline: Pipeline = make_pipeline(task, metrics=SCORED[task])
    result = run(pipeline, rows(task), label_delay=label_delay)
    for name, metric in SCORED[task].items():
        dataset = [({"a": row["a"], "b": row["b"]}, row["y"]) for row in rows(task)]
        model = pipeline.models["own"]()
        delay = label_delay or None
        expected = evaluate.progressive_val_score(dataset, model, metric(), delay=delay)
        tolerance = 1e-15 if task == "multiclass" else 0
        assert result.metrics["own"][name] == pytest.approx(expected.get(), rel=tolerance, abs=0)
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
    for topic in ("predictions", "outcomes", "evaluations", "alerts", "rejects"):
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
    """Without rows there are no records, and the candidates have no metrics."""
    for rows in ([], iter(()), pd.DataFrame()):
        result = run(make_pipeline(), rows)
        assert (result.predictions, result.outcomes, result.rejects) == ([], [], [])
        assert result.metrics == {"own": {}}


def test_models_by_key_and_partition(make_pipeline: Make, avro: Make, rows: Make) -> None:
    """With several partitions every event is predicted once, by the models of its key."""
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


def test_one_partition_is_the_default(make_pipeline: Make, avro: Make, rows: Make) -> None:
    """So that results are in the order of the rows."""
    schema = avro(id="string", user="string", a="double", b="double", y=["null", "boolean"])
    pipeline = make_pipeline(schema=schema, key="user", scope="key")
    given = [{**row, "user": f"u{i % 5}"} for i, row in enumerate(rows(count=20))]
    result = run(pipeline, given)
    assert [each["event_id"] for each in result.predictions] == [each["id"] for each in given]


def test_what_cannot_be_used_is_a_reject(make_pipeline: Make, rows: Make) -> None:
    """A row that is not a valid event is rejected with a reason; the others are predicted."""
    given = rows(count=5)
    given[2]["a"] = math.nan
    given[3]["b"] = "text"
    result = run(make_pipeline(), given)
    assert [each["reason"] for each in result.rejects] == ["not_finite", "ill_typed_field"]
    assert [each["offset"] for each in result.rejects] == [2, 3]
    assert [each["event_id"] for each in result.predictions] == ["e0", "e1", "e4"]


def test_scalars_of_numpy(make_pipeline: Make, avro: Make) -> None:
    """Rows may hold scalars of NumPy, as rows from arrays do."""
    schema = avro(id="string", a="double", b="long", y=["null", "boolean"])
    plain = {"id": "e1", "a": 0.5, "b": 3, "y": True}
    given = {"id": "e1", "a": np.float32(0.5), "b": np.int16(3), "y": np.bool_(True)}
    pipeline = make_pipeline(schema=schema)
    made, expected = (run(pipeline, [row], clock=lambda: NOW) for row in (given, plain))
    assert made == expected
    assert made.rejects == []


def test_a_label_of_no_type_is_a_reject(make_pipeline: Make) -> None:
    """A label that Avro has no type for is rejected; if it is delayed, its event is predicted."""
    row = {"id": "e1", "a": 1.0, "b": 2.0, "y": {1, 2}}
    assert len(run(make_pipeline(), [row]).rejects) == 1
    delayed = run(make_pipeline(), [row], label_delay=1)
    assert (len(delayed.rejects), len(delayed.predictions)) == (1, 1)


def test_frames(make_pipeline: Make, rows: Make) -> None:
    """Each list is available as a table, and the metrics with a row for each candidate."""
    result = run(make_pipeline(), rows(count=20))
    assert result.frame("predictions")["event_id"].tolist() == [f"e{i}" for i in range(20)]
    assert result.frame("outcomes")["fate"].unique().tolist() == ["joined"]
    assert result.frame("rejects").empty
    assert result.frame("metrics").loc["own", "accuracy"] == result.metrics["own"]["accuracy"]
    with pytest.raises(
        SettingsError, match=r"frame must be one of predictions, alerts, .*; got 'models'"
    ):
        result.frame("models")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partitions": 0}, "partitions must be a whole number of 1 or more; got 0"),
        ({"partitions": "2"}, "partitions must be a whole number of 1 or more; got '2'"),
        ({"partitions": True}, "partitions must be a whole number of 1 or more; got True"),
        ({"label_delay": -1}, "label_delay must be a whole number of 0 or more; got -1"),
        ({"label_delay": 1.5}, "label_delay must be a whole number of 0 or more; got 1.5"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, make_pipeline: Make) -> None:
    """An option that is out of range is an error that names it."""
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


ODD = {
    "type": "record",
    "name": "Odd",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "seen_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "city", "type": ["null", "string"], "default": None},
        {"name": "size", "type": ["null", "long"], "default": None},
        {"name": "price", "type": ["null", "double"], "default": None},
        {"name": "is_new", "type": ["null", "boolean"], "default": None},
        {"name": "y", "type": ["null", "boolean"], "default": None},
    ],
}
FRAME = pd.DataFrame(
    {
        "id": [*"abcd"],
        "seen_at": pd.date_range("2023-11-14", periods=4, freq="h"),
        "city": pd.Categorical(["rome", None, "oslo", "rome"]),
        "size": [1, 2, None, 4],
        "price": [1.5, math.nan, 2.0, 3.0],
        "is_new": [True, None, False, True],
        "y": [True, False, None, True],
    },
    index=[0, 0, 1, 1],
)
FEATURES = [
    {"city": "rome", "size": 1, "price": 1.5, "is_new": True},
    {"size": 2},
    {"city": "oslo", "price": 2.0, "is_new": False},
    {"city": "rome", "size": 4, "price": 3.0, "is_new": True},
]


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame,
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
        lambda frame: frame.assign(seen_at=frame["seen_at"].dt.tz_localize("UTC")),
        lambda frame: frame.assign(size=frame["size"].astype("Int16")),
    ],
)
def test_columns_of_any_type(change: Callable[[Any], Any], make_pipeline: Make) -> None:
    """Dates, categories, missing cells, NumPy's and pandas' types, an index that repeats."""
    models = {"own": catalogue.hoeffding_tree}
    pipeline = make_pipeline(schema=ODD, event_time="seen_at", models=models)
    result = run(pipeline, change(FRAME), clock=lambda: NOW)
    assert result.rejects == []
    assert [each["features"] for each in result.predictions] == FEATURES
    start = 1_699_920_000_000
    assert [each["event_time_ms"] - start for each in result.predictions] == [
        hour * 3_600_000 for hour in range(4)
    ]
    assert [each["event_id"] for each in result.outcomes] == ["a", "b", "d"]


@pytest.mark.parametrize("as_table", [True, False])
def test_names_that_avro_cannot_have(as_table: bool, make_pipeline: Make, avro: Make) -> None:
    """Names are those that `replay` gives to the columns of a table."""
    schema = avro(id="string", a_b="double", _1="double", y=["null", "boolean"])
    given = [{"id": "e1", "a-b": 0.5, 1: 2.0, "y": True}]
    result = run(make_pipeline(schema=schema), pd.DataFrame(given) if as_table else given)
    assert [each["features"] for each in result.predictions] == [{"a_b": 0.5, "_1": 2.0}]


def test_names_may_differ_from_row_to_row(make_pipeline: Make, avro: Make) -> None:
    """A row may lack a field that has a default."""
    schema = avro(id="string", a_b=(["null", "double"], None), b="double", y=["null", "boolean"])
    given = [{"id": "1", "a-b": 0.5, "b": 1.0, "y": True}, {"id": "2", "b": 2.0, "y": True}]
    result = run(make_pipeline(schema=schema), given)
    assert [each["features"] for each in result.predictions] == [{"a_b": 0.5, "b": 1.0}, {"b": 2.0}]


def test_an_id_that_is_missing_later_is_a_reject(make_pipeline: Make, rows: Make) -> None:
    """Only if the first row has no id, rows are numbered."""
    first, second = rows(count=2)
    del second["id"]
    assert [each["reason"] for each in run(make_pipeline(), [first, second]).rejects] == [
        "missing_field"
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([({"a": 1.0}, True)], r"a row must be a dictionary; got \(\{'a': 1.0\}, True\)"),
        ("data.csv", "a row must be a dictionary; got 'd'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "columns of different names; got .*'a', 'a'"),
    ],
)
def test_rows_of_another_kind(given: Any, message: str, make_pipeline: Make) -> None:
    """River's pairs, a path, and a column that is there twice are errors."""
    with pytest.raises(SettingsError, match=message):
        run(make_pipeline(), given)


def test_a_result_shows_how_much_there_is(make_pipeline: Make, rows: Make) -> None:
    """A notebook does not print every record."""
    expected = "predictions: 3, alerts: 0, rejects: 0, outcomes: 3, evaluations: 0, audit: 0"
    assert repr(run(make_pipeline(), rows(count=3))) == f"Result({expected})"


def test_alerts_are_returned(make_pipeline: Make, make_rows: Make) -> None:
    """A drift in the stream is in `alerts`, with its source."""
    given = [
        {"id": str(i), **x, "y": y}
        for i, (x, y) in enumerate(make_rows("binary", 3_000, flip_at=1_500))
    ]
    result = run(make_pipeline(), given)
    assert "loss:own" in {each["source"] for each in result.alerts}


class Unprintable:
    """Raises when it becomes text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


ITSELF: list[Any] = []
ITSELF.append(ITSELF)


@pytest.mark.parametrize("label_delay", [0, 1])
@pytest.mark.parametrize(
    "value",
    [10**400, 10**5000, Unprintable(), ITSELF, {(1, 2): 3}, "\ud800", 1j, {1}],
    ids=[
        "beyond a double",
        "too long for text",
        "text",
        "itself",
        "keys",
        "half",
        "complex",
        "set",
    ],
)
def test_no_value_ends_a_run(
    value: object, label_delay: int, make_pipeline: Make, rows: Make
) -> None:
    """Whatever is in a row: that record is rejected for what is wrong, and the others are not."""
    for field, reason in (("a", "ill_typed_field"), ("y", "unknown_label_type")):
        given = rows(count=6)
        given[3][field] = value
        result = run(make_pipeline(), given, label_delay=label_delay)
        assert [each["reason"] for each in result.rejects][:1] == [reason]
        assert f"field {field!r}" in result.rejects[0]["detail"]
        assert len(result.predictions) >= 5
    run(make_pipeline(), [{**row, "id": value, "more": value} for row in rows(count=2)])


@pytest.mark.parametrize("given", [None, 5])
def test_rows_that_are_none_are_refused(given: Any, make_pipeline: Make) -> None:
    """In one line."""
    with pytest.raises(SettingsError, match=r"rows must be dictionaries or a table; got"):
        run(make_pipeline(), given)


@pytest.mark.parametrize("given", [None, "loans.py", Pipeline])
def test_only_a_pipeline_is_run(given: Any) -> None:
    """A path is to be loaded first, and the message says how."""
    with pytest.raises(SettingsError, match=r"pipeline must be a Pipeline, for example load_pip"):
        run(given, [])


@pytest.mark.parametrize("parameter", ["partitions", "label_delay"])
def test_no_count_is_too_large_to_be_refused(parameter: str, make_pipeline: Make) -> None:
    """A number of partitions that would never be made is refused at once."""
    with pytest.raises(SettingsError, match=rf"{parameter} must be [\d,]+ or less; got 1000"):
        run(make_pipeline(), [], **{parameter: 10**400})


def test_a_row_that_is_none_is_shown_in_one_line(make_pipeline: Make) -> None:
    """However many lines its text has."""
    with pytest.raises(SettingsError) as raised:
        run(make_pipeline(), [pd.DataFrame({"a": range(9)})])
    assert "\n" not in str(raised.value)
