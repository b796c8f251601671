"""`millrace check` says what a pipeline file describes, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.streams.cli import run

_FILE = """
from millrace import DriftSettings, Pipeline, catalogue, derived, fields

pipeline = Pipeline(
    name="shop",
    schema={{"type": "record", "name": "Order", "fields": [
        {{"name": "id", "type": "string"}},
        {{"name": "customer", "type": "string"}},
        {{"name": "price", "type": "double"}},
        {{"name": "is_fraud", "type": ["null", "boolean"], "default": None}},
    ]}},
    event_id="id", key="customer", label="is_fraud", task="{task}", scope="key",
    models={{"alma": catalogue.alma, "knn": catalogue.knn}},
    features=[fields("price"), derived("is_dear", lambda order: order["price"] > 100)],
    drift=DriftSettings(inputs={{"price": "kswin"}}, predictions=None, policy="reset"),
)
"""


@pytest.fixture
def write(tmp_path):
    def write(task="binary"):
        file = tmp_path / "shop_pipeline.py"
        file.write_text(_FILE.format(task=task))
        return str(file)

    return write


def test_a_valid_file_is_summarized(write, capsys):
    """Task, models, features, roles, drift and topics are shown."""
    assert run(["check", write()]) == 0
    out = capsys.readouterr().out
    rows = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    for row in (
        "task binary",
        "champion alma, whose predictions are published",
        "challengers knn",
        "features price, is_dear",
        "scope key, by the field customer",
        "drift loss adwin, inputs (price kswin); policy reset",
        "customer string key",
        "price double feature",
        "is_fraud null or boolean label",
        "shop.events you produce delete Events, in your own schema.",
        "shop.predictions you consume delete A prediction for each event.",
        "shop.state.prediction-learning internal compact State of prediction-learning.",
    ):
        assert row in rows, row


def test_the_topics_follow_the_chain(write, capsys):
    """Another chain has other agents, which have other topics for their state."""
    assert run(["check", write(), "--chain", "split"]) == 0
    out = capsys.readouterr().out
    assert "shop.state.learning" in out
    assert "shop.state.prediction-learning" not in out


def test_the_memory_that_a_rate_needs(write, capsys):
    """It is of one partition and of all, with a warning where the limits do not hold it."""
    assert run(["check", write(), "--rate", "4"]) == 0
    out = capsys.readouterr().out
    rows = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert "events that wait 604,800 on each of 4 partitions, if no label comes before" in rows
    assert "the limits hold 100,000 events a partition" in rows
    assert "limit=604_800" in out
    assert run(["check", write(), "--rate", "0"]) == 2
    assert run(["check", write(), "--rate", "4", "--describe"]) == 2


def test_a_wrong_file_is_an_error_that_names_the_mistake(write, capsys):
    """A misspelt task is an error that lists the tasks."""
    assert run(["check", write("binery")]) == 2
    err = capsys.readouterr().err
    assert "shop_pipeline.py" in err
    assert "'binary', 'multiclass'" in err


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = = 1", "SyntaxError"),
        ("import no_such_module_of_mine", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "must not end the process"),
        ("import sys; sys.exit('bye')", "must not end the process"),
        ("class E(BaseException): pass\nraise E('a\\nb\\udcff')", "E: a b\\udcff"),
        (
            "class E(Exception):\n    def __str__(self): raise ValueError('no')\nraise E",
            "cannot be shown",
        ),
        ("def f(): f()\nf()", "RecursionError"),
        ("from millrace import load_pipeline\nload_pipeline(__file__)", "does not load itself"),
        ("", "the pipelines of the module are []"),
        ("pipeline = 5", "'pipeline' is of type int"),
        ("def __getattr__(name): raise KeyError(name)", "KeyError"),
        ("from millrace import Pipeline\npipeline = Pipeline", "is of type type"),
        ("from millrace import Pipeline\npipeline = Pipeline(nme='a')", "Did you mean 'name'?"),
        ("from millrace import rolling\nrolling('a', 'sum', window=3600)", "must be a timedelta"),
        ("\x00", "null bytes"),
        ("# -*- coding: no-such -*-\nx = 'ä'", "SyntaxError"),
        ("raise KeyboardInterrupt", ""),
    ],
)
def test_whatever_is_in_the_file_is_one_line(source, says, tmp_path, capsys):
    """An error, never a traceback; only Ctrl-C is no error."""
    file = tmp_path / "odd_pipeline.py"
    file.write_text(source)
    assert run(["check", str(file)]) == (2 if says else 130)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert says in error
    assert not says or error.startswith(f"Error: {file}") or "pipeline must name" in error


def test_of_two_pipelines_one_must_be_named(write, capsys):
    """The message lists them, and how to name one."""
    file = write()
    source = _FILE.format(task="binary").replace("pipeline =", "one =", 1)
    Path(file).write_text(source + "\ntwo = one.with_name('two')\n")
    assert run(["check", file]) == 2
    error = capsys.readouterr().err
    assert f"the pipelines of the module are ['one', 'two']. Name one of them: {file}:one" in error
    assert run(["check", f"{file}:two"]) == 0
    assert "two is a valid pipeline." in capsys.readouterr().out


def test_a_model_that_cannot_be_saved_is_an_error(write, capsys):
    """It would fail at the first flush."""
    file = write()
    model = "lambda: compose.FuncTransformer(lambda x: x) | catalogue.alma()"
    source = _FILE.format(task="binary").replace("catalogue.alma,", f"{model},")
    Path(file).write_text(f"from river import compose\n{source}")
    assert run(["check", file]) == 2
    assert "Error: models['alma'].steps['<lambda>'].func must be" in capsys.readouterr().err


def test_what_raises_on_made_up_events_is_a_warning(write, capsys):
    """And so is the seed of a model that had none said, once."""
    file = write()
    source = _FILE.format(task="binary").replace("> 100", "/ 0")
    source = source.replace("catalogue.alma,", "forest.ARFClassifier,")
    Path(file).write_text(f"from river import forest\n{source}")
    assert run(["check", file]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Warning: the feature 'is_dear' raised" in out
    assert out.count("models['alma'].seed = ") == 1
    assert "shop is a valid pipeline." in out


def test_limits_that_contradict_each_other(tmp_path, capsys):
    """They are warnings: the pipeline is valid."""
    file = tmp_path / "shop_pipeline.py"
    text = _FILE.format(task="binary").replace("import Drift", "import Pending, Drift")
    pending = "pending=Pending(ttl=timedelta(hours=1)),"
    text = text.replace('name="shop",', f'name="shop", {pending}', 1)
    file.write_text(f"from datetime import timedelta\n{text}")
    assert run(["check", str(file)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Warning: max_ahead should be below pending.ttl (1:00:00)" in out
    assert "shop is a valid pipeline." in out


def test_sources_are_among_the_topics(tmp_path, capsys, monkeypatch):
    """Each has its name here, and the form of its records; a name of none is warned of."""
    file = tmp_path / "attached.py"
    file.write_text(
        "from datetime import timedelta\n"
        "from river.naive_bayes import GaussianNB\n"
        "from millrace import LabelDefault, LabelSource, Pipeline, Source\n"
        "fields = [{'name': 'id', 'type': 'string'}, {'name': 'x', 'type': 'double'}]\n"
        "pipeline = Pipeline(name='p', event_id='id', task='binary', models={'a': GaussianNB},\n"
        "    schema={'type': 'record', 'name': 'E', 'fields': fields},\n"
        "    events=[Source('rows', envelope='debezium'),\n"
        "        Source('more', decode=lambda v, h: {}),\n"
        "        Source('both', envelope='debezium'), Source('odd', decode=lambda v, h: {})],\n"
        "    labels=[LabelSource('verdicts', event_id='id', label='y'),\n"
        "        LabelSource('both', event_id='id', label='y', envelope='debezium'),\n"
        "        LabelSource('odd', event_id='id', label='y')],\n"
        "    label_default=LabelDefault(False, after=timedelta(days=30)))\n"
    )
    assert run(["check", str(file)]) == 0
    out = capsys.readouterr().out
    rows = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert "rows you produce Events: debezium." in rows
    assert "more you produce Events: decoded by your code." in rows
    assert "verdicts you produce Labels: plain." in rows
    assert "both you produce Events and labels: debezium." in rows
    assert "odd you produce Events and labels: decoded by your code and plain." in rows
    assert any(row.endswith("each for 30 days, and then is False") for row in rows)
    monkeypatch.setenv("MILLRACE_TOPICS", "rows=there,row=nowhere")
    assert run(["check", str(file)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "got ['row'], which changes nothing." in out


@pytest.mark.parametrize(
    ("scope", "chain", "is_warned"),
    [("partition", "full", True), ("global", "full", False), ("partition", "default", False)],
)
def test_producers_that_choose_partitions_are_warned_of(
    tmp_path, capsys, monkeypatch, scope, chain, is_warned
):
    """Where ingest routes nothing, events and labels of others may never meet."""
    file = tmp_path / f"apart_{scope}_{chain}.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from millrace import LabelSource\n"
        "from millrace.models.pipelines.loans import pipeline\n"
        "verdicts = LabelSource('verdicts', event_id='id', label='y', key='key')\n"
        f"pipeline = replace(pipeline, scope={scope!r}, labels=[verdicts])\n"
    )
    monkeypatch.setenv("MILLRACE_TOPICS", "verdict=there")
    assert run(["check", str(file), "--chain", chain]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert ("must send the events and labels of one" in out) is is_warned
    assert "verdict: did you mean verdicts?" in out
