"""The benchmark runs: in small, on the embedded broker, so that it cannot rot."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import results
from bench.__main__ import main

_SMALL = (
    *("--broker", "embedded", "--events", "400", "--rounds", "1", "--load-seconds", "1"),
    *("--model", "logistic_regression", "--no-plot"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run what needs no real Kafka, once, and give the folder of its results."""
    folder = tmp_path_factory.mktemp("results")
    chosen = ["--contestant", "full", "--contestant", "handwritten"]
    arguments = ["throughput", "latency", "workers", *chosen, *_SMALL, "--results", str(folder)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "workers: not measured, it requires a real Kafka" in done.output
    return folder


def test_every_contestant_is_held_against_the_bare_loop(folder):
    """Each has seen every event, took time and processor, and was no faster than River alone."""
    document = results.read(folder, "throughput")
    assert document is not None
    by_name = {run["contestant"]: run for run in document["runs"]}
    assert set(by_name) == {"bare", "full", "handwritten"}
    for name in ("full", "handwritten"):
        run = by_name[name]
        assert "error" not in run, run
        assert (run["first"], run["last"]) == (200, 400)
        assert 0 < run["ratio_to_bare"] < 1


def test_latency_is_measured_under_each_load(folder):
    """Three loads of each contestant, and every event was seen."""
    document = results.read(folder, "latency")
    assert document is not None
    loads = [run for run in document["runs"] if run["share"] < 1]
    assert len(loads) == 6
    for run in loads:
        assert "error" not in run, run
        assert run["unseen"] == 0
        assert 0 < run["p50_seconds"] <= run["p99_seconds"] <= run["p999_seconds"]
