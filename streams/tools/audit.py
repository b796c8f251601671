"""The audit trail of a pipeline: read from its topic, and checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain as chained
from typing import NamedTuple, cast

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RecordError
from millrace.schemas.records import Audit
from millrace.streams.formats import Outputs
from millrace.streams.kafka.admin import count_partitions, partition_counts
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.operators.registry import CONTROL, OPERATORS
from millrace.streams.state.saved_trail import SavedHead, saved_heads
from millrace.streams.tools.audit_chain import Break, Entry, breaks_in
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import SHIPPED
from millrace.streams.topology.topics import topic_prefix

_STATE = "state."
_NOBODY = "is by {}, of which there is no state: it is not of an agent, or its state was deleted"

States = Mapping[str, Mapping[int, SavedHead | None]]
"""Writer to each partition of its state: what is saved there, or None where nothing is yet."""


@dataclass(frozen=True)
class Trail:
    """What is on the topic `audit`.

    Attributes
    ----------
    topic, partitions
        Its full name, and how many partitions it has.
    entries
        Partition to its records, in order.
    strange
        Where something is that is no audit record.
    """

    topic: str
    partitions: int
    entries: Mapping[int, Sequence[Entry]]
    strange: Sequence[str] = ()

    def in_order_of_time(self) -> list[Entry]:
        """Return the entries of all partitions, by the time of what led to them."""
        entries = [each for _, part in sorted(self.entries.items()) for each in part]
        return sorted(entries, key=lambda each: each.value["time_ms"])


@dataclass(frozen=True)
class Verification:
    """What a check of a trail has shown.

    Attributes
    ----------
    records, writers, partitions
        How much was checked.
    breaks
        What is wrong; nothing where the trail is sound.
    unsaved
        The chains, as writer[partition], that could not be compared with a state of their writer.
    """

    records: int
    writers: int
    partitions: int
    breaks: list[Break] = field(default_factory=list)
    unsaved: list[str] = field(default_factory=list)


class _Chain(NamedTuple):
    """The chain of a writer in one of the writer's partitions."""

    writer: str
    partition: int

    def __str__(self) -> str:
        return f"{self.writer}[{self.partition}]"


def read_trail(clients: Clients, pipeline: Pipeline, outputs: Outputs | None = None) -> Trail:
    """Read the audit trail of a pipeline, in whichever of the formats of outputs it is.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such topic.
    """
    topic = f"{topic_prefix(pipeline)}audit"
    partitions = count_partitions(clients, topic)
    entries: dict[int, list[Entry]] = {each: [] for each in range(partitions)}
    strange = []
    for message in read_to_end(clients, topic, range(partitions)):
        partition = message.partition() or 0
        where = f"{topic}[{partition}]@{message.offset()}"
        try:
            entries[partition].append(Entry(where, read_audit(message.value() or b"", outputs)))
        except RecordError:
            strange.append(where)
    return Trail(topic, partitions, entries, strange)


def read_audit(data: bytes, outputs: Outputs | None = None) -> Audit:
    """Return the audit record in the bytes of a record, in any of the output formats.

    Raises
    ------
    RecordError
        It is none.
    """
    return cast(Audit, (outputs or Outputs()).decode(SHIPPED["Audit"], data))


def saved_states(clients: Clients, pipeline: Pipeline, key: bytes) -> States:
    """Return what the state of each agent says of the trail, whichever chain it belongs to.

    Read it before the trail: else it may know more than the trail has.

    Raises
    ------
    SnapshotError
        A state is signed with another key.
    BrokerError
        The broker does not answer.
    """
    prefix = topic_prefix(pipeline)
    begin = f"{prefix}{_STATE}"
    counts = {
        name.removeprefix(begin): count
        for name, count in partition_counts(clients).items()
        if name.startswith(begin)
    }
    return {
        name: saved_heads(clients, prefix, f"{_STATE}{name}", key, range(count))
        for name, count in counts.items()
        if _writes_audit(name)
    }


def verify(trail: Trail, states: States | None, prefix: str) -> Verification:
    """Check a trail.

    Parameters
    ----------
    states
        See `saved_states`; None without the key: then each chain is checked alone.
    prefix
        Of the pipeline's topics.
    """
    chains = _by_chain(trail)
    known = {
        _Chain(writer, partition): head
        for writer, heads in (states or {}).items()
        for partition, head in heads.items()
    }
    breaks = [Break(where, "is no audit record") for where in trail.strange]
    for chain in sorted({*chains} | {each for each, head in known.items() if head}):
        entries = chains.get(chain, [])
        if states is not None and chain not in known:
            breaks.append(Break(entries[0].where, _NOBODY.format(chain)))
            continue
        end = f"{trail.topic}[{chain.partition % trail.partitions}]"
        breaks += breaks_in(entries, known.get(chain), end, prefix)
    unsaved = [str(each) for each in chains if each in known and known[each] is None]
    records = sum(map(len, trail.entries.values())) + len(trail.strange)
    writers = {each.writer for each in chains}
    return Verification(records, len(writers), trail.partitions, breaks, unsaved)


def _by_chain(trail: Trail) -> dict[_Chain, list[Entry]]:
    """Return the records of each chain in order.

    One that was moved to another partition, when the topic got more of them, goes on there.
    """
    parts: defaultdict[_Chain, list[list[Entry]]] = defaultdict(list)
    for _, entries in sorted(trail.entries.items()):
        found: defaultdict[_Chain, list[Entry]] = defaultdict(list)
        for each in entries:
            found[_Chain(each.value["writer"], each.value["partition"])].append(each)
        for chain, part in found.items():
            parts[chain].append(part)
    for each_chain in parts.values():
        each_chain.sort(key=_first)
    return {chain: [*chained.from_iterable(each)] for chain, each in parts.items()}


def _first(entries: Sequence[Entry]) -> int:
    return min(each.value["number"] for each in entries)


def _writes_audit(agent: str) -> bool:
    operators = tuple(agent.split("-"))
    return {*operators} <= {*OPERATORS, CONTROL} and "audit" in AgentSpec(operators).writes
