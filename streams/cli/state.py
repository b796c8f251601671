"""`millrace state`: the saved models of a pipeline, comparable from run to run."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from millrace.streams.cli.options import (
    broker_options,
    chain_option,
    pipeline_option,
    require_broker,
    the_pipeline,
)
from millrace.streams.settings import read_settings
from millrace.streams.tools.inspect_state import SavedState, inspect_state

_DIGEST_SHOWN = 12


@click.command()
@pipeline_option
@broker_options
@chain_option
@click.option("--json", "as_json", is_flag=True, help="Everything, in full precision.")
def state(as_json: bool, **given: Any) -> None:
    """Show what the saved models have learned.

    For every partition, scope key and candidate: its version (examples learned), its metrics
    since the beginning, and a digest of what it predicts on a fixed probe and of its metrics.
    Two runs over the same log have the same digests. A running worker saves its state every few
    seconds (MILLRACE_FLUSH_SECONDS) and when it stops. The state is signed: MILLRACE_STATE_KEY
    must be the workers' own.
    """
    settings = read_settings(**given)
    require_broker(settings, "state")
    pipeline = the_pipeline(settings, "state")
    saved = inspect_state(pipeline, settings)
    if as_json:
        click.echo(saved.to_json())
    else:
        Console(highlight=False).print(_table(saved))


def _table(saved: SavedState) -> Table:
    table = Table(title=f"{saved.pipeline}, saved by {saved.agent}", title_justify="left")
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
