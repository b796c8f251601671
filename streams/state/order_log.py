"""The order of an agent's inputs on Kafka: a topic of its own, kept for as long as the inputs.

Each batch writes one note on each of its partitions, in the transaction of its outputs. What was
learned can so be learned again in the same order, by a worker that has lost its state, or by a tool
that makes a prediction again. Notes are signed with their place, as state is: another order would
teach the models something else.

That an old note is put back does no harm: its runs are behind what is there, and are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NotRequired, TypedDict

from millrace.streams.kafka.identity import Identity
from millrace.streams.kafka.protocols import Clients
from millrace.streams.state import snapshot
from millrace.streams.state.binding import Binding
from millrace.streams.state.input_order import Note
from millrace.streams.state.records import StateRecord, state_record
from millrace.streams.state.signed_topics import SignedTopics
from millrace.streams.state.succession import MisplacedError
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.topics import order_topic

_KEY = "order"


class _Written(TypedDict):
    """A note as it is written, for short.

    Topics are named once, each with its id. A run is two numbers: which topic, and how much further
    in that topic its last record is than where the one before it has ended. `second` is left out
    where it is false.
    """

    topics: list[str]
    ids: list[str]
    begins: list[int]
    runs: list[int]
    second: NotRequired[bool]


class OrderLog:
    """Writes and reads the order of one agent's inputs.

    Parameters
    ----------
    agent
        Whose inputs.
    clients
        Makes what reads.
    prefix
        Of the pipeline's topics.
    key
        Signs what is written; what is read must be signed with it.
    on_skipped
        Called with the topic of each record that is none of ours.
    """

    def __init__(
        self,
        agent: AgentSpec,
        clients: Clients,
        prefix: str,
        key: bytes,
        on_skipped: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.topic = order_topic(agent)
        self._key = key
        self._binding = Binding(prefix, key)
        self._signed = SignedTopics(clients, prefix, self._binding, on_skipped)

    def record(
        self, partition: int, note: Note, inputs: Mapping[str, Identity] = MappingProxyType({})
    ) -> StateRecord:
        """Return a note as it is written to a partition.

        Parameters
        ----------
        inputs
            Topic to which topic it is.
        """
        value = snapshot.dump(_written(note, inputs), self._key)
        return self._binding.signed(partition, state_record(self.topic, _KEY, value))

    def read(
        self,
        begins: Mapping[int, int],
        inputs: Mapping[str, Identity] = MappingProxyType({}),
        *,
        is_settled: bool = False,
    ) -> Iterator[tuple[int, Note]]:
        """Yield partition and note, to the ends that partitions have when they are reached.

        Parameters
        ----------
        begins
            Partition to the first offset to read; where it has expired, what there is.
        inputs
            Topic to which topic it is: what is noted of another one of that name is left out.
        is_settled
            Whether what is committed is waited for, until all of it can be read.

        Raises
        ------
        BrokerError
            The topic cannot be read to its end.
        """
        takers = dict.fromkeys(begins, _Notes())
        records = self._signed.read(self.topic, takers, begins=begins, is_settled=is_settled)
        for partition, record in records:
            note = _read(record, self._key, inputs)
            if note is not None:
                yield partition, note


class _Notes:
    """Takes what is signed with its place."""

    def take(self, record: StateRecord) -> None:
        if not record.is_bound:
            raise MisplacedError("its signature is missing: it was put there")

    def pass_over(self, record: StateRecord, error: Exception) -> None:
        """Do without it: it is counted and logged."""


def _written(note: Note, inputs: Mapping[str, Identity]) -> _Written:
    topics = sorted(note.begins)
    reached, runs = dict(note.begins), list[int]()
    for topic, last in note.runs:
        runs += topics.index(topic), last + 1 - reached[topic]
        reached[topic] = last + 1
    written: _Written = {
        "topics": topics,
        "ids": [inputs[topic].id if topic in inputs else "" for topic in topics],
        "begins": [note.begins[topic] for topic in topics],
        "runs": runs,
    }
    return {**written, "second": True} if note.is_second else written


def _read(record: StateRecord, key: bytes, inputs: Mapping[str, Identity]) -> Note | None:
    """Return a note, unless it is of other topics."""
    written: _Written = snapshot.load(record.value or b"", key)
    topics, ids = written["topics"], written["ids"]
    for topic, topic_id in zip(topics, ids, strict=True):
        if topic in inputs and inputs[topic].is_another(Identity(topic_id, 0)):
            return None
    begins = dict(zip(topics, written["begins"], strict=True))
    reached, runs = dict(begins), list[tuple[str, int]]()
    for number, further in zip(written["runs"][::2], written["runs"][1::2], strict=True):
        topic = topics[number]
        reached[topic] += further
        runs.append((topic, reached[topic] - 1))
    return Note(begins, runs, record.offset, written.get("second", False))
