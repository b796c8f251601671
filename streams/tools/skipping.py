"""Which records may still be skipped: those that have not been folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.schemas import CommandError
from millrace.streams.control.commands import check_form
from millrace.streams.control.in_force import skipped_record
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import committed_offset
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.names import short_name


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
    reader = next((each for each in agents if short_name(prefix, topic) in each.reads), None)
    if reader is None:
        raise CommandError(f"topic must be one that an agent of this chain reads; got {topic!r}")
    reached = committed_offset(clients, f"{prefix}{reader.name}", topic, partition)
    if reached > offset:
        raise CommandError(
            f"the record must be one that was not folded yet; {topic}[{partition}]@{offset} was:"
            f" agent {reader.name} has come to offset {reached}"
        )
