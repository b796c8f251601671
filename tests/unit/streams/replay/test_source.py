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


def test_a_limit_takes_the_first_rows(table):
    """Without a limit, all rows are taken."""
    assert len([*table.head(2).events("event_id")]) == 2
    assert table.head(None) is table


@pytest.mark.parametrize("name", ["ImageSegments", "image_segments"])
def test_a_bundled_set_knows_its_label_and_pipeline(name, tmp_path):
    """A data set of River needs no options if Millrace has a pipeline for it."""
    source = read_source(name)
    assert (source.label, source.task) == ("category", Task.MULTICLASS)
    assert load_pipeline(define(source, tmp_path)).name == "image_segments"


def test_a_source_that_is_neither_is_an_error():
    """The message lists the data sets."""
    with pytest.raises(DefinitionError, match="Phishing"):
        read_source("phising")
    with pytest.raises(DefinitionError, match="exists"):
        read_source("no/such/file.csv")


def test_a_pipeline_is_inferred_and_written(table, tmp_path):
    """Label and model are enough; the definition is written to the folder."""
    folder = tmp_path / "kept"
    pipeline = load_pipeline(define(table, folder, label="is_big", model="hoeffding_tree"))
    assert (pipeline.name, pipeline.champion) == ("my-table", "hoeffding_tree")
    assert {each.name for each in folder.iterdir()} >= {"pipeline.py", "event.avsc"}


def test_a_bundled_set_has_a_label_of_its_own(tmp_path):
    """With --model alone, River's label and task are used."""
    source = read_source("Phishing")
    pipeline = load_pipeline(define(source, tmp_path, model="alma"))
    assert (pipeline.champion, pipeline.label) == ("alma", "is_phishing")


def test_too_little_is_an_error_that_lists_the_columns(table, tmp_path):
    """Without a pipeline, a file needs a label and a model."""
    with pytest.raises(
        SettingsError,
        match=r"--label and --model.*'size', 'is_big'.*got --label is_big, --model None",
    ):
        define(table, tmp_path, label="is_big")


def test_too_much_is_an_error(table, tmp_path):
    """A pipeline has its own label, so another one is a mistake."""
    with pytest.raises(SettingsError, match="cannot be combined with --pipeline"):
        define(table, tmp_path, pipeline="p.py", label="is_big")
