"""`millrace topics`: a pipeline's topics on a broker."""

from __future__ import annotations

import click
from rich.table import Table

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.cli.console import output
from millrace.streams.cli.options import (
    chain_option,
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
    setting,
)
from millrace.streams.kafka.admin import partition_counts, prepare_topics, topics_wanted
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import watermarks
from millrace.streams.settings import Settings


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
    output().print(_table(clients, pipeline, settings))


def _table(clients: Clients, pipeline: Pipeline, settings: Settings) -> Table:
    """Return the topics that the pipeline needs, and how much the broker has of each."""
    table = Table(title=f"{pipeline.name} on {settings.broker}", title_justify="left")
    table.add_column("topic")
    for column in ("partitions", "records"):
        table.add_column(column, justify="right")
    table.add_column("cleanup")
    partitions = partition_counts(clients)
    for topic in topics_wanted(pipeline, settings):
        count = partitions.get(topic.name, 0)
        records = _records(clients, topic.name, count)
        shown = (str(count), f"{records:,}") if count else ("missing", "-")
        table.add_row(topic.name, *shown, topic.config["cleanup.policy"])
    return table


def _records(clients: Clients, topic: str, partitions: int) -> int:
    """Return how many records a topic holds at most: compaction leaves gaps in its offsets."""
    marks = watermarks(clients, [(topic, each) for each in range(partitions)])
    return sum(each.high - each.low for each in marks.values())
