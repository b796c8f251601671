"""`millrace definitions`: which definitions were in force, and what two of them differ in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
from rich.table import Table

from millrace.models.identity.reference import Reference
from millrace.streams.cli.console import output
from millrace.streams.cli.options import (
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
)
from millrace.streams.escaping import printable, printable_json
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings


@click.command()
@pipeline_option
@running_broker
@click.option(
    "--diff",
    "compared",
    nargs=2,
    metavar="A B",
    help="Print what changes from A to B: numbers of the list, or the first digits of digests.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@pass_settings
def definitions(settings: Settings, compared: tuple[str, str] | None, as_json: bool) -> None:
    """Show which definitions were in force, or compare two.

    The list is that of the audit: the number of the command, the digest and what was set since,
    when it came into force, who asked for it and why. The last one is in force. Set
    MILLRACE_STATE_KEY as for the workers to compare: definitions are signed with it.
    """
    require_broker(settings)
    pipeline = settings.load_pipeline()
    from millrace.streams.tools.deployed import deployed, difference

    clients = KafkaClients(settings)
    history = deployed(clients, pipeline)
    if not compared:
        if as_json:
            for each in history:
                click.echo(printable_json(json.dumps(each._asdict())))
            return
        table = Table(title=f"Definitions of {pipeline.name}", title_justify="left")
        for column in ("command", "definition", "in force since", "who", "why"):
            table.add_column(column)
        for each in history:
            since = datetime.fromtimestamp(each.time_ms / 1000, UTC).isoformat(timespec="seconds")
            texts = Reference.of(each.definition).shortened, each.who, each.why
            definition, who, why = map(printable, texts)
            table.add_row(str(each.number), definition, since, who, why)
        output().print(table)
        return
    for line in difference(clients, pipeline, settings, history, *compared):
        click.echo(printable(line))
