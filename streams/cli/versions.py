"""`millrace versions`: what is in the archive."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
from rich.table import Table

from millrace.models.identity.reference import Reference
from millrace.streams.cli.console import output
from millrace.streams.cli.options import pass_settings, pipeline_option
from millrace.streams.escaping import printable, printable_json
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings

EXIT_FAULTS = 1


@click.command()
@pipeline_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@pass_settings
def versions(settings: Settings, as_json: bool) -> int:
    """Show which versions of the state are in the archive.

    Set MILLRACE_ARCHIVE and MILLRACE_STATE_KEY as for the workers. For each version: its name, when
    it was written, the definition in force, the partitions that it has, and its size; with --json
    also up to which offsets of the log each partition goes. Each file is read, and its signature
    checked: what cannot be used is named, and the exit code is 1.
    """
    pipeline = settings.load_pipeline()
    from millrace.streams.tools.versions import archive_reader
    from millrace.streams.tools.versions import versions as read_versions

    reader = archive_reader(KafkaClients(settings), pipeline, settings)
    found = [*read_versions(reader)]
    faults = [fault for each in found for fault in each.faults]
    if as_json:
        for each in found:
            click.echo(printable_json(json.dumps(each.to_json())))
    else:
        table = Table(title=f"Versions in {reader.store.url}", title_justify="left")
        for column in ("version", "written", "definition", "partitions", "bytes"):
            table.add_column(column)
        for each in found:
            written = datetime.fromtimestamp(each.time_ms / 1000, UTC)
            table.add_row(
                printable(each.name),
                written.isoformat(timespec="seconds") if each.files else "",
                ", ".join(Reference.of(name).shortened or "the first" for name in each.definitions),
                ", ".join(str(partition) for _, partition in each.files),
                f"{each.size:,}",
            )
        output().print(table)
        for fault in faults:
            click.echo(printable(f"Warning: {fault}"), err=True)
    return EXIT_FAULTS if faults else 0
