"""The newest metrics of the topic `evaluations`, as `millrace models` shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from millrace.streams.escaping import printable

if TYPE_CHECKING:
    from millrace.schemas.records import MetricValues
    from millrace.streams.tools.evaluations import Followed


def table_of(followed: Followed) -> Group:
    """Return a table of the newest metrics; nothing where there are none."""
    if not followed.metrics:
        return Group()
    block = max(followed.metrics.values(), key=itemgetter("last_time_ms"))
    until = as_utc(block["last_time_ms"])
    title = f"Metrics of all labels, in parentheses of the newest; {until}"
    if len(followed.metrics) > 1:
        title += f"\nof partition {block['partition']}: --json has all"
    table = Table()
    table.add_column("model", no_wrap=True)
    names = [*dict.fromkeys(chain.from_iterable(block["metrics"].values()))]
    for name in names:
        table.add_column(printable(name), justify="right")
    for model, values in block["metrics"].items():
        cells = [_shown(values[name]) if name in values else "-" for name in names]
        table.add_row(model, *cells, style="bold" if model == block["champion"] else "")
    return Group(Text(title), table)


def as_utc(time_ms: int) -> str:
    """Return a time as people read it."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _shown(values: MetricValues) -> str:
    cumulative, rolling = values["cumulative"], values["rolling"]
    of_all = "-" if cumulative is None else f"{cumulative:.4g}"
    return of_all if rolling is None else f"{of_all} ({rolling:.4g})"
