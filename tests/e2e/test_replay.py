"""`millrace replay` as a user runs it, compared with River on the same rows."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections import defaultdict, deque
from random import Random

import pytest
from river import evaluate, metrics

from millrace import catalogue
from millrace.models.pipeline.loading import load_pipeline

_LIMIT_SECONDS = 120

_BY_SHOP = """
from millrace import DriftSettings, Pipeline, catalogue

pipeline = Pipeline(
    name="orders",
    schema={"type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "string"},
        {"name": "shop", "type": "string"},
        {"name": "price", "type": "double"},
        {"name": "items", "type": ["null", "long"], "default": None},
        {"name": "is_late", "type": "boolean"},
    ]},
    event_id="id", key="shop", label="is_late", task="binary", scope="key",
    models={"hoeffding_tree": catalogue.hoeffding_tree},
    drift=DriftSettings(loss=None, inputs=None, predictions=None),
)
"""


def _replay(*arguments):
    command = [sys.executable, "-m", "millrace.streams.cli", "replay", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
    )


def _write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)


def _people(n):
    """Return rows with numbers, text and missing cells, and a label that depends on them."""
    random = Random(7)
    for _ in range(n):
        color = random.choice(["red", "green", "blue", None])
        size = random.choice([random.randint(0, 9), None])
        is_a = color == "red" or (size or 0) > 6 or random.random() < 0.05
        weight = random.choice([random.gauss(float(is_a), 0.5), None])
        yield {"eye color": color, "size": size, "weight": weight, "kind": "a" if is_a else "b"}


def test_an_inferred_pipeline_scores_as_river_does(tmp_path):
    """Text, missing cells, delayed labels, four agents: River's score, to the last digit."""
    rows, delay = [*_people(700)], 50
    _write(tmp_path / "people.csv", rows)
    done = _replay(
        *(tmp_path / "people.csv", "--label", "kind", "--model", "logistic_regression"),
        *("--task", "multiclass", "--limit", 600, "--label-delay", delay, "--chain", "default"),
        *("--report", tmp_path / "r.json", "--keep", tmp_path / "kept"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "r.json").read_text())

    def features(row):
        named = {"eye_color": row["eye color"], "size": row["size"], "weight": row["weight"]}
        return {name: value for name, value in named.items() if value is not None}

    dataset = [(features(row), row["kind"]) for row in rows[:600]]
    model = catalogue.factory("logistic_regression", "multiclass", numeric=False)()
    expected = evaluate.progressive_val_score(
        dataset, model, metrics.Accuracy() + metrics.MacroF1() + metrics.CohenKappa(), delay=delay
    )
    measured = report["metrics"]["logistic_regression"]
    assert [*measured] == ["accuracy", "macro_f1", "cohen_kappa"]
    assert [*measured.values()] == pytest.approx(expected.get(), rel=0, abs=1e-12)
    assert measured["accuracy"] > report["metrics"]["prior"]["accuracy"]

    counts = {"events": 600, "predictions": 600, "learned": 600, "labels": 600, "rejected": 0}
    assert counts.items() <= report.items()
    assert report["labels_by_fate"] == {"joined": 600}
    assert (report["model"], report["scope"]) == ("logistic_regression", "global")
    assert report["throughput_events_per_second"] == pytest.approx(600 / report["seconds"])
    assert 0 < report["latency_seconds"]["p50"] <= report["latency_seconds"]["p99"]
    assert "600 events: 600 predicted, 0 rejected" in done.stdout
    assert "logistic_regression (champion)" in done.stdout
    assert load_pipeline(str(tmp_path / "kept" / "pipeline.py")).name == "people"


def test_in_memory_equals_a_worker(tmp_path):
    """By default no worker runs, and the report is the same except for the times."""
    _write(tmp_path / "people.csv", [*_people(400)])
    reports = []
    for number, how in enumerate(([], ["--chain", "default"])):
        done = _replay(
            *(tmp_path / "people.csv", "--label", "kind", "--model", "hoeffding_tree"),
            *("--label-delay", 30, "--report", tmp_path / f"{number}.json", *how),
        )
        assert (done.returncode, done.stderr) == (0, "")
        reports.append(json.loads((tmp_path / f"{number}.json").read_text()))
    assert reports[0]["latency_seconds"] == {"p50": None, "p99": None}
    for report in reports:
        for name in ("chain", "seconds", "throughput_events_per_second", "latency_seconds"):
            del report[name]
    assert reports[0] == reports[1]


def _is_event(row):
    return math.isfinite(row["price"]) and row["items"] != 2.5


def _reference(rows, delay):
    """Return the accuracy of one River tree per shop, labels `delay` events late."""
    models = defaultdict(catalogue.hoeffding_tree)
    accuracy, waiting = metrics.Accuracy(), deque()

    def learn(x, y, shop, predicted):
        if predicted is not None:
            accuracy.update(y, predicted)
        models[shop].learn_one(x, y)

    for row in rows:
        if len(waiting) == delay:
            learn(*waiting.popleft()) if waiting[0] else waiting.popleft()
        x = {name: row[name] for name in ("price", "items") if row[name] is not None}
        predicted = models[row["shop"]].predict_one(x) if _is_event(row) else None
        waiting.append((x, row["is_late"], row["shop"], predicted) if _is_event(row) else None)
    for late in filter(None, waiting):
        learn(*late)
    return accuracy.get()


def test_models_by_key_over_four_partitions_score_as_river_does(tmp_path):
    """One agent, four partitions, a model per key; rows that are not events are rejected."""
    random = Random(3)
    rows = []
    for number in range(600):
        shop, price = random.choice("abcdef"), random.uniform(0, 100)
        items = random.choice([random.randint(1, 5), None])
        is_late = price > {"a": 20.0, "b": 80.0}.get(shop, 50.0)
        row = {"id": number, "shop": shop, "price": price, "items": items, "is_late": is_late}
        rows.append(row)
    rows[100]["price"] = math.inf
    rows[300]["items"] = 2.5
    _write(tmp_path / "orders.csv", rows)
    (tmp_path / "orders_pipeline.py").write_text(_BY_SHOP)
    done = _replay(
        *(tmp_path / "orders.csv", "--pipeline", tmp_path / "orders_pipeline.py"),
        *("--label-delay", 20, "--chain", "full", "--report", tmp_path / "r.json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "r.json").read_text())
    measured = report["metrics"]["hoeffding_tree"]["accuracy"]
    assert measured == pytest.approx(_reference(rows, 20), rel=0, abs=1e-12)
    counts = {"events": 600, "predictions": 598, "rejected": 2, "labels": 600, "learned": 598}
    assert counts.items() <= report.items()
    assert report["rejects"] == {"event": {"ill_typed_field": 1, "not_finite": 1}, "label": {}}
    assert report["labels_by_fate"] == {"early": 2, "joined": 598}
    assert report["metrics_combined_from_partitions"] > 1
    assert "means over" in done.stdout


def test_a_worker_that_cannot_start_is_an_error(tmp_path):
    """A pipeline that only loads here: the error of the worker, one line, exit code 2."""
    (tmp_path / "odd_pipeline.py").write_text(
        "import sys\n"
        "assert 'worker' not in sys.argv, 'not in a worker'\n"
        "from millrace.models.pipelines.phishing import pipeline\n"
    )
    done = _replay("Phishing", "--embedded", "--pipeline", tmp_path / "odd_pipeline.py")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: the worker ended with exit code 2: ")
    assert "not in a worker" in done.stderr
    assert done.stderr.count("\n") == 1
