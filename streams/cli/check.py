"""`millrace check`: whether a pipeline file is right, and what it describes."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING

import click
from rich.table import Table

from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.models.pipeline.limits import Room, contradictions, room, shortages
from millrace.models.pipeline.loading import load_pipeline
from millrace.streams.cli import EXIT_ERROR
from millrace.streams.cli.console import output
from millrace.streams.cli.options import chain_option, pass_settings
from millrace.streams.docs.facts import facts, field_facts, form_of, holds_of, span
from millrace.streams.escaping import printable
from millrace.streams.settings import Settings
from millrace.streams.topology.names import full_name
from millrace.streams.topology.sources import check_starts, sources_of, unknown_names
from millrace.streams.topology.topics import Use, topic_prefix, topics_of

if TYPE_CHECKING:
    from millrace.models.identity.definition import Description


@click.command()
@click.argument("spec", metavar="PIPELINE")
@click.option(
    "--against",
    metavar="OTHER",
    help="Print what a deploy would change if OTHER were in force: another pipeline, or a"
    " description, FILE.json.",
)
@click.option("--champion", metavar="NAME", help="Of OTHER, which serves. [default: its first]")
@click.option("--json", "as_json", is_flag=True, help="With --against: print it as JSON.")
@click.option("--describe", "only_described", is_flag=True, help="Print the description as JSON.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="EVENTS_PER_SECOND",
    help="Say what memory the events need that wait for labels, and whether the limits hold them.",
)
@chain_option
@pass_settings
def check(
    settings: Settings,
    spec: str,
    against: str | None,
    champion: str | None,
    as_json: bool,
    only_described: bool,
    rate: float | None,
) -> int:
    """Check a pipeline file and print what it describes.

    PIPELINE is path/file.py or package.module, followed by :attribute unless the attribute is
    `pipeline`. No broker is needed. Each model is trained on made-up events, saved and loaded. If
    the definition is wrong, the error is one line and the exit code is 2. So it is where it cannot
    follow OTHER: each reason names the parameter and the way out.
    """
    from millrace.models.identity.definition import describe
    from millrace.streams.state.dry_run_process import tried
    from millrace.streams.tools.described import described

    if against is None and (champion is not None or as_json):
        raise click.UsageError("--champion and --json need --against")
    is_compared = only_described or against is not None
    if is_compared and rate is not None:
        raise click.UsageError("--rate goes with neither --against nor --describe")
    with redirect_stdout(sys.stderr) if is_compared else nullcontext():  # the file's own prints
        pipeline = load_pipeline(spec)
        settled = [*_unused(pipeline, settings), *_apart(pipeline, settings)]
        warnings = [*contradictions(pipeline), *settled, *tried(spec)]
        description = describe(pipeline) if is_compared else {}
    if not is_compared:
        needed = None if rate is None else _room(pipeline, settings, rate)
        if needed is not None:
            warnings += shortages(pipeline, needed)
        _print(pipeline, settings, warnings, needed)
        return 0
    for warning in warnings:
        click.echo(printable(f"Warning: {warning}"), err=True)
    if against is None:
        click.echo(json.dumps(description, indent=2))
        return 0
    return _compare(described(against), description, champion, as_json=as_json)


def _unused(pipeline: Pipeline, settings: Settings) -> list[str]:
    """Return what is wrong with names of sources that are mapped, and that no source has."""
    names = {each.topic for each in pipeline.events} | {each.topic for each in pipeline.labels}
    unknown = unknown_names(pipeline, settings.topics)
    must = f"MILLRACE_TOPICS must name topics of sources, of which there are {sorted(names)}"
    meant = "".join(f" {name}: did you mean {near}?" for name, near in unknown.items() if near)
    return [f"{must}; got {[*unknown]}, which changes nothing.{meant}"] if unknown else []


def _apart(pipeline: Pipeline, settings: Settings) -> list[str]:
    """Return what nobody notices where others choose the partitions of events and labels."""
    reader = next(each for each in settings.agents_of(pipeline) if "ingest" in each)
    is_shared = bool(reader.sources) and Scope(pipeline.scope) is not Scope.GLOBAL
    if reader.routes or not is_shared:
        return []
    key = "id" if pipeline.key is None else "key"
    return [
        f"in the chain {settings.chain!r}, an event meets its label only on the partition that"
        " both came on, and nothing tells if they came on different ones: each producer of these"
        f" topics must send the events and labels of one {key} to the same partition (Debezium"
        " takes that of the row's primary key). The chain 'default' sends them there itself"
    ]


def _room(pipeline: Pipeline, settings: Settings, rate: float) -> Room:
    """Return what events need in the partition that has most of them."""
    is_on_one = Scope(pipeline.scope) is Scope.GLOBAL
    return room(pipeline, rate if is_on_one else rate / settings.partitions)


def _memory(pipeline: Pipeline, settings: Settings, needed: Room) -> Table:
    """Return what memory the events take that wait for labels."""
    table = Table(title="Memory", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    is_on_one = Scope(pipeline.scope) is Scope.GLOBAL
    of_all = 1 if is_on_one else settings.partitions
    table.add_row("an event waits", f"{span(needed.wait)} at most")
    where = "on one partition (scope global)" if is_on_one else f"on each of {of_all} partitions"
    table.add_row("events that wait", f"{needed.events:,} {where}, if no label comes before")
    table.add_row("bytes of an event", f"about {needed.event_bytes:,}, with an id of 36 letters")
    table.add_row("they take", f"{_size(needed.waiting_bytes)} a partition")
    table.add_row("with ended ids", f"{_size(needed.total_bytes * of_all)} in all workers together")
    table.add_row("the limits hold", f"{needed.held:,} events a partition")
    return table


def _size(size_bytes: int) -> str:
    if size_bytes < 10**8:
        return f"{size_bytes / 10**6:,.1f} MB"
    return f"{size_bytes / 10**9:,.1f} GB"


def _print(
    pipeline: Pipeline, settings: Settings, warnings: list[str], needed: Room | None
) -> None:
    console = output()
    console.print(_summary(pipeline))
    console.print(_fields(pipeline))
    console.print(_topics(pipeline, settings))
    if needed is not None:
        console.print(_memory(pipeline, settings, needed))
    for warning in warnings:
        console.print(f"Warning: {warning}", style="yellow")
    console.print(f"{pipeline.name} is a valid pipeline.", style="green")


def _compare(before: Description, now: Description, champion: str | None, *, as_json: bool) -> int:
    """Print what a deploy would change; return the exit code."""
    from millrace.models.identity.changes import changes

    found = changes(before, now, champion)
    text = json.dumps(found.to_json(), indent=2) if as_json else str(found)
    click.echo("\n".join(map(printable, text.split("\n"))))
    return EXIT_ERROR if found.refused else 0


def _summary(pipeline: Pipeline) -> Table:
    """Return the facts of one line each."""
    table = Table(title=f"Pipeline {pipeline.name}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in facts(pipeline).items():
        table.add_row(name, value)
    for place, seed in pipeline.seeds.items():
        table.add_row("seed", f"{place} = {seed}, made of its name, since it was None")
    return table


def _fields(pipeline: Pipeline) -> Table:
    """Return the event's fields, their types and their roles."""
    name = pipeline.event_schema.as_written.name
    table = Table(title=f"Event {name}", title_justify="left")
    for column in ("field", "type", "role"):
        table.add_column(column)
    for each in field_facts(pipeline):
        table.add_row(each.name, each.type, each.role)
    return table


def _topics(pipeline: Pipeline, settings: Settings) -> Table:
    """Return the topics of the chain: who they are for, and what they hold."""
    table = Table(title=f"Topics (chain {settings.chain})", title_justify="left")
    for column in ("topic", "for", "cleanup", "holds"):
        table.add_column(column)
    agents = settings.agents_of(pipeline)
    check_starts(pipeline, agents)
    for topic in topics_of(agents):
        cleanup = "compact" if topic.is_compacted else "delete"
        table.add_row(topic_prefix(pipeline) + topic.name, topic.use, cleanup, topic.holds)
    for name, source in sources_of(pipeline, settings.topics).items():
        holds = f"{holds_of(source)}: {form_of(source)}."
        table.add_row(full_name(topic_prefix(pipeline), name), Use.INPUT, "", holds)
    return table
