"""The live view: a state, drawn for a terminal of 80 by 24 or larger.

Every part keeps its place, so that nothing moves while the demo runs. Alerts and predictions share
the lines that the other parts leave.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from millrace.models.pipelines.loans import pipeline
from millrace.streams.demo.script import PREFIX, Kind
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.demo.tables import accuracy_table, alert_table, counts, percent, table

_TOP_LINES = 15
_COUNT_WIDTH = 24
_ABOUT = "  online learning on Kafka: loan applications"


def view(state: DemoState, width: int) -> RenderableType:
    """Return a state as something that rich can draw on a screen so many columns wide."""
    accuracy = {f"last {pipeline.rolling_window}": state.rolling.get, "overall": state.overall.get}
    numbers = accuracy_table(state, accuracy, width - 2)
    top = Group(_header(state), "", _counts(state), "", numbers)
    count = f" of {len(state.alerts)}" if state.alerts else ""
    alerts = alert_table(state, f"newest{count} on {PREFIX}alerts", reversed(state.alerts))
    parts = Layout()
    parts.split_column(
        Layout(Padding(top, (0, 1)), size=_TOP_LINES),
        Layout(Padding(alerts, (0, 1)), ratio=3),
        Layout(Padding(_predictions(state), (1, 1, 0, 1)), ratio=2),
    )
    return parts


def _header(state: DemoState) -> Group:
    sent, total = state.sent[Kind.EVENT], state.plan.events
    about = f"  loan applications on {state.page}" if state.page else _ABOUT
    title = Text.assemble(("Millrace", "bold cyan"), about)
    bar = ProgressBar(total, sent, complete_style="cyan", finished_style="cyan")
    grid = Table.grid(Column(ratio=1), Column(justify="right", width=_COUNT_WIDTH), expand=True)
    grid.add_row(title, Text(f"{state.seconds:.0f} s" if state.seconds else "", "dim"))
    grid.add_row(bar, Text(f"{sent:,} of {total:,} events", "dim"))
    phase = state.phases[-1]
    return Group(grid, Text(phase.value, "magenta" if phase is Phase.AFTER_DRIFT else "dim"))


def _counts(state: DemoState) -> Table:
    numbers = counts(state)
    made = table(*(Column(name, justify="right", min_width=8) for name in numbers))
    made.add_row(*numbers.values(), style="bold")
    return made


def _predictions(state: DemoState) -> Table:
    made = table(
        Column(f"newest on {PREFIX}predictions", width=28),
        Column("predicted", width=9),
        Column("", width=6, justify="right"),
        Column("model", no_wrap=True),
        Column("version", justify="right"),
    )
    for each in reversed(state.newest_predictions):
        value = each["value"]
        made.add_row(
            f"application {int(each['event_id']):>7,}",
            "undecided" if value is None else "granted" if value else "refused",
            percent(each["probabilities"].get(str(value).lower())),
            each["model"],
            f"{each['model_version']:,}",
        )
    return made
