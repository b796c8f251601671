"""`millrace restore`: go back to the models of an archived version."""

from __future__ import annotations

import uuid

import click

from millrace.streams.cli.asking import asked, asking_options
from millrace.streams.cli.options import (
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
)
from millrace.streams.control.commands import RESTORE
from millrace.streams.escaping import printable
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings
from millrace.streams.who import user_name

_EXAMPLE = """\b
Example:
  millrace restore --to 2026-11-26T1600Z -p loans.py -b localhost:9092 --reason "wrong labels\""""


@click.command(epilog=_EXAMPLE)
@click.option("--to", "version", required=True, metavar="VERSION", help="See `millrace versions`.")
@pipeline_option
@running_broker
@pass_settings
def restore(settings: Settings, version: str, who: str, why: str, wait_seconds: float) -> None:
    """Go back to the models of an archived version.

    At one place in its log, each partition puts the models of the version in the place of its own:
    all candidates and baselines. Who serves, whether learning is paused, windows, events that wait
    for labels and what is known of labels stay as they are. What was learned since is lost: keep it
    first with `millrace snapshot`.

    The version must have been made under the definition in force, and the scope be global or
    partition. The command has the digest and the size of each file: workers read the same ones, and
    halt where one is missing. Set MILLRACE_ARCHIVE and MILLRACE_STATE_KEY as for the workers.
    """
    require_broker(settings)
    from millrace.streams.kafka.commands import Request
    from millrace.streams.tools.inspect_state import learning_agent
    from millrace.streams.tools.versions import archive_reader, to_restore
    from millrace.streams.topology.topics import topic_prefix

    pipeline, clients = settings.load_pipeline(), KafkaClients(settings)
    reader = archive_reader(clients, pipeline, settings)
    found = to_restore(reader, version, learning_agent(settings, pipeline).name)
    partitions = ", ".join(map(str, found.files))
    size = sum(each.size for each in found.files.values())
    click.echo(printable(f"{version}: {size:,} bytes, partitions {partitions}"))
    request = Request(
        id=str(uuid.uuid4()),
        command=RESTORE,
        arguments=found.to_arguments(),
        who=who or user_name(),
        why=why,
    )
    asked(settings, topic_prefix(pipeline), request, wait_seconds)


for _option in asking_options:
    restore = _option(restore)
