"""How far all agents of a pipeline have read, whichever workers they run in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.protocols import Clients, Place
from millrace.streams.kafka.reading import committed_offsets, watermarks
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.names import full_name, short_name
from millrace.streams.topology.topics import INPUTS


class Reading(NamedTuple):
    """How far a pipeline has read.

    Attributes
    ----------
    inputs
        Where the topics end that users produce to.
    is_drained
        Whether each agent has read all that it reads.
    """

    inputs: Mapping[Place, int]
    is_drained: bool


@dataclass(frozen=True)
class ReadingProgress:
    """Looks how far a pipeline has read.

    Parameters
    ----------
    clients
        Of the broker.
    prefix
        Of the pipeline's topics and groups.
    agents
        Returns the agents of the pipeline, as it is now.
    """

    clients: Clients
    prefix: str
    agents: Callable[[], Collection[AgentSpec]]

    def __call__(self) -> Reading:
        """Return how far it has read by now.

        Raises
        ------
        BrokerError
            The broker does not answer.
        """
        counts = partition_counts(self.clients)  # a topic may have been given more
        agents = self.agents()
        topics = frozenset().union(*(each.reads for each in agents))
        inputs = INPUTS.union(*(each.sources for each in agents))
        full = [full_name(self.prefix, each) for each in sorted(topics)]
        places = [(topic, each) for topic in full for each in range(counts.get(topic, 0))]
        ends = {place: each.high for place, each in watermarks(self.clients, places).items()}
        is_drained = all(self._has_read(each, self._of(each.reads, ends)) for each in agents)
        return Reading(self._of(inputs, ends), is_drained)

    def _of(self, topics: Collection[str], ends: Mapping[Place, int]) -> dict[Place, int]:
        """Return the ends of some topics, which are named without prefix."""
        return {at: end for at, end in ends.items() if short_name(self.prefix, at[0]) in topics}

    def _has_read(self, agent: AgentSpec, ends: Mapping[Place, int]) -> bool:
        """Whether an agent has committed that it has read its topics to their ends."""
        offsets = committed_offsets(self.clients, f"{self.prefix}{agent.name}", ends)
        return all(max(offsets[place], 0) >= end for place, end in ends.items())
