"""The live view: a state, drawn for a terminal of any size from 80 by 24.

What has a fixed number of lines stays in its place. Alerts and predictions share the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.curve import HIGHEST, LOWEST, column, sparkline
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.demo.wording import decision, evidence, milliseconds, percent

_FIXED_LINES = 18
_LEFT_WIDTH = 45
_NUMBER_WIDTH = 8
_WIDEST_CURVE = 72
_MOST_PREDICTIONS = 6
_MOST_ALERTS = 10

_PHASES = {
    Phase.STARTING: ("Starting a broker and a worker: some seconds.", "dim"),
    Phase.BEFORE_DRIFT: ("Loans are granted to those whose income covers them.", ""),
    Phase.AFTER_DRIFT: (
        "▲ The rule has changed: it is age that counts now, not income.",
        "magenta",
    ),
    Phase.FINISHING: ("All is sent. Waiting for the last labels to be learned.", "dim"),
    Phase.STOPPING: ("Stopping the worker in order.", "dim"),
}


class View:
    """A state as something that rich can draw.

    Parameters
    ----------
    state
        Looked at whenever the view is drawn.
    """

    def __init__(self, state: DemoState) -> None:
        self._state = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - 2
        free_lines = max((options.height or console.height) - _FIXED_LINES, 0)
        predictions = min(max(free_lines // 3, 1), _MOST_PREDICTIONS)
        alerts = min(max(free_lines - predictions, 1), _MOST_ALERTS)
        everything = Group(
            *_header(self._state, width),
            Text(),
            _numbers(self._state),
            Text(),
            *_candidates(self._state, width),
            Text(),
            *_alerts(self._state, alerts),
            Text(),
            *_predictions(self._state, predictions),
        )
        yield Padding(everything, (0, 1))


def _header(state: DemoState, width: int) -> Iterable[RenderableType]:
    plan = state.plan
    title = Table.grid(expand=True)
    title.add_column()
    title.add_column(justify="right")
    title.add_row(
        Text.assemble(
            ("Millrace", "bold cyan"),
            "  online learning on Kafka, here of loan applications",
        ),
        Text(f"{state.seconds:.0f} s" if state.seconds else "", style="dim"),
    )
    yield title
    count = f"{state.sent[Kind.EVENT]:,} of {plan.events:,} events"
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(
            plan.events,
            state.sent[Kind.EVENT],
            width=width - 26,
            finished_style="cyan",
            complete_style="cyan",
        ),
        Text(count.rjust(24), style="dim"),
    )
    yield bar
    yield Text(*_PHASES[state.phase], no_wrap=True)


def _numbers(state: DemoState) -> Table:
    numbers = {
        "events/s": f"{state.events_per_second:,.0f}",
        "predicted": f"{state.predictions:,}",
        "learned": f"{state.learned:,}",
        "unlabelled": f"{state.waiting:,}",
        "rejected": f"{sum(state.rejected_events.values()):,}",
        "latency p50": milliseconds(state.latency_p50_seconds),
        "p99": milliseconds(state.latency_p99_seconds),
    }
    table = Table.grid(padding=(0, 2, 0, 0))
    for name in numbers:
        table.add_column(justify="right", width=max(len(name), _NUMBER_WIDTH), no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in numbers))
    table.add_row(*(Text(value, style="bold") for value in numbers.values()))
    return table


def _candidates(state: DemoState, width: int) -> Iterable[RenderableType]:
    curve_width = min(width - _LEFT_WIDTH, _WIDEST_CURVE)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("accuracy", width=24, no_wrap=True)
    table.add_column(f"last {state.pipeline.rolling_window}", width=8, justify="right")
    table.add_column("overall", width=7, justify="right")
    table.add_column(f"over time, {LOWEST:.0%} to {HIGHEST:.0%}", width=curve_width, no_wrap=True)
    for name, curve in state.curves.items():
        style, label = _style(state, name)
        table.add_row(
            label,
            percent(curve.last),
            percent(state.overall.get(name)),
            sparkline(curve.readings, state.plan.events, curve_width),
            style=style,
        )
    at = column(state.plan.drift_at, state.plan.events, curve_width)
    table.add_row("", "", "", Text(" " * at + "▲ drift" if state.has_drifted else "", "magenta"))
    yield table


def _style(state: DemoState, name: str) -> tuple[str, str]:
    if name == state.pipeline.champion:
        return "bold cyan", f"{name} ★"
    return ("", name) if name in state.pipeline.models else ("dim", f"{name} (baseline)")


def _alerts(state: DemoState, lines: int) -> Iterable[RenderableType]:
    count = f" ({len(state.alerts)})" if state.alerts else ""
    yield Text(f"newest alerts on {state.pipeline.name}.alerts{count}", style="dim")
    newest = [_alert(state, each) for each in state.alerts[::-1][:lines]]
    yield from _filled(newest, lines)


def _alert(state: DemoState, alert: Alert) -> Text:
    at = state.events_after_drift(alert)
    line = (
        f"{alert['source']:26}  {alert['detector']:5}  {evidence(alert):17} {alert['action']:8}"
        f" {at:+,} events"
    )
    is_loss = alert["source"].startswith("loss:")
    return Text(line, style="yellow" if is_loss else "", no_wrap=True, overflow="ellipsis")


def _predictions(state: DemoState, lines: int) -> Iterable[RenderableType]:
    yield Text(f"newest predictions on {state.pipeline.name}.predictions", style="dim")
    newest = [_prediction(each) for each in [*state.newest_predictions][::-1][:lines]]
    yield from _filled(newest, lines)


def _prediction(prediction: Prediction) -> Text:
    line = (
        f"application {int(prediction['event_id']):>7,}  {decision(prediction):16}"
        f"  {prediction['model']}, version {prediction['model_version']:,}"
    )
    return Text(line, no_wrap=True, overflow="ellipsis")


def _filled(rows: list[Text], lines: int) -> list[Text]:
    """Return so many lines, however few there are: what is below keeps its place."""
    return rows + [Text() for _ in range(lines - len(rows))]
