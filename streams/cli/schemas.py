"""`millrace schemas`: the Avro schemas of all records that Millrace reads and writes."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from millrace.streams.cli.console import output
from millrace.streams.cli.options import pass_settings, pipeline_option
from millrace.streams.cli.writing import out_options, write_files
from millrace.streams.settings import Settings

_EXAMPLES = """\b
Examples:
  millrace schemas
  millrace schemas --out schemas
  millrace schemas --pipeline pipeline.py --out schemas"""


@click.command(epilog=_EXAMPLES)
@pipeline_option
@out_options
@pass_settings
def schemas(settings: Settings, out: Path | None, force: bool) -> None:
    """List the Avro schemas of all records, or write them as .avsc files.

    Use them to read predictions, outcomes, alerts, audit and rejects, and to write labels and
    commands, without Millrace. The folder `versions` has those that earlier releases wrote, of
    which records may still be on your topics.

    With --pipeline, its own events are among them: `events/NAME.avsc` is the schema of what you
    produce, `event.avsc` that of the internal topic `clean`. No broker is needed.

    Without --force, nothing is written where a file is there that differs.
    """
    from millrace.streams.docs.published import schema_list, schema_texts

    pipeline = settings.load_pipeline() if settings.pipeline else None
    if out is not None:
        write_files(out, schema_texts(pipeline), force=force)
        return
    table = Table(title="Schemas", title_justify="left", show_lines=True)
    for column in ("record", "version", "file", "topics", "doc"):
        table.add_column(column, no_wrap=column in ("record", "file"))
    for each in schema_list(pipeline):
        table.add_row(each.record, str(each.version), each.file, "\n".join(each.topics), each.doc)
    output().print(table)
