"""The guard against becoming slower."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench import guard, results


@pytest.fixture
def guarded(tmp_path, runs):
    """Save results, and run the guard against a baseline."""
    results.save(tmp_path / "results", "throughput", "a broker", "generated", runs)
    path = tmp_path / "baseline.json"

    def run(baseline, *more):
        path.write_text(json.dumps(baseline))
        arguments = ["--results", str(tmp_path / "results"), "--baseline", str(path), *more]
        return CliRunner().invoke(guard.main, arguments), path

    return run


def test_it_passes_what_is_within_the_tolerance(guarded):
    """A median of 0.55 is 21 % below 0.7."""
    done, _ = guarded({"full / bare, logistic_regression": 0.7})
    assert done.exit_code == 0, done.output
    assert "All 1 ratios are within 25%" in done.output


def test_the_tolerance_can_be_chosen(guarded):
    """A median of 0.55 is more than 20 % below 0.7."""
    done, _ = guarded({"full / bare, logistic_regression": 0.7}, "--tolerance", "0.2")
    assert done.exit_code == 1


@pytest.mark.parametrize("name", ["full / bare, logistic_regression", "default / bare, any"])
def test_it_fails_what_is_slower_or_missing(guarded, name):
    """So does a ratio of the baseline that was not measured."""
    done, _ = guarded({name: 0.8})
    assert done.exit_code == 1
    assert name in done.output
    assert "0.800" in done.output


def test_it_accepts_a_new_baseline(guarded):
    """With --accept, the results are what later ones are compared with; peers are not guarded."""
    done, path = guarded({}, "--accept")
    assert done.exit_code == 0, done.output
    assert json.loads(path.read_text()) == {"full / bare, logistic_regression": 0.55}


def test_it_says_what_is_missing(tmp_path):
    """Without results, it says how to make them."""
    done = CliRunner().invoke(guard.main, ["--results", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "throughput.json is missing: run `make bench`" in done.output


def test_the_repository_holds_its_own_baseline():
    """The results that are committed pass."""
    done = CliRunner().invoke(guard.main, [])
    assert done.exit_code == 0, done.output
