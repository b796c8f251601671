"""A source is a file or a data set of River; its pipeline is given, shipped or inferred."""

from __future__ import annotations

import pandas as pd
import pytest

from millrace.models.pipeline.loading import load_pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError, SettingsError
from millrace.streams.replay.source import Source, define, fitted, read_source


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


def test_labels_of_a_table_fit_a_pipeline_of_ones_own(make_pipeline):
    """Two values are false and true where the pipeline has booleans; other columns stay."""
    source = Source(pd.DataFrame({"a": [1.0, 2.0], "y": ["no", "yes"]}), "t")
    fit, positive = fitted(source, make_pipeline(), None)
    assert fit.frame.to_dict("list") == {"a": [1.0, 2.0], "y": [False, True]}
    assert positive == "yes"
    assert fitted(source, make_pipeline(), "no")[0].frame["y"].tolist() == [True, False]


def test_a_table_without_the_label_is_left_as_it_is(make_pipeline):
    """Its labels may come from somewhere else."""
    source = Source(pd.DataFrame({"a": [1.0]}), "t")
    assert fitted(source, make_pipeline(), None) == (source, "")
