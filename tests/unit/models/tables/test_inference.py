"""A table becomes a pipeline that loads, and whose schema takes the table's events."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from millrace.models.pipeline.loading import load_pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.tables.inference import infer, infer_task
from millrace.models.tables.rows import records
from millrace.schemas import DefinitionError, EventSchema

MODELS = {
    Task.BINARY: "logistic_regression",
    Task.MULTICLASS: "hoeffding_tree",
    Task.REGRESSION: "linear_regression",
    Task.ANOMALY: "half_space_trees",
}


@pytest.fixture(autouse=True)
def forget_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the modules that a test loads from files, and their folders from the import path."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if name.startswith("pipeline_"):
            del sys.modules[name]


def test_types_and_missing_cells(people: pd.DataFrame) -> None:
    """Types follow the column; features are nullable where cells are missing, the label always."""
    schema = infer(people, "y", "hoeffding_tree", name="people").schema
    assert (schema["type"], schema["name"], schema["namespace"]) == ("record", "Row", "table")
    assert schema["fields"][-1] == {"name": "y", "type": ["null", "long"], "default": None}
    assert {f["name"]: f["type"] for f in schema["fields"]} == {
        "event_id": "string",
        "name": "string",
        "age": ["null", "long"],
        "height": ["null", "double"],
        "is_member": "boolean",
        "_1st": "double",
        "city": "string",
        "note": ["null", "string"],
        "y": ["null", "long"],
    }


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([True, False], Task.BINARY),
        ([0, 1, 1], Task.BINARY),
        (pd.array([0, None, 1], dtype="Int64"), Task.BINARY),
        (pd.array([True, None], dtype="boolean"), Task.BINARY),
        ([0, 0], Task.MULTICLASS),
        ([1, 2], Task.MULTICLASS),
        ([*range(20)], Task.MULTICLASS),
        ([*range(21)], Task.REGRESSION),
        ([*range(21)] * 20, Task.MULTICLASS),
        ([*range(21)] * 19, Task.REGRESSION),
        ([0.0, 1.0], Task.REGRESSION),
        (["a", "b"], Task.MULTICLASS),
        ([str(number) for number in range(21)], Task.MULTICLASS),
    ],
)
def test_task_follows_from_the_labels(labels: Any, task: Task) -> None:
    """Booleans and 0/1 are two classes; floats and many integers a number; else many classes."""
    assert infer_task(pd.Series(labels)) is task


@pytest.mark.parametrize(
    ("label", "task"),
    [
        ("y", None),
        ("is-member", None),
        ("city", None),
        ("height", None),
        ("age", "regression"),
        ("1st", None),
        ("y", "anomaly"),
    ],
)
def test_the_written_pipeline_loads(
    label: str, task: str | None, people: pd.DataFrame, tmp_path: Path
) -> None:
    """The file that is written loads, and its schema takes every event of the table."""
    chosen = Task(task) if task else infer_task(people[label])
    found = infer(people, label, MODELS[chosen], name="My People!", task=task)
    pipeline = load_pipeline(found.write_definition(tmp_path / "made" / "here"))
    assert (pipeline.name, pipeline.task, pipeline.label) == ("my-people", chosen, found.label)
    assert [*pipeline.models] == [MODELS[chosen]]
    for event in records(people, pipeline.event_id):
        encoded = pipeline.event_schema.as_written.encode(event)
        assert pipeline.event_schema.codec.decode(encoded) == ("Row", event)
        assert pipeline.event_schema.from_json(json.loads(json.dumps(event))) == event


def test_the_written_file_is_short_and_whole(people: pd.DataFrame, tmp_path: Path) -> None:
    """The file is about 20 lines, says whether features are numbers, and overwrites itself."""
    found = infer(people, "y", "logistic_regression", name="people")
    assert 15 <= len(found.source.splitlines()) <= 25
    assert "\nfrom millrace import Pipeline, catalogue\n" in found.source
    assert "numeric=False" in found.source
    numbers = infer(people[["age", "y"]], "y", "logistic_regression", name="people")
    assert "numeric=True" in numbers.source
    assert found.write_definition(tmp_path) == numbers.write_definition(tmp_path)
    assert (tmp_path / "pipeline.py").read_text() == numbers.source


def test_text_labels_do_not_make_features_text(people: pd.DataFrame) -> None:
    """Only the features decide whether text has to be encoded."""
    found = infer(people[["age", "city"]], "city", "logistic_regression", name="people")
    assert "numeric=True" in found.source


def test_what_cannot_be_inferred(people: pd.DataFrame) -> None:
    """A wrong label, a wrong model and a table of one column are refused with what there is."""
    with pytest.raises(DefinitionError, match=r"^label must be one of .* \['name'.*; got 'z'$"):
        infer(people, "z", "hoeffding_tree", name="people")
    with pytest.raises(DefinitionError, match=r"hoeffding_tree_regressor.*got 'hoeffding_tree'"):
        infer(people, "height", "hoeffding_tree", name="people")
    with pytest.raises(DefinitionError, match=r"^table must have a column beside .* only 'y'$"):
        infer(people[["y"]], "y", "hoeffding_tree", name="people")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("-_-", "table"),
        ("Élan 2", "lan-2"),
        ("a.b", "a-b"),
        ("_x_", "x"),
        ("-x-", "x"),
        ("X__1", "x__1"),
    ],
)
def test_names_of_pipelines(name: str, given: str, people: pd.DataFrame) -> None:
    """What a topic's prefix cannot hold is replaced."""
    assert infer(people, "y", "hoeffding_tree", name=name).name == given


def test_the_event_id_has_a_free_name() -> None:
    """Where columns have the name already, the id that is added has another."""
    frame = pd.DataFrame({"event_id": [7, 8], "event_id_": [1, 2], "y": [0, 1]})
    found = infer(frame, "y", "hoeffding_tree", name="t")
    assert found.event_id == "event_id__"
    assert found.schema["fields"][0] == {
        "name": "event_id__",
        "type": "string",
        "doc": "Number of the row, from 0.",
    }


def test_columns_that_are_renamed_are_documented(people: pd.DataFrame) -> None:
    """The schema tells which column a field was, where the names differ."""
    schema = infer(people, "is-member", "hoeffding_tree", name="people").schema
    assert {f["name"]: f["doc"] for f in schema["fields"] if "doc" in f} == {
        "event_id": "Number of the row, from 0.",
        "is_member": "Column 'is-member'.",
        "_1st": "Column '1st'.",
    }


def test_times_are_timestamps() -> None:
    """A column of times is a logical timestamp in milliseconds."""
    times = pd.to_datetime(["1970-01-01T00:00:01.500", None])
    schema = infer(pd.DataFrame({"at": times, "y": [0, 1]}), "y", "knn", name="t").schema
    assert EventSchema(schema, "y").units_per_ms("at") == 1
    assert schema["fields"][1]["type"][1] == {"type": "long", "logicalType": "timestamp-millis"}
