"""Tables that the view and the summary have in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console
from rich.table import Table

from millrace.schemas.records import Alert
from millrace.streams.demo.state import DemoState
from millrace.streams.demo.tables import accuracy_table, alert_cells, alert_table, counts
from millrace.streams.observability import names
from millrace.streams.observability.scraping import Samples


def draw(table: Table, width: int = 78) -> list[str]:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def accuracies(state: DemoState, width: int = 78) -> list[str]:
    numbers = {"last 500": state.rolling.get, "overall": state.overall.get}
    return draw(accuracy_table(state, numbers, width), width)


def test_candidates_stand_beside_baselines(finished: DemoState) -> None:
    """The champion is marked, baselines are named so, unknown numbers are a dash."""
    rows = accuracies(finished)
    assert rows[0].split("  ")[0] == "accuracy"
    assert rows[0].endswith("over time, 40% to 100%")
    assert rows[1].split()[:6] == ["hoeffding_tree", "★", "97.0", "%", "48.5", "%"]
    assert [row.split("  ")[0] for row in rows[2:6]] == [
        "logistic_regression",
        "gaussian_naive_bayes",
        "no_change (baseline)",
        "prior (baseline)",
    ]
    assert rows[2].split()[1:] == ["-", "-"]


@pytest.mark.parametrize(("width", "at"), [(78, 46 + 16), (100, 46 + 27), (200, 46 + 36)])
def test_the_mark_is_below_the_dip(finished: DemoState, width: int, at: int) -> None:
    """The curve takes what the numbers leave, up to 72 columns; the drift is at its middle."""
    rows = accuracies(finished, width)
    assert rows[6].index("▲ drift") == at
    assert rows[1][at - 1] == "█"
    assert "▂" in rows[1][at : at + 3]


def test_the_drift_is_marked_only_after_it(state: DemoState) -> None:
    """Its row is there before, so that nothing moves."""
    assert len(accuracies(state)) == 7
    assert accuracies(state)[6] == ""


def test_counts_are_text(finished: DemoState) -> None:
    """All of them by name, latencies in milliseconds."""
    bounds = {"0.01": 50.0, "0.02": 100.0, "+Inf": 100.0}
    buckets = [(names.LATENCY.bucket, {"le": le}, count) for le, count in bounds.items()]
    done = [(names.PREDICTIONS.total, {}, 2_000.0), (names.EXAMPLES_LEARNED.total, {}, 1_500.0)]
    waiting = [(str(names.PENDING), {"kind": "event"}, 500.0)]
    rejected = [(names.EVENTS_REJECTED.total, {"reason": "malformed"}, 2.0)]
    finished.observe(Samples([*buckets, *done, *waiting, *rejected]), 62.0)
    assert counts(finished) == {
        "events/s": "1,000",
        "predicted": "2,000",
        "learned": "1,500",
        "unlabelled": "500",
        "rejected": "2",
        "latency p50": "10 ms",
        "p99": "20 ms",
    }


def test_an_alert_is_a_row(state: DemoState, alert: Callable[..., Alert]) -> None:
    """Source, detector with the means before and after, action, distance from the drift."""
    rows = draw(alert_table(state, "source", [alert(), alert("20", source="input:car")]))
    assert rows[0].split("  ")[0] == "source"
    cells = ["loss:hoeffding_tree", "ADWIN", "0.04", "→", "0.49", "replace", "+40", "events"]
    assert rows[1].split() == cells
    assert rows[2].split()[-2:] == ["-480", "events"]


@pytest.mark.parametrize(
    ("means", "evidence"),
    [((0.049, 99.994), "0.05 → 99.99"), ((100.0, -91_200.4), "100 → -91,200")],
)
def test_large_means_have_no_decimals(
    state: DemoState,
    alert: Callable[..., Alert],
    means: tuple[float, float],
    evidence: str,
) -> None:
    """Two decimals below 100, none from there on."""
    assert alert_cells(state, alert(means=means))[1] == f"ADWIN {evidence}"


def test_the_loss_of_a_model_stands_out(state: DemoState, alert: Callable[..., Alert]) -> None:
    """Alerts on a loss are yellow, those on inputs and predictions are not."""
    table = alert_table(state, "source", [alert(), alert(source="prediction")])
    assert [row.style for row in table.rows] == ["yellow", ""]
