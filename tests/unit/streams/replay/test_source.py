"""A source is a file or a data set of River; its pipeline is given, shipped or inferred."""

from __future__ import annotations

import pytest

from millrace.models.pipeline.loading import load_pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError, SettingsError
from millrace.streams.replay.source import define, read_source


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "my table.v2.csv"
    file.write_text("size,is_big\n1.5,0\n2.5,1\n3.5,1\n")
    return read_source(str(file))


def test_a_file_is_read_in_its_order(table):
    """One event per row, with an id; a pipeline made from it has the file's name."""
    assert table.name == "my table"
    assert [*table.events("event_id")][1] == {"event_id": "1", "size": 2.5, "is_big": 1}


def test_a_limit_takes_the_first_rows(tmp_path):
    """Of a file, and of a data set of River."""
    (tmp_path / "t.csv").write_text("a\n1\n2\nTotal\n")
    assert read_source(str(tmp_path / "t.csv"), 2).frame["a"].tolist() == [1, 2]
    assert len(read_source("Phishing", 2).frame) == 2


@pytest.mark.parametrize("name", ["ImageSegments", "image_segments"])
def test_a_bundled_set_knows_its_label_and_pipeline(name):
    """A data set of River needs no options if Millrace has a pipeline for it."""
    source = read_source(name)
    assert (source.label, source.task) == ("category", Task.MULTICLASS)
    assert load_pipeline(source.shipped).name == "image_segments"


def test_a_source_that_is_neither_is_an_error():
    """The message lists the data sets."""
    with pytest.raises(DefinitionError, match="Phishing"):
        read_source("phising")
    with pytest.raises(DefinitionError, match="exists"):
        read_source("no/such/file.csv")


def test_a_pipeline_is_inferred(table):
    """Label and model are enough."""
    found = define(table, label="is_big", model="hoeffding_tree")
    assert (found.pipeline.name, found.pipeline.champion) == ("my-table", "hoeffding_tree")


def test_a_bundled_set_has_a_label_of_its_own():
    """With --model alone, River's label and task are used."""
    pipeline = define(read_source("Phishing"), label=None, model="alma").pipeline
    assert (pipeline.champion, pipeline.label) == ("alma", "is_phishing")


def test_too_little_is_an_error_that_lists_the_columns(table):
    """Without a pipeline, a file needs a label and a model."""
    with pytest.raises(
        SettingsError,
        match=r"--label and --model.*'size', 'is_big'.*got --label is_big, --model None",
    ):
        define(table, label="is_big", model=None)
