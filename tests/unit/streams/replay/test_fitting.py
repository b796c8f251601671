"""A table fits a pipeline that exists already: as the one that was made from it, for example."""

from __future__ import annotations

import pandas as pd
import pytest

from millrace.streams.replay.fitting import fitted
from millrace.streams.replay.run import replay_in_memory
from millrace.streams.replay.source import Source, define, read_source


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


@pytest.mark.parametrize(
    ("cells", "choices", "note"),
    [
        (("1/2/2025", "13/2/2025"), {"event_time": "x"}, "times in 'x' are from 2025-02-01"),
        (("20250201", "20250202"), {"event_time": "x"}, "times in 'x' are from 2025-02-01"),
        (("1738368000", "1738368060"), {"event_time": "x"}, "times in 'x' are from 2025-02-01"),
        (("?", "2.5"), {"numeric": ["x"]}, "'x' is read as numbers; cells that are none"),
        (("1.5", "2.5"), {"positive": "no"}, ""),
    ],
)
def test_a_pipeline_that_was_made_from_a_table_fits_it(cells, choices, note, tmp_path):
    """What was chosen for the table then holds again, and is said."""
    rows = [f"{cells[i % 2]},{i % 3},{'yes' if i % 3 else 'no'}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["x,a,y", *rows]))
    source = read_source(str(tmp_path / "t.csv"))
    made = define(source, label="y", model="hoeffding_tree", **choices)
    expected = replay_in_memory(Source(made.frame, "t"), made.pipeline, 0)
    fit, positive = fitted(source, made.pipeline, None)
    found = replay_in_memory(fit, made.pipeline, 0)
    assert expected["learned"] == 40
    assert (found["metrics"], found["learned"]) == (expected["metrics"], 40)
    assert positive == made.positive
    assert note in " ".join(fit.notes)


def test_times_and_text_that_cannot_be_read_stay_as_they_are(make_pipeline):
    """Their rows are rejected, one by one."""
    names = {"id": "string", "a": "double", "b": "long", "y": ["null", "boolean"]}
    fields = [{"name": name, "type": kind} for name, kind in names.items()]
    schema = {"type": "record", "name": "T", "fields": fields}
    pipeline = make_pipeline(schema=schema, event_time="b")
    source = Source(pd.DataFrame({"a": ["x", "-"], "b": ["2025-01-01", "never"]}), "t")
    assert fitted(source, pipeline, None) == (source, "")
