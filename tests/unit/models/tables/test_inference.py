"""A table becomes a pipeline that loads, and whose schema takes the table's events."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from millrace.models.pipeline.loading import load_pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.tables.inference import Choices, Inferred
from millrace.models.tables.inference import infer as infer_from
from millrace.models.tables.labels import infer_task
from millrace.models.tables.rows import records
from millrace.schemas import DefinitionError, EventSchema

MODELS = {
    Task.BINARY: "logistic_regression",
    Task.MULTICLASS: "hoeffding_tree",
    Task.REGRESSION: "linear_regression",
    Task.ANOMALY: "half_space_trees",
}


def infer(frame: pd.DataFrame, label: str, model: str, *, name: str, **chosen: Any) -> Inferred:
    return infer_from(frame, Choices(label=label, model=model, **chosen), name=name)


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
    assert pipeline == replace(found.pipeline, models=pipeline.models, schema=pipeline.schema)
    for event in records(found.frame, pipeline.event_id):
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
        infer(people, "height", "hoeffding_tree", name="people", task="regression")
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


def test_columns_may_be_chosen(people: pd.DataFrame) -> None:
    """The id, the time, and what is no feature; text may be read as numbers."""
    frame = people.assign(at=["2025-01-01", "2025-01-02", "2025-01-03"], n=["1", "?", "3"])
    chosen = {"event_id": "name", "event_time": "at", "exclude": ["note"], "numeric": ["n"]}
    found = infer(frame, "y", "knn", name="t", **chosen)
    pipeline = found.pipeline
    assert (pipeline.event_id, pipeline.event_time) == ("name", "at")
    assert pipeline.features[0].names == ("age", "height", "is_member", "_1st", "city", "n")
    assert found.kinds["n"] == "number"
    first, second, _ = records(found.frame, "name")
    assert (first["name"], first["at"], first["n"]) == ("ann", 1_735_689_600_000, 1)
    assert second["n"] is None
    assert 'event_time="at"' in found.source


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"exclude": ["z"]}, r"^--exclude must be one of the columns .*; got 'z'$"),
        ({"event_id": "z"}, r"^--id must be one of the columns"),
        ({"event_id": "age"}, r"^--id must be .* without missing cells; got 'age'$"),
        ({"event_id": "_1st"}, r"^--id must be one of"),
        ({"event_time": "city"}, r"^--time must be a column of times; 'city' has 'Bern' in row 1"),
        ({"exclude": ["y"]}, r"^label must be another column than --id"),
    ],
)
def test_choices_that_do_not_fit(
    chosen: dict[str, Any], message: str, people: pd.DataFrame
) -> None:
    """The message names the option."""
    with pytest.raises(DefinitionError, match=message):
        infer(people, "y", "knn", name="t", **chosen)


def test_a_model_of_one_task_decides_the_task() -> None:
    """A regressor is meant for a regression, however few values the label has."""
    frame = pd.DataFrame({"x": [1, 2, 3], "y": [1, 2, 2]})
    assert infer(frame, "y", "linear_regression", name="t").task is Task.REGRESSION
    assert infer(frame, "y", "knn", name="t").task is Task.BINARY


def test_labels_that_mean_true_are_documented() -> None:
    """The schema says which value of the table is true."""
    frame = pd.DataFrame({"x": [1, 2], "y": ["No", "Yes"]})
    found = infer(frame, "y", "knn", name="t")
    assert found.schema["fields"][-1] == {
        "name": "y",
        "type": ["null", "boolean"],
        "default": None,
        "doc": "True is 'Yes'.",
        "positive": "Yes",  # for a replay of the kept pipeline
    }
    assert found.positive == "Yes"


@pytest.mark.parametrize("count", [100, 101, 150])
def test_a_table_of_many_classes_is_learned_whole(count: int) -> None:
    """Where it has more than a pipeline learns by default, the definition says how many."""
    names = [f"class {i}" for i in range(count)] * 2
    frame = pd.DataFrame({"x": range(len(names)), "y": names})
    found = infer_from(frame, Choices(label="y", model="hoeffding_tree"), name="many")
    assert found.pipeline.max_classes == max(count, 100)
    assert (f"\n    max_classes={count},\n" in found.source) == (count > 100)


def test_numbers_must_be_among_the_text_that_is_read_as_numbers() -> None:
    """All of the column would be missing, and the model would not see it."""
    frame = pd.DataFrame({"x": ["$1", "$2"], "e": [None, None], "y": [True, False]})
    for name, message in (("x", r"none, but '\$1' for example. Write"), ("e", "'e' is empty")):
        with pytest.raises(DefinitionError, match=f"--numeric must be .*{message}"):
            infer(frame, "y", "hoeffding_tree", name="t", numeric=[name])


def test_a_column_that_was_perhaps_meant_is_named() -> None:
    """As where blanks are in the header."""
    frame = pd.DataFrame({"x": [1, 2], " y": [True, False]})
    with pytest.raises(DefinitionError, match="Did you mean ' y'"):
        infer(frame, "y", "hoeffding_tree", name="t")


def test_a_long_name_is_cut() -> None:
    """A file may have one that Kafka does not take."""
    frame = pd.DataFrame({"x": [1, 2], "y": [True, False]})
    assert infer(frame, "y", "hoeffding_tree", name="t" * 200).pipeline.name == "t" * 150
