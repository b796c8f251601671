"""The blocks of events on the topic `evaluations`: who is ahead."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import closing, suppress
from typing import NamedTuple, cast

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.incumbents import incumbent_of
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.groups import Groups
from millrace.models.selection.promoter import Promoter
from millrace.schemas import RecordError
from millrace.schemas.records import Evaluation
from millrace.streams.formats import Outputs
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import TopicReader
from millrace.streams.topology.codec import SHIPPED
from millrace.streams.topology.topics import topic_prefix

_POLL_SECONDS = 0.5


class Followed(NamedTuple):
    """What the blocks of a pipeline have shown.

    Attributes
    ----------
    promoter
        Who is ahead.
    groups
        Where each is.
    metrics
        Partition to the newest block with metrics.
    """

    promoter: Promoter
    groups: Groups
    metrics: dict[int, Evaluation]

    def add(self, block: Evaluation) -> None:
        """Take the next block."""
        self.promoter.add(block)
        if block["champion"] == self.promoter.contest.champion:
            self.groups.add(block)
        if block["metrics"]:
            self.metrics[block["partition"]] = block


def follow_evaluations(
    clients: Clients, pipeline: Pipeline, outputs: Outputs | None = None
) -> Generator[Followed, None, None]:
    """Yield what the blocks of a pipeline have shown, and again whenever more have come.

    What somebody else wrote to the topic is passed over.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such topic.
    """
    followed = Followed(Promoter([*baselines(Task(pipeline.task))]), Groups(), {})
    topic = f"{topic_prefix(pipeline)}evaluations"
    partitions = range(count_partitions(clients, topic))
    places = [TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions]
    with closing(TopicReader(clients, places)) as reader:
        is_first = True
        while True:
            messages = reader.take(_POLL_SECONDS)
            for message in messages:
                with suppress(RecordError):
                    followed.add(_block(message.value() or b"", outputs or Outputs()))
            if not reader.unfinished and (messages or is_first):
                is_first = False
                yield followed


def role_of(name: str, champion: str, baselines: Collection[str]) -> str:
    """Return what a name stands for: `champion`, `challenger`, `baseline` or `candidate`.

    Examples
    --------
    >>> role_of("tree.challenger@9", champion="tree", baselines=["prior"])
    'challenger'
    """
    if name == champion:
        return "champion"
    if incumbent_of(name) != name:
        return "challenger"
    return "baseline" if name in baselines else "candidate"


def _block(data: bytes, outputs: Outputs) -> Evaluation:
    return cast(Evaluation, outputs.decode(SHIPPED["Evaluation"], data))
