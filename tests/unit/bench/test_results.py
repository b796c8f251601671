"""What is kept of a benchmark, and what is made of it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench import guard, results, table
from bench.parts import PARTS
from bench.parts.throughput import seconds_between
from bench.targets import Target


def run_of(contestant, number, ratio, **more):
    """Return a run as `throughput` gives it."""
    return {
        "contestant": contestant,
        "model": "logistic_regression",
        "round": number,
        "events_per_second": ratio * 1000,
        "cpu_seconds_per_million": 20.0,
        "peak_rss_bytes": 100_000_000,
        "ratio_to_bare": ratio,
        **more,
    }


RUNS = [
    run_of("full", 0, 0.5),
    run_of("bytewax", 0, 0.4),
    run_of("full", 1, 0.6),
    run_of("bytewax", 1, 0.2),
    {"contestant": "quix", "model": "logistic_regression", "round": 1, "error": "no wheel"},
]


def save(folder, runs, append=False):
    results.save(folder, "throughput", "a broker", "made-up", runs, append)
    document = results.read(folder, "throughput")
    assert document is not None
    return document


def test_appended_rounds_are_rounds_of_their_own(tmp_path):
    """A ratio is one of a round, so later runs must not be taken for earlier ones."""
    save(tmp_path, RUNS[:2])
    document = save(tmp_path, RUNS[:2], append=True)
    assert [run["round"] for run in document["runs"]] == [0, 0, 1, 1]
    assert len(save(tmp_path, RUNS[:2])["runs"]) == 2


def test_results_do_not_name_the_machine(tmp_path):
    """What is published says what kind of machine it was, and no more."""
    assert set(save(tmp_path, RUNS)["machine"]) == {"cpus", "architecture", "system", "python"}


def test_a_target_is_held_against_each_round():
    """The ratio of medians is not the median of ratios."""
    target = Target("full", "bytewax", "logistic_regression", 1.0)
    assert target.measured(RUNS) == [pytest.approx(1.25), pytest.approx(3.0)]
    assert Target("full", "bare", "logistic_regression", 1.0).measured(RUNS) == [0.5, 0.6]


def test_a_table_shows_what_was_and_what_was_not_measured(tmp_path):
    """A contestant that could not be installed is not passed over in silence."""
    measured, ratios, failed = table.tables(save(tmp_path, RUNS))
    assert [row[0] for row in measured.rows] == ["Millrace full, at least once", "Bytewax"]
    assert measured.rows[0][2] == "0.550 (0.500 to 0.600)"
    assert ["full / bytewax, logistic_regression", "2.12 (1.25 to 3.00)", "1"] in ratios.rows
    assert failed.rows == [["quix, model logistic_regression", "no wheel"]]


def test_every_part_has_a_table():
    """What can be measured can be shown."""
    assert set(table._TABLES) == set(PARTS)


def test_the_bare_loop_is_held_against_the_same_events():
    """A contestant that stopped early is not compared with events that it never saw."""
    marks = [0.0, 1.0, 4.0]
    assert seconds_between(marks, 0, 250) == 1.0
    assert seconds_between(marks, 250, 500) == 3.0
    assert seconds_between(marks, 125, 10_000) == 3.5


def guarded(tmp_path, baseline, *more):
    save(tmp_path, RUNS)
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(baseline))
    arguments = ["--results", str(tmp_path), "--baseline", str(path), *more]
    return CliRunner().invoke(guard.main, arguments), path


def test_the_guard_lets_through_what_is_within_the_tolerance(tmp_path):
    """A median of 0.55 against 0.7 is 21 % less."""
    done, _ = guarded(tmp_path, {"full / bare, logistic_regression": 0.7})
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", ["full / bare, logistic_regression", "default / bare, any"])
def test_the_guard_stops_what_has_become_slower_or_is_gone(tmp_path, name):
    """So does a ratio that the baseline has and nobody measured."""
    done, _ = guarded(tmp_path, {name: 0.8})
    assert done.exit_code == 1
    assert name in done.output


def test_the_guard_takes_a_new_baseline(tmp_path):
    """With --accept, what is measured is what the next one is held against."""
    done, path = guarded(tmp_path, {}, "--accept")
    assert done.exit_code == 0, done.output
    assert json.loads(path.read_text()) == {"full / bare, logistic_regression": 0.55}
