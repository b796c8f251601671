"""A report is printed with its metrics, its counts and warnings."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from millrace.models.selection.served import Served
from millrace.streams.replay.summary import print_report


@pytest.fixture
def report():
    return {
        "pipeline": "p",
        "task": "binary",
        "model": "own",
        "scope": "global",
        "chain": "in memory",
        "events": 1_234,
        "predictions": 1_230,
        "rejected": 4,
        "labels": 1_233,
        "learned": 1_200,
        "alerts": 2,
        "metrics": {
            "prior": {"accuracy": 0.5},
            "own": {"accuracy": 0.875, "f1": None},
            "no_change": {"accuracy": 0.25},
        },
        "metrics_combined_from_partitions": 1,
        "throughput_events_per_second": 2_345.6,
        "seconds": 1.25,
        "latency_seconds": {"p50": None, "p99": None},
        "rejects": {"event": {"malformed": 3, "empty": 1}, "label": {"late_label": 33}},
        "first_rejects": {"malformed": "no JSON"},
        "labels_by_fate": {"joined": 1_200},
        "alerts_by_source": {"loss:own": 2},
        "served": served(own=100),
    }


def served(**champions: int) -> Served:
    """Return who served, one after the other, each for how many labels."""
    return {
        "metric": "zero_one",
        "labels": sum(champions.values()),
        "champions": [{"name": name, "labels": each} for name, each in champions.items()],
        "loss": 0.125,
        "candidates": {"own": 0.25, "no_change": 0.5},
    }


@pytest.fixture
def printed(report, make_pipeline):
    """Print the report with some changes; return the lines."""

    def printed(**changes):
        console = Console(file=io.StringIO(), width=200, highlight=False)
        print_report(report | changes, make_pipeline(), console)
        return [
            " ".join(line.replace("│", " ").replace("┃", " ").split())
            for line in console.file.getvalue().splitlines()
        ]

    return printed


def test_candidates_are_rows_and_metrics_are_columns(printed):
    """The champion first, then baselines, each with its role."""
    lines = printed()
    assert lines[0] == "p (binary), prequential over all examples"
    rows = [
        "model accuracy f1",
        "own (champion) 0.8750 -",
        "prior (baseline) 0.5000 -",
        "no_change (baseline) 0.2500 -",
    ]
    places = [lines.index(row) for row in rows]
    assert places == sorted(places)
    assert not any("means over" in line for line in lines)


def test_several_partitions_are_averaged(printed):
    """A note says so."""
    caption = "means over 4 partitions, weighted by examples"
    assert caption in " ".join(printed(metrics_combined_from_partitions=4))


def test_counts_are_lines(printed):
    """Events, labels, alerts and speed, with the reasons of rejects."""
    lines = printed()
    for line in (
        "1,234 events: 1,230 predicted, 4 rejected (malformed 3, empty 1)",
        "1,233 labels: 1,200 learned, 33 rejected (late_label 33)",
        "2 alerts (loss:own 2)",
        "2,346 events/s in 1.2 s (in memory, scope global)",
    ):
        assert line in lines
    assert not any("latency" in line for line in lines)


def test_what_promotion_gained_is_shown(printed):
    """Where more than one has served; baselines are in the table."""
    lines = printed(served=served(own=1_500, other=200))
    assert "served: own for 1,500 labels, then other for 200 labels" in lines
    assert "mean zero_one: 0.1250 as served, 0.2500 with own alone" in lines
    assert not any("served" in line for line in printed())


def test_five_reasons_are_listed_at_most(printed):
    """The most frequent ones, largest first."""
    reasons = {name: count for count, name in enumerate("abcdefg", 1)}
    lines = printed(rejects={"event": reasons, "label": {}}, rejected=28)
    assert "1,234 events: 1,230 predicted, 28 rejected (g 7, f 6, e 5, d 4, c 3)" in lines
    assert "1,233 labels: 1,200 learned, 0 rejected" in lines


def test_a_worker_has_a_latency(printed):
    """Median and 99th percentile, in milliseconds."""
    lines = printed(chain="default", latency_seconds={"p50": 0.02, "p99": 1.5})
    assert any(line.startswith("latency 20 ms (median), 1,500 ms (99th percent") for line in lines)
    assert "2,346 events/s in 1.2 s (chain default, scope global)" in lines


def test_no_warning_without_a_reason(printed):
    """The champion beats the baselines."""
    assert not any("Warning" in line for line in printed())


def test_a_champion_that_does_not_beat_a_baseline_is_a_warning(printed, report):
    """With the metric of both."""
    lines = printed(metrics={**report["metrics"], "prior": {"accuracy": 0.9}})
    expected = "own does not beat the prior baseline: accuracy 0.8750 against 0.9000."
    assert f"Warning: {expected}" in lines


@pytest.mark.parametrize(
    ("chain", "has_reason"),
    [("in memory", False), ("default", False), ("full", False), ("split", True)],
)
def test_a_candidate_without_metrics_is_a_warning(printed, report, chain, has_reason):
    """In a chain with learning apart, predictions may have come before the first model."""
    lines = printed(chain=chain, metrics={**report["metrics"], "own": {}})
    (line,) = (each for each in lines if each.startswith("Warning"))
    assert "own made no prediction that could be evaluated" in line
    assert ("MILLRACE_PUBLISH_SECONDS" in line) is has_reason


def test_nothing_learned_needs_no_warning(printed, report):
    """Without labels nothing can be evaluated."""
    lines = printed(metrics={"own": {}}, learned=0)
    assert not any("Warning" in line for line in lines)


def test_no_time_has_no_speed(printed):
    """An empty table is replayed in no time."""
    assert "0 events/s in 0.0 s (in memory, scope global)" in printed(
        throughput_events_per_second=None, seconds=0.0
    )


@pytest.mark.parametrize(
    ("value", "shown"), [(1.234e-7, "1.23e-07"), (0.0, "0.0000"), (1234.5, "1,234.5000")]
)
def test_small_errors_are_no_zeros(printed, report, value, shown):
    """As where labels are millionths."""
    assert any(
        shown in line for line in printed(metrics={**report["metrics"], "own": {"mae": value}})
    )
