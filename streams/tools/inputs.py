"""What a task has read, in the order in which it has read it: from the log, after the fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from millrace.schemas import BrokerError, ExpiredError
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import Watermarks, read_to_end, watermarks
from millrace.streams.kafka.records import origin_of
from millrace.streams.operators.record import Origin
from millrace.streams.topology.chain import AgentSpec


class TaskInputs:
    """The records of one partition of an agent's inputs.

    Parameters
    ----------
    clients
        Of the broker.
    agent
        Whose inputs.
    prefix
        Of the pipeline's topics.
    partition
        Which of them.
    begins
        Topic, without prefix, to the first offset that is wanted; by default 0.

    Attributes
    ----------
    topics
        Those that have any, with the prefix.
    records
        How many there are at most.

    Raises
    ------
    ExpiredError
        Records that are wanted have expired.
    BrokerError
        There are none.
    """

    def __init__(
        self,
        clients: Clients,
        agent: AgentSpec,
        prefix: str,
        partition: int,
        begins: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._clients = clients
        self._prefix = prefix
        self._partition = partition
        there = partition_counts(clients)  # an earlier release had no commands
        topics = [topic for topic in sorted(agent.reads) if prefix + topic in there]
        marks = watermarks(clients, [(prefix + topic, partition) for topic in topics])
        self._begins = {topic: begins.get(topic, 0) for topic in topics}
        ends = {topic: marks[prefix + topic, partition] for topic in topics}
        self._check(ends)
        left = {topic: ends[topic].high - self._begins[topic] for topic in topics}
        self._used = [topic for topic, count in left.items() if count > 0]
        self.topics = [prefix + topic for topic in self._used]
        self.records = sum(left[topic] for topic in self._used)
        if not self._used:
            names = ", ".join(prefix + topic for topic in topics)
            raise BrokerError(f"the log is empty: partition {partition} of {names}")

    def __str__(self) -> str:
        """Return their names."""
        return ", ".join(f"{topic}[{self._partition}]" for topic in self.topics)

    def in_order(self) -> Iterator[Origin]:
        """Yield them, in the order in which the task has read them.

        Raises
        ------
        BrokerError
            Their order is not in the log, or they cannot be read.
        """
        if len(self._used) > 1:
            names = " and ".join(self.topics)
            raise BrokerError(
                f"the order of events and labels is not in the log: {names} both have records. Use"
                " the chain default, produce labels to `events`, or put them inside their events"
            )
        yield from self._read(self._used[0])

    def _read(self, topic: str) -> Iterator[Origin]:
        for message in read_to_end(
            self._clients,
            self._prefix + topic,
            [self._partition],
            begin=self._begins[topic],
        ):
            yield origin_of(message, self._prefix)

    def _check(self, ends: Mapping[str, Watermarks]) -> None:
        for topic, (low, _) in ends.items():
            begin = self._begins[topic]
            if low > begin:
                raise ExpiredError(
                    f"the log is incomplete: {self._prefix}{topic}[{self._partition}] begins at"
                    f" offset {low}, because older records have expired. A prediction is made again"
                    f" from offset {begin}; to keep records longer, set MILLRACE_RETENTION_HOURS"
                    " before the topics are created"
                )
