"""`millrace state`: the saved models of a pipeline, comparable from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from millrace.streams.cli.console import output
from millrace.streams.cli.options import (
    chain_option,
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
)
from millrace.streams.escaping import printable_json
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings

if TYPE_CHECKING:
    from millrace.streams.tools.inspect_state import SavedState

_DIGEST_SHOWN = 12


@click.command()
@pipeline_option
@running_broker
@chain_option
@click.option("--json", "as_json", is_flag=True, help="Print everything, in full precision.")
@pass_settings
def state(settings: Settings, as_json: bool) -> None:
    """Show what the saved models have learned.

    Each candidate of each partition and scope key has a version (the examples it has learned),
    metrics over all of them, and a digest of its metrics and of what it predicts for a fixed
    sample. Two runs over the same log have the same digests.

    A worker saves its state every few seconds (MILLRACE_FLUSH_SECONDS) and when it stops. The
    state is signed, so set MILLRACE_STATE_KEY as for the workers.
    """
    require_broker(settings)
    pipeline = settings.load_pipeline()
    from millrace.streams.tools.inspect_state import inspect_state

    saved = inspect_state(KafkaClients(settings), pipeline, settings)
    if as_json:
        click.echo(printable_json(saved.to_json()))
    else:
        output().print(_table(saved))


def _table(saved: SavedState) -> Table:
    table = Table(
        title=f"{saved.pipeline}, saved by {saved.agent}",
        title_justify="left",
        caption="* champion",
        caption_justify="left",
    )
    for column in ("partition", "covers", "scope key", "model"):
        table.add_column(column)
    table.add_column("version", justify="right")
    table.add_column("metrics")
    table.add_column("digest")
    for each in saved.candidates:
        covers = saved.covers[each.partition]
        table.add_row(
            str(each.partition),
            "\n".join(f"{topic} < {offset}" for topic, offset in covers.items()),
            each.scope_key or "-",
            f"{each.model} *" if each.is_champion else each.model,
            f"{each.version:,}",
            "\n".join(f"{name} {value!r}" for name, value in each.metrics.items()) or "-",
            each.digest[:_DIGEST_SHOWN],
        )
    return table
