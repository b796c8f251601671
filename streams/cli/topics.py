"""`millrace topics`: what a broker holds of a pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.app import prepare_topics
from millrace.streams.cli.options import (
    broker_options,
    chain_option,
    pipeline_option,
    require_broker,
    the_pipeline,
)
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import watermarks
from millrace.streams.settings import Settings, read_settings
from millrace.streams.topology.topics import TopicSettings, topic_prefix, topic_settings


@click.command()
@pipeline_option
@broker_options
@chain_option
@click.option("--create", is_flag=True, help="Create those that are missing.")
@click.option("--partitions", type=int, help="Of those that are created. [default: 4]")
@click.option("--replication", type=int, help="Of those. [default: the broker's]")
def topics(create: bool, **given: Any) -> None:
    """List a pipeline's topics on a broker, or create them.

    A worker creates what is missing when it starts. Create topics here where workers may not, or
    to produce before the first worker runs.
    """
    settings = read_settings(**given)
    require_broker(settings, "topics")
    pipeline = the_pipeline(settings, "topics")
    if create:
        prepare_topics(pipeline, settings)
    Console(highlight=False).print(_table(pipeline, settings))


def _table(pipeline: Pipeline, settings: Settings) -> Table:
    table = Table(title=f"{pipeline.name} on {settings.broker}", title_justify="left")
    table.add_column("topic")
    for column in ("partitions", "records"):
        table.add_column(column, justify="right")
    table.add_column("cleanup")
    clients = KafkaClients(settings)
    counts = partition_counts(clients)
    topics = wanted(pipeline, settings)
    records = _records(clients, {each.name: counts.get(each.name, 0) for each in topics})
    for topic in topics:
        if topic.name in counts:
            row = (str(counts[topic.name]), f"{records[topic.name]:,}")
        else:
            row = ("missing", "-")
        table.add_row(topic.name, *row, topic.config["cleanup.policy"])
    return table


def wanted(pipeline: Pipeline, settings: Settings) -> list[TopicSettings]:
    """Return the topics that a pipeline needs in the chain that is set."""
    return topic_settings(
        settings.agents,
        prefix=topic_prefix(pipeline),
        partitions=settings.partitions,
        replication=settings.replication,
        retention_ms=int(settings.retention_hours * 3_600_000),
    )


def _records(clients: Clients, partitions: Mapping[str, int]) -> Counter[str]:
    """Return how many records each topic holds at most: compaction leaves gaps in its offsets."""
    places = [(topic, each) for topic, count in partitions.items() for each in range(count)]
    records: Counter[str] = Counter()
    for (topic, _), marks in watermarks(clients, places).items():
        records[topic] += marks.high - marks.low
    return records
