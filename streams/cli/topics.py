"""`millrace topics`: a pipeline's topics on a broker."""

from __future__ import annotations

from collections.abc import Mapping

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
from millrace.streams.topology.topics import TopicSettings


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
    output().print(_table(clients, wanted, present, f"{pipeline.name} on {settings.broker}"))
    for problem in topic_problems(clients, pipeline, settings, present):
        output().print(problem, markup=False, soft_wrap=True)


def _table(
    clients: Clients, wanted: list[TopicSettings], partitions: Mapping[str, int], title: str
) -> Table:
    """Return the topics that a pipeline needs, and how much the broker has of each."""
    table = Table(title=title, title_justify="left")
    table.add_column("topic")
    for column in ("partitions", "records"):
        table.add_column(column, justify="right")
    table.add_column("cleanup")
    for topic in wanted:
        count = partitions.get(topic.name, 0)
        records = _records(clients, topic.name, count)
        shown = (str(count), f"{records:,}") if count else ("missing", "-")
        table.add_row(topic.name, *shown, topic.config["cleanup.policy"])
    return table


def _records(clients: Clients, topic: str, partitions: int) -> int:
    """Return how many records a topic holds at most: compaction leaves gaps in its offsets."""
    marks = watermarks(clients, [(topic, each) for each in range(partitions)])
    return sum(each.high - each.low for each in marks.values())
