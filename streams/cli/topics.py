"""`millrace topics`: a pipeline's topics on a broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import click
from rich.table import Table

from millrace.streams.cli.console import output
from millrace.streams.cli.options import (
    chain_option,
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
    setting,
)
from millrace.streams.kafka.admin import (
    partition_counts,
    prepare_topics,
    topic_problems,
    topics_wanted,
)
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import watermarks
from millrace.streams.settings import Settings
from millrace.streams.topology.names import full_name, short_name
from millrace.streams.topology.sources import sources_of
from millrace.streams.topology.topics import TOPICS, TopicSettings, Use, topic_prefix


@click.command()
@pipeline_option
@running_broker
@chain_option
@click.option("--create", is_flag=True, help="Create the topics that are missing.")
@setting("partitions", metavar="N")
@setting("replication", metavar="N")
@pass_settings
def topics(settings: Settings, create: bool) -> None:
    """List a pipeline's topics on a broker, or create them.

    A worker creates missing topics when it starts. Create them here if workers are not allowed to,
    or to produce events before the first worker runs.
    """
    require_broker(settings)
    pipeline = settings.load_pipeline()
    clients = KafkaClients(settings)
    if create:
        prepare_topics(clients, pipeline, settings)
    present = partition_counts(clients)
    wanted = topics_wanted(pipeline, settings, present)
    prefix = topic_prefix(pipeline)
    rows = [_row(each, prefix) for each in wanted]
    rows += [
        (full_name(prefix, each), Use.INPUT, "") for each in sources_of(pipeline, settings.topics)
    ]
    output().print(_table(clients, rows, present, f"{pipeline.name} on {settings.broker}"))
    for problem in topic_problems(clients, pipeline, settings, present):
        output().print(problem, markup=False, soft_wrap=True)


def _row(topic: TopicSettings, prefix: str) -> tuple[str, Use, str]:
    """Return a topic, who it is for, and how it is cleaned up."""
    known = TOPICS.get(short_name(prefix, topic.name))
    return topic.name, Use.INTERNAL if known is None else known.use, topic.config["cleanup.policy"]


def _table(
    clients: Clients,
    topics: Iterable[tuple[str, Use, str]],
    partitions: Mapping[str, int],
    title: str,
) -> Table:
    """Return the topics that a pipeline needs, and how much the broker has of each."""
    table = Table(title=title, title_justify="left")
    table.add_column("topic")
    for column in ("partitions", "records"):
        table.add_column(column, justify="right")
    table.add_column("cleanup")
    table.add_column("for")
    for name, use, cleanup in topics:
        count = partitions.get(name, 0)
        records = _records(clients, name, count)
        shown = (str(count), f"{records:,}") if count else ("missing", "-")
        table.add_row(name, *shown, cleanup, use)
    return table


def _records(clients: Clients, topic: str, partitions: int) -> int:
    """Return how many records a topic holds at most: compaction leaves gaps in its offsets."""
    marks = watermarks(clients, [(topic, each) for each in range(partitions)])
    return sum(each.high - each.low for each in marks.values())
