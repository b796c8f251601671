"""`millrace reproduce`: make a prediction again from the log, and say whether it is the same."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from millrace.streams.cli.options import (
    broker_options,
    chain_option,
    pipeline_option,
    require_broker,
    the_pipeline,
)
from millrace.streams.settings import read_settings
from millrace.streams.tools.reproduce import COMPARED, Reproduction
from millrace.streams.tools.reproduce import reproduce as reproduce_prediction

EXIT_DIFFERENT = 1
_REPORT_EVERY = 500


@click.command()
@click.argument("event_id")
@pipeline_option
@broker_options
@chain_option
def reproduce(event_id: str, **given: Any) -> int:
    """Make the prediction of an event again, from the log alone.

    Finds the prediction of EVENT_ID, passes the log through fresh models from its first record
    up to that event, predicts, and compares value, probabilities, features, model and version.
    The exit code is 0 where they are identical, 1 where they differ, and 2 where it cannot be
    done, for example because retention has removed the beginning of the log.
    """
    settings = read_settings(**given)
    require_broker(settings, "reproduce")
    pipeline = the_pipeline(settings, "reproduce")
    with _progress_bar() as bar:
        shown: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in shown:
                shown[what] = bar.add_task(what, total=total)
            if done % _REPORT_EVERY == 0:
                bar.update(shown[what], completed=done)

        result = reproduce_prediction(pipeline, settings, event_id, advance)
    Console(highlight=False).print(_report(result))
    return EXIT_DIFFERENT if result.differences else 0


def _progress_bar() -> Progress:
    """Return a bar on standard error that goes when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _report(result: Reproduction) -> Table | str:
    served, different = result.served, result.differences
    where = (
        f"{served['event_id']} at {result.topic}[{result.partition}]@{result.offset},"
        f" by {served['model']} version {served['model_version']:,},"
        f" made again from {result.records:,} records"
    )
    if not different:
        value = f"value {served['value']!r}, probabilities {served['probabilities']}"
        return f"identical: {where}\n{value}"
    table = Table(title=f"DIFFERENT: {where}", title_justify="left")
    for column in ("field", "as served", "made again"):
        table.add_column(column, overflow="fold")
    for name in COMPARED:
        if name in different:
            table.add_row(name, *(repr(each) for each in different[name]))
    return table
