"""`millrace replay` checks its options, replays in memory or through a worker, and reports."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from millrace.models.pipeline.loading import load_pipeline
from millrace.streams.cli import run
from millrace.streams.replay.run import Pace, replay_in_memory


@pytest.fixture
def table(tmp_path, make_rows):
    """Write a table of 60 rows."""
    rows = make_rows("binary", 60)
    lines = ["a,b,kind", *(f"{x['a']},{x['b']},{int(y)}" for x, y in rows)]
    file = tmp_path / "table.csv"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


@pytest.fixture
def replay(capsys):
    """Run the command; return its exit code, output and error."""

    def replay(*arguments):
        code = run(["replay", *map(str, arguments)])
        return (code, *capsys.readouterr())

    return replay


def test_a_table_is_replayed_in_memory(replay, table, tmp_path):
    """By default, with a pipeline made from the table, which may be kept."""
    options = ["--label", "kind", "--model", "alma", "--limit", "50", "--label-delay", "5"]
    kept, file = tmp_path / "kept", tmp_path / "report.json"
    code, out, err = replay(table, *options, "--report", file, "--keep", kept)
    assert (code, err) == (0, "")
    assert "table: 50 rows, 3 columns" in out
    assert "binary, kind is true where it is '1'" in out
    assert "table (binary), prequential over all examples" in out
    assert "remain on" not in out
    report = json.loads(file.read_text())
    counts = {"events": 50, "predictions": 50, "labels": 50, "learned": 50}
    assert counts.items() <= report.items()
    assert report["chain"] == "in memory"
    assert load_pipeline(str(kept / "pipeline.py")).champion == "alma"


def test_the_task_may_be_given(replay, table, tmp_path):
    """In place of the one that follows from the label's values."""
    options = ["--label", "kind", "--model", "gaussian_naive_bayes", "--task", "multiclass"]
    code, out, _ = replay(table, *options)
    assert code == 0
    assert "table (multiclass)" in out


@pytest.fixture
def through(monkeypatch):
    """Replace the replay through a worker by one in memory; return what it is given."""
    given = []

    def replay(source, pipeline, settings, pace, *, on_ready, on_progress):
        given.append((pipeline.name, settings, pace))
        on_ready()
        on_progress(1)
        return {**replay_in_memory(source, pipeline, 0), "pipeline": pipeline.name}

    monkeypatch.setattr("millrace.streams.replay.run.replay_through_worker", replay)
    return given


def test_a_worker_runs_if_it_is_asked_for(replay, table, through, monkeypatch):
    """By --embedded, --chain or --broker, on the command line or in the environment."""
    made = [table, "--label", "kind", "--model", "alma"]
    for option in (["--embedded"], ["--chain", "full"], ["-b", "here:9092"]):
        replay(*made, *option)
    monkeypatch.setenv("MILLRACE_CHAIN", "full")
    replay(*made)
    monkeypatch.setenv("MILLRACE_BROKER", "there:9092")
    replay(*made)
    assert [settings.broker for _, settings, _ in through] == [
        *("embedded", "embedded", "here:9092", "embedded", "there:9092")
    ]
    assert [settings.chain for _, settings, _ in through] == [
        *("default", "full", "default", "full", "full")
    ]
    monkeypatch.delenv("MILLRACE_CHAIN")
    monkeypatch.setenv("MILLRACE_BROKER", "embedded")
    replay(*made)
    assert len(through) == 5


def test_a_worker_gets_the_pipeline_and_the_pace(replay, table, through):
    """Its log is for errors only, which the command shows."""
    options = ["--label", "kind", "--model", "alma", "--label-delay", "7", "--rate", "50"]
    replay(table, *options, "--embedded")
    ((name, settings, pace),) = through
    assert (name, settings.pipeline_name) == ("table", "table")
    assert settings.pipeline.endswith("pipeline.py:pipeline")
    assert pace == Pace(label_delay=7, rate=50.0)
    assert (settings.log_level, settings.log_format) == ("warning", "json")


def test_topics_on_a_broker_have_a_name_of_their_own_and_remain(replay, table, through):
    """Unless the name is set."""
    made = [table, "--label", "kind", "--model", "alma", "-b", "here:9092"]
    _, out, _ = replay(*made)
    name = through[0][0]
    assert name.startswith("table-replay-20")
    assert f"The topics {name}.* remain on here:9092." in out


def test_a_broker_with_topics_of_sources_is_refused(replay, table, through, tmp_path):
    """What is on them would be taken for rows of the table."""
    replay(table, "--label", "kind", "--model", "alma", "--keep", tmp_path / "kept")
    (definition,) = (tmp_path / "kept").glob("*.py")
    text = definition.read_text().replace("import Pipeline", "import Pipeline, Source")
    definition.write_text(
        text.replace("(\n    name=", '(\n    events=[Source("rows")],\n    name=')
    )
    code, _, err = replay(table, "-p", definition, "-b", "here:9092")
    assert (code, through) == (2, [])
    assert "--broker must be left out where the pipeline reads topics of its own" in err
    replay(table, "-p", definition, "--embedded")
    assert len(through) == 1


def test_topics_on_a_broker_may_be_named(replay, table, through, monkeypatch):
    """By the setting `pipeline_name`."""
    monkeypatch.setenv("MILLRACE_PIPELINE_NAME", "mine")
    replay(table, "--label", "kind", "--model", "alma", "-b", "here:9092")
    assert through[0][0] == "mine"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--report", "no/folder/r.json"], "--report must be in a folder that exists; got 'no/f"),
        (["--rate", "5"], "--rate must be used with --embedded, --chain or --broker"),
        (["--label", "kind"], "no pipeline: add --pipeline, or --label and --model"),
        (["-p", "no/such.py"], "'no/such.py'"),
        (
            ["-p", "millrace.models.pipelines.phishing", "--keep", "kept"],
            "--keep must be used with --label and --model; got a pipeline",
        ),
        (
            ["-p", "millrace.models.pipelines.phishing", "--label", "kind"],
            "--pipeline has its own --label: leave out one or the other",
        ),
        (["--label", "kind", "--model", "alma", "--id", "z"], "--id must be one of the columns"),
        (["--label", "kind", "--model", "alma", "--positive", "7"], "--positive must be one of"),
    ],
)
def test_options_that_do_not_fit_are_errors(replay, table, options, error):
    """One line, exit code 2, nothing written."""
    code, out, err = replay(table, *options)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert error in err


def test_a_pipeline_is_checked_before_the_table_is_read(replay, monkeypatch):
    """Reading a large table takes long."""
    monkeypatch.setattr(
        "millrace.streams.replay.source.read_source", lambda _: pytest.fail("read it")
    )
    assert replay("table.csv", "-p", "no/such.py")[0] == 2


def test_a_label_that_is_left_out_is_explained(replay, tmp_path):
    """The note about its column comes before the error."""
    pd.DataFrame({"a": [1, 2], "y": [b"x", b"y"]}).to_parquet(tmp_path / "t.parquet")
    code, out, err = replay(tmp_path / "t.parquet", "--label", "y", "--model", "alma")
    assert code == 2
    assert "Note: The column 'y' is left out: it holds bytes" in out
    assert "label must be one of the columns ['a']; got 'y'" in err
