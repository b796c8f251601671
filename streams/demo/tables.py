"""Numbers and tables that the live view, the plain lines and the summary have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from rich.table import Column, Table
from rich.text import Text

from millrace.models.pipelines.loans import pipeline
from millrace.schemas.records import Alert
from millrace.streams.demo.curve import HIGHEST, LOWEST, column, sparkline
from millrace.streams.demo.state import DemoState

_NAME_WIDTH = 24
_NUMBER_WIDTH = 8
_GAP = 2
_MAX_CURVE_WIDTH = 72


def percent(share: float | None) -> str:
    """Return a share as text.

    Examples
    --------
    >>> percent(0.9642), percent(0.99951), percent(None)
    ('96.4 %', '100 %', '-')
    """
    if share is None:
        return "-"
    return "100 %" if share >= 0.9995 else f"{share:.1%}".replace("%", " %")


def milliseconds(seconds: float | None) -> str:
    """Return a latency as text.

    Examples
    --------
    >>> milliseconds(0.0123), milliseconds(1.5), milliseconds(None)
    ('12 ms', '1,500 ms', '-')
    """
    return "-" if seconds is None else f"{1000 * seconds:,.0f} ms"


def counts(state: DemoState) -> dict[str, str]:
    """Return what the worker has done so far, as text by name."""
    return {
        "events/s": f"{state.events_per_second:,.0f}",
        "predicted": f"{state.predicted:,}",
        "learned": f"{state.learned:,}",
        "unlabelled": f"{state.unlabelled:,}",
        "rejected": f"{state.rejected:,}",
        "latency p50": milliseconds(state.median_seconds),
        "p99": milliseconds(state.p99_seconds),
    }


def table(*columns: Column) -> Table:
    """Return an empty table without borders, its header dimmed."""
    return Table(*columns, box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")


def accuracy_table(
    state: DemoState, numbers: Mapping[str, Callable[[str], float | None]], width: int
) -> Table:
    """Return a row for each candidate, and below them a mark at the drift.

    A row has the `numbers` of its candidate, by heading, and the curve over time.
    """
    used = _NAME_WIDTH + _GAP + len(numbers) * (_NUMBER_WIDTH + _GAP)
    curve_width = min(width - used, _MAX_CURVE_WIDTH)
    made = table(
        Column("accuracy", width=_NAME_WIDTH, no_wrap=True),
        *(Column(heading, width=_NUMBER_WIDTH, justify="right") for heading in numbers),
        Column(f"over time, {LOWEST:.0%} to {HIGHEST:.0%}", width=curve_width, no_wrap=True),
    )
    for name, readings in state.curves.items():
        label, style = _role(name)
        shares = (percent(number(name)) for number in numbers.values())
        drawn = sparkline(readings, state.plan.events, curve_width)
        made.add_row(label, *shares, drawn, style=style)
    at = column(state.plan.drift_at + 1, state.plan.events, curve_width)
    mark = " " * at + "▲ drift" if state.has_drifted else ""
    made.add_row(*[""] * (len(numbers) + 1), Text(mark, "magenta"))
    return made


def alert_table(state: DemoState, heading: str, alerts: Iterable[Alert]) -> Table:
    """Return a row for each alert, those on the loss of a model in yellow."""
    made = table(
        Column(heading, width=28, no_wrap=True),
        Column("mean before → after", width=21, no_wrap=True),
        Column("action", width=8, no_wrap=True),
        Column("after the drift", justify="right", no_wrap=True),
    )
    for alert in alerts:
        style = "yellow" if alert["source"].startswith("loss:") else ""
        made.add_row(*alert_cells(state, alert), style=style)
    return made


def alert_cells(state: DemoState, alert: Alert) -> tuple[str, str, str, str]:
    """Return an alert's source, its evidence, its action, and how long after the drift it came.

    The evidence is the mean of what the detector watches, before and after the change.
    """
    before, after = _short(alert["mean_before"]), _short(alert["mean_after"])
    evidence = f"{alert['detector']} {before} → {after}"
    after_drift = int(alert["event_id"]) - state.plan.drift_at
    return alert["source"], evidence, alert["action"], f"{after_drift:+,} events"


def _role(candidate: str) -> tuple[str, str]:
    """Return a candidate's label and style."""
    if candidate == pipeline.champion:
        return f"{candidate} ★", "bold cyan"
    return (candidate, "") if candidate in pipeline.models else (f"{candidate} (baseline)", "dim")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
