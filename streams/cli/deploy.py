"""`millrace deploy`: put a changed definition in force, while workers run."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout

import click

from millrace.streams.cli import EXIT_ERROR
from millrace.streams.cli.asking import asked, waiting_options
from millrace.streams.cli.options import pass_settings, require_broker, running_broker
from millrace.streams.escaping import printable
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings
from millrace.streams.who import user_name

_EXAMPLES = """\b
Examples:
  millrace deploy pipeline.py -b localhost:9092 --dry-run
  millrace deploy pipeline.py -b localhost:9092 --reason "a window of a week, as of ticket 318\""""


@click.command(epilog=_EXAMPLES)
@click.argument("spec", metavar="PIPELINE")
@running_broker
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@click.option("--reason", "why", help="Why; it is kept in the audit. Not needed with --dry-run.")
@click.option("--json", "as_json", is_flag=True, help="Print what changes as JSON.")
@pass_settings
def deploy(
    settings: Settings,
    spec: str,
    dry_run: bool,
    as_json: bool,
    who: str,
    why: str | None,
    wait_seconds: float,
) -> int:
    """Put a changed definition in force, on running workers.

    PIPELINE is path/file.py or package.module, followed by :attribute unless the attribute is
    `pipeline`. It travels to the workers with the modules beside it that it imports, and each
    partition goes over to it at one place in its log. What is unchanged keeps all that it has
    learned.

    What changes is printed first. A definition that cannot follow the one in force is refused,
    each reason names the way out, and the exit code is 2. Where candidates are retired, and there
    is an archive (MILLRACE_ARCHIVE), a snapshot is taken first. Set MILLRACE_STATE_KEY as for the
    workers: definitions are signed with it, so that nobody else can run code in them.
    """
    if why is None and not dry_run:
        raise click.UsageError("Missing option '--reason'.")
    require_broker(settings)
    settings = settings.model_copy(update={"pipeline": spec})
    from millrace.models.pipeline.fate import Fate
    from millrace.streams.cli.snapshot import snapshot_now
    from millrace.streams.kafka.admin import count_partitions, partition_counts, require_sources
    from millrace.streams.runtime.deployment import bundled, deploy_request
    from millrace.streams.runtime.in_force import read_in_force
    from millrace.streams.state.definitions import DefinitionStore
    from millrace.streams.state.dry_run_process import tried
    from millrace.streams.state.keys import state_key
    from millrace.streams.topology.topics import topic_prefix

    with redirect_stdout(sys.stderr):  # the file's own prints
        pipeline = settings.load_pipeline()
        warnings = tried(spec)
        bundle = bundled(pipeline, settings)
    for warning in warnings:
        click.echo(printable(f"Warning: {warning}"), err=True)
    clients, prefix, key = KafkaClients(settings), topic_prefix(pipeline), state_key(settings)
    count_partitions(clients, f"{prefix}commands")  # else the topics are not there yet
    require_sources(pipeline, settings, partition_counts(clients))
    in_force = read_in_force(clients, pipeline, settings, key)
    if bundle.digest == in_force.definition:
        click.echo(f"{pipeline.name}: the definition {bundle.digest[:12]} is in force already")
        return 0
    found = in_force.changes_to({**bundle.description})
    if found is None:
        click.echo(f"{pipeline.name}: the first definition, {bundle.digest[:12]}")
    else:
        text = json.dumps(found.to_json(), indent=2) if as_json else str(found)
        click.echo("\n".join(map(printable, text.split("\n"))))
        if found.refused:
            return EXIT_ERROR
        if settings.archive and not dry_run and Fate.RETIRED in found.candidates.values():
            reason = f"before the deploy of {bundle.digest[:12]}, which retires candidates"
            snapshot_now(settings, prefix, who or user_name(), reason, wait_seconds)
    if not dry_run:
        DefinitionStore(clients, prefix, key).publish(bundle)
        request = deploy_request(bundle, prefix, key, who or user_name(), why or "")
        asked(settings, prefix, request, wait_seconds)
    return 0


for _option in waiting_options:
    deploy = _option(deploy)
