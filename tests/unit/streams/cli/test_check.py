"""`millrace check` says what a pipeline file describes, or what is wrong with it."""

from __future__ import annotations

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


def test_a_wrong_file_is_an_error_that_names_the_mistake(write, capsys):
    """A misspelt task is an error that lists the tasks."""
    assert run(["check", write("binery")]) == 2
    err = capsys.readouterr().err
    assert "shop_pipeline.py" in err
    assert "'binary', 'multiclass'" in err
