"""The benchmark runs: in small, on the embedded broker, so that it cannot rot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import results
from bench.__main__ import main

_SMALL = (
    *("--broker", "embedded", "--events", "400", "--rounds", "1", "--load-seconds", "1"),
    *("--model", "logistic_regression", "--share", "0.5", "--no-plot"),
)


def measure(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Run one part in small and return its runs."""
    done = CliRunner().invoke(main, [*arguments, *_SMALL, "--results", str(folder)])
    assert done.exit_code == 0, done.output
    document = results.read(folder, arguments[0])
    assert document is not None
    return document["runs"]


def test_millrace_is_held_against_the_bare_loop(tmp_path):
    """It has seen every event, took time, and was no faster than River alone."""
    bare, full = measure(tmp_path, "throughput", "--contestant", "full")
    assert bare["events_per_second"] > 0
    assert "error" not in full, full
    assert (full["first"], full["last"]) == (200, 400)
    assert 0 < full["ratio_to_bare"] < 1


def test_the_time_of_an_event_is_told_apart(tmp_path):
    """Every operator has its share, and the shares add up to the whole."""
    (run,) = measure(tmp_path, "stages")
    spent = run["microseconds"]
    assert {*spent} == {"ingest", "feature", "prediction", "drift", "to bytes", "between"}
    assert all(each > 0 for each in spent.values())
    assert sum(spent.values()) * 400 / 1e6 == pytest.approx(run["fold_seconds"])


def test_latency_is_measured_under_load(tmp_path):
    """The most that it takes, then a load: every event was seen, and waited."""
    most, load = measure(tmp_path, "latency", "--contestant", "handwritten")
    assert most["events_per_second"] > 0
    assert "error" not in load, load
    assert load["unseen"] == 0
    assert 0 < load["p50_seconds"] <= load["p99_seconds"] <= load["p999_seconds"]


def test_what_the_embedded_broker_cannot_show_is_not_measured(tmp_path):
    """It has four partitions, and its groups cannot be looked at: it is said, not made up."""
    done = CliRunner().invoke(main, ["workers", *_SMALL, "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "workers: not measured, it requires a real Kafka" in done.output
    assert not [*tmp_path.iterdir()]
