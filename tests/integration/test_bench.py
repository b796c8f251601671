"""The benchmark runs: small, on the embedded broker, so that it cannot rot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.results import Result

_SMALL = (
    *("--broker", "embedded", "--events", "400", "--rounds", "1", "--load-seconds", "1"),
    *("--model", "logistic_regression", "--share", "0.5", "--no-plot"),
)


def measure(folder: Path, part: str, *arguments: str) -> list[Result]:
    """Run one part and return its runs."""
    done = CliRunner().invoke(main, [part, *arguments, *_SMALL, "--results", str(folder)])
    assert done.exit_code == 0, done.output
    runs: list[Result] = json.loads((folder / f"{part}.json").read_text())["runs"]
    return runs


def test_millrace_is_compared_with_the_bare_loop(tmp_path):
    """It predicts every event, takes time, and is no faster than River alone."""
    bare, full = measure(tmp_path, "throughput", "--contestant", "full")
    assert bare["events_per_second"] > 0
    assert "error" not in full, full
    assert (full["first"], full["last"]) == (200, 400)
    assert 0 < full["ratio_to_bare"] < 1 == bare["ratio_to_bare"]


def test_the_time_of_an_event_is_divided_among_operators(tmp_path):
    """Every operator has its share, and the shares add up to the whole."""
    (run,) = measure(tmp_path, "stages")
    spent = run["microseconds"]
    assert {*spent} == {"ingest", "feature", "prediction", "drift", "encoding", "between"}
    assert all(each > 0 for each in spent.values())
    assert sum(spent.values()) * 400 / 1e6 == pytest.approx(run["fold_seconds"])


@pytest.mark.platform
def test_latency_is_measured_under_load(tmp_path):
    """After the maximum rate, a load: every event is predicted, and waits."""
    maximum, load = measure(tmp_path, "latency", "--contestant", "handwritten")
    assert maximum["events_per_second"] > 0
    assert "error" not in load, load
    assert load["unseen"] == 0
    assert load["rate"] == maximum["sustained_per_second"] / 2
    assert 0 < load["p50_seconds"] <= load["p99_seconds"] <= load["p999_seconds"]


def test_what_needs_a_real_kafka_is_not_measured_without(tmp_path):
    """The embedded broker has four partitions, and its groups cannot be described."""
    done = CliRunner().invoke(main, ["workers", *_SMALL, "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "workers: not measured, it needs a real Kafka" in done.output
    assert not [*tmp_path.iterdir()]
