"""Which records may still be skipped: those that have not been folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing

from confluent_kafka import KafkaException, TopicPartition

from millrace.schemas import BrokerError, CommandError
from millrace.streams.control.commands import check_form
from millrace.streams.control.in_force import skipped_record
from millrace.streams.kafka.diagnosis import Request, explain
from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.protocols import Clients
from millrace.streams.topology.chain import AgentSpec

_TIMEOUT_SECONDS = 30.0


def check_not_folded(
    clients: Clients, agents: Iterable[AgentSpec], prefix: str, arguments: Mapping[str, str]
) -> None:
    """Refuse to skip a record that was folded: a replay, which skips it, would differ.

    Parameters
    ----------
    agents
        Of the chain.
    prefix
        Of the pipeline's topics.
    arguments
        Of the command `skip`.

    Raises
    ------
    CommandError
        It was folded, no agent reads its topic, or the arguments are wrong.
    BrokerError
        The broker does not say how far the agent has come.
    """
    check_form("skip", arguments)
    topic, partition, offset = skipped_record(prefix, arguments)
    reader = next((each for each in agents if topic.removeprefix(prefix) in each.reads), None)
    if reader is None:
        raise CommandError(f"topic must be one that an agent of this chain reads; got {topic!r}")
    group = f"{prefix}{reader.name}"
    with closing(clients.consumer(group, {})) as consumer:
        try:
            (at,) = consumer.committed([TopicPartition(topic, partition)], timeout=_TIMEOUT_SECONDS)
        except KafkaException as error:
            why = explain(clients, cause_of(error), Request(topic, group=group))
            raise BrokerError(why) from error
    if at.offset > offset:
        raise CommandError(
            f"the record must be one that was not folded yet; {topic}[{partition}]@{offset} was:"
            f" agent {reader.name} has come to offset {at.offset}"
        )
