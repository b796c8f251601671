"""`millrace reproduce`: make a prediction again from the log, and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from millrace.streams.cli.console import output, progress_bar
from millrace.streams.cli.options import (
    chain_option,
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
)
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings

if TYPE_CHECKING:
    from rich.progress import TaskID

    from millrace.streams.tools.reproduce import Reproduction

EXIT_DIFFERENT = 1
_REPORT_EVERY = 500


@click.command()
@click.argument("event_id")
@pipeline_option
@running_broker
@chain_option
@pass_settings
def reproduce(settings: Settings, event_id: str) -> int:
    """Make the prediction of an event again, from the log alone.

    Finds the prediction of EVENT_ID, passes the log to untrained models from its first record up
    to that event, predicts, and compares value, probabilities, features, model, version, reasons
    and certainty.

    Where the beginning of the log has expired, it begins with the newest archived version from
    before the event: set MILLRACE_ARCHIVE and MILLRACE_STATE_KEY as for the workers.

    The exit code is 0 if they are identical and 1 if they differ. It is 2 if the prediction cannot
    be made again, for example because the log has expired, and no version of the archive fits.
    """
    require_broker(settings)
    pipeline = settings.load_pipeline()
    from millrace.streams.tools.reproduce import reproduce as reproduce_prediction

    with progress_bar() as bar:
        shown: dict[str, TaskID] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in shown:
                shown[what] = bar.add_task(what, total=total)
            if done % _REPORT_EVERY == 0:
                bar.update(shown[what], completed=done)

        clients = KafkaClients(settings)
        result = reproduce_prediction(clients, pipeline, settings, event_id, advance)
    output().print(_report(result))
    return EXIT_DIFFERENT if result.differences else 0


def _report(result: Reproduction) -> Table | str:
    published, different = result.published, result.differences
    where = (
        f"{published['event_id']} at {result.topic}[{result.partition}]@{result.offset},"
        f" by {published['model']} version {published['model_version']:,},"
        f" made again from {result.records:,} records"
        + (f" behind the archived version {result.version}" if result.version else "")
    )
    if not different:
        value = f"value {published['value']!r}, probabilities {published['probabilities']}"
        return f"identical: {where}\n{value}"
    table = Table(title=f"DIFFERENT: {where}", title_justify="left")
    for column in ("field", "published", "made again"):
        table.add_column(column, overflow="fold")
    for name, values in different.items():
        table.add_row(name, *map(repr, values))
    return table
