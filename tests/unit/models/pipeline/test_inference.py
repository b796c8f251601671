"""A table becomes a pipeline that loads, and events that its schema takes."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.candidates.tasks import Task
from millrace.models.pipeline.inference import (
    field_names,
    free_event_id,
    infer,
    infer_task,
    read_table,
    records,
)
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import DefinitionError, EventSchema

CSV = """name,age,height,is-member,1st,city,note,y
ann,31,1.75,true,0.1,Bern,,1
bob,,1.80,false,0.30000000000000004,Chur,x,0
cid,44,,true,7,Bern,,1
"""
MODELS = {
    Task.BINARY: "logistic_regression",
    Task.MULTICLASS: "hoeffding_tree",
    Task.REGRESSION: "linear_regression",
    Task.ANOMALY: "half_space_trees",
}


@pytest.fixture
def people(tmp_path: Path) -> pd.DataFrame:
    """Return a table with every kind of column and missing cells."""
    path = tmp_path / "people.csv"
    path.write_text(CSV)
    return read_table(path)


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    """Remove the modules that a test loaded from files."""
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if name.startswith("pipeline_"):
            del sys.modules[name]


def test_types_and_missing_cells(people: pd.DataFrame) -> None:
    """Types follow the column; features are nullable where cells are missing, the label always."""
    schema = infer(people, "y", "hoeffding_tree", name="people").schema
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


def test_events_are_plain_values_in_the_tables_order(people: pd.DataFrame) -> None:
    """Integers stay integers beside missing cells, and what is missing is None."""
    first, second, third = records(people, "event_id")
    assert [*first] == [
        "event_id",
        "name",
        "age",
        "height",
        "is_member",
        "_1st",
        "city",
        "note",
        "y",
    ]
    assert [*first.values()] == ["0", "ann", 31, 1.75, True, 0.1, "Bern", None, 1]
    assert (second["event_id"], second["age"], second["note"]) == ("1", None, "x")
    assert (third["event_id"], third["height"]) == ("2", None)
    kinds = [type(each) for each in first.values()]
    assert kinds == [str, str, int, float, bool, float, str, type(None), int]


def test_numbers_are_read_to_the_last_bit(tmp_path: Path) -> None:
    """A decimal becomes the float that Python makes of it, as a plain River loop would see."""
    texts = ["0.30000000000000004", "1.0000000000000002", "8.41e21", "0.056442999999999993"]
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{text},1\n" for text in texts))
    rows = records(read_table(tmp_path / "t.csv"), "event_id")
    assert [row["x"] for row in rows] == [float(text) for text in texts]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "T.CSV"])
def test_every_kind_of_file(name: str, tmp_path: Path, people: pd.DataFrame) -> None:
    """CSV, gzipped CSV and Parquet give the same events."""
    path = tmp_path / name
    if path.suffix == ".parquet":
        people.to_parquet(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(CSV.encode()))
    else:
        path.write_text(CSV)
    assert [*records(read_table(path), "event_id")] == [*records(people, "event_id")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"x", r"requires a \.csv, \.csv\.gz or \.parquet file; got"),
        ("missing.csv", None, "requires a file that exists"),
        ("t.csv", b"", "can be read; got .*EmptyDataError"),
        ("t.csv", b"x,y\n", "requires at least one row"),
        ("t.csv", b"x,y\n1,2\n1,2,3\n", "can be read; got .*ParserError"),
        ("t.csv.gz", b"no gzip", "can be read; got .*BadGzipFile"),
        ("t.parquet", b"no parquet", "can be read; got .*ArrowInvalid"),
    ],
)
def test_files_that_cannot_be_used(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    """A file that is missing, of another kind, empty or broken is one line that says so."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DefinitionError, match=message) as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)


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
    with pytest.raises(DefinitionError, match=r"label requires one of the columns \['name'.*'z'"):
        infer(people, "z", "hoeffding_tree", name="people")
    with pytest.raises(DefinitionError, match=r"hoeffding_tree_regressor.*got 'hoeffding_tree'"):
        infer(people, "height", "hoeffding_tree", name="people")
    with pytest.raises(DefinitionError, match="a column beside the label"):
        infer(people[["y"]], "y", "hoeffding_tree", name="people")


@pytest.mark.parametrize(("name", "given"), [("-_-", "table"), ("Élan 2", "lan-2"), ("a.b", "a-b")])
def test_names_of_pipelines(name: str, given: str, people: pd.DataFrame) -> None:
    """What a topic's prefix cannot hold is replaced."""
    assert infer(people, "y", "hoeffding_tree", name=name).name == given


def test_event_id_is_free_or_the_tables_own() -> None:
    """An id is added under a free name; a column that is the id is left as it is."""
    frame = pd.DataFrame({"event_id": [7, 8], "event_id_": [1, 2], "y": [0, 1]})
    found = infer(frame, "y", "hoeffding_tree", name="t")
    assert found.event_id == "event_id__"
    assert next(records(frame, found.event_id))["event_id__"] == "0"
    assert [event["event_id"] for event in records(frame, "event_id")] == [7, 8]


def test_rows_are_numbered_across_chunks() -> None:
    """Ids go on over the borders of chunks, and whole columns decide types."""
    large = pd.array([1] * 10_001 + [2**63], dtype="UInt64")
    events = [*records(pd.DataFrame({"x": large}), "event_id")]
    assert [event["event_id"] for event in events] == [str(i) for i in range(10_002)]
    assert (events[0]["x"], events[-1]["x"]) == ("1", str(2**63))


def test_times_are_timestamps() -> None:
    """A column of times is a logical timestamp in milliseconds, UTC if it has no zone."""
    times = pd.to_datetime(["1970-01-01T00:00:01.500", None])
    zoned = pd.to_datetime(["1970-01-01T01:00:02+01:00"] * 2)
    frame = pd.DataFrame({"at": times, "zoned": zoned, "y": [0, 1]})
    assert [(e["at"], e["zoned"]) for e in records(frame, "id")] == [(1500, 2000), (None, 2000)]
    schema = infer(frame, "y", "hoeffding_tree", name="t").schema
    assert EventSchema(schema, "y").units_per_ms("at") == 1
    assert schema["fields"][1]["type"][1] == {"type": "long", "logicalType": "timestamp-millis"}


columns = st.lists(st.text(max_size=8), min_size=1, max_size=8, unique=True)


@given(columns)
def test_field_names_are_valid_unique_and_stable(names: list[str]) -> None:
    """Any columns get valid, distinct names; those that are valid keep theirs."""
    fields = field_names(names)
    assert len({*fields}) == len(names)
    for name, field in zip(names, fields, strict=True):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", field)
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            assert field == name
    assert free_event_id(names) not in fields
