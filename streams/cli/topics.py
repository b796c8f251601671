"""`millrace topics`: what a broker holds of a pipeline."""

from __future__ import annotations

import time
from typing import Any

import click
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from rich.console import Console
from rich.table import Table

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.app import prepare_topics
from millrace.streams.cli.options import (
    broker_options,
    chain_option,
    pipeline_option,
    require_broker,
    the_pipeline,
)
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.clients import plain_reader
from millrace.streams.settings import Settings, read_settings
from millrace.streams.topology.topics import TopicSettings, topic_prefix, topic_settings

_TIMEOUT_SECONDS = 10.0
_RETRY_SECONDS = 0.2
_PASSING = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
"""What a broker may say of a topic that has only just been created."""


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
    counts = partition_counts(settings)
    reader = plain_reader(settings)
    try:
        for topic in wanted(pipeline, settings):
            partitions = counts.get(topic.name)
            if partitions is None:
                row = ("missing", "-")
            else:
                row = (str(partitions), f"{_records(reader, topic.name, partitions):,}")
            table.add_row(topic.name, *row, topic.config["cleanup.policy"])
    finally:
        reader.close()
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


def _records(reader: Consumer, topic: str, partitions: int) -> int:
    """Return how many records a topic holds, at the most: compaction leaves gaps in its offsets."""
    ends = [_ends(reader, TopicPartition(topic, each)) for each in range(partitions)]
    return sum(high - low for low, high in ends)


def _ends(reader: Consumer, where: TopicPartition) -> tuple[int, int]:
    """Return the first offset and the next one, once the partition has a leader."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            low, high = reader.get_watermark_offsets(where, timeout=_TIMEOUT_SECONDS)
        except KafkaException as error:
            cause: KafkaError = error.args[0]
            if cause.code() not in _PASSING or time.monotonic() > deadline:
                raise BrokerError(
                    f"topic {where.topic}[{where.partition}] requires to be readable;"
                    f" got {cause.str()!r}"
                ) from error
            time.sleep(_RETRY_SECONDS)
        else:
            return low, high
