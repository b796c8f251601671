"""What a task has read, in the order in which it has read it: from the log, after the fact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from types import MappingProxyType

from millrace.schemas import BrokerError, ExpiredError
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import Watermarks, read_to_end, watermarks
from millrace.streams.kafka.records import origin_of
from millrace.streams.operators.record import Origin
from millrace.streams.state.input_order import Note
from millrace.streams.state.order_log import OrderLog
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.names import full_name, short_name
from millrace.streams.topology.topics import order_topic


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
    key
        What the order of several inputs is signed with; None for one that is not known.

    Attributes
    ----------
    topics
        Those that have any, with the prefix.
    records
        How many there are at most.
    is_second
        Whether what was yielded last was taken before, in an order that is not known.
    order_from
        The first offset of the order's topic that is wanted.

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
        key: bytes | None = None,
    ) -> None:
        self._clients = clients
        self._agent = agent
        self._prefix = prefix
        self._partition = partition
        self._key = key
        self.order_from, self.is_second = 0, False
        there = partition_counts(clients)  # an earlier release had no commands, and kept no order
        self._order = prefix + order_topic(agent)
        ends = self._ends([self._order] if self._order in there else [])
        self._order_end = ends[self._order].high if ends else 0
        names = {topic: full_name(prefix, topic) for topic in sorted(agent.reads)}
        topics = [topic for topic, name in names.items() if name in there]
        marks = self._ends([names[topic] for topic in topics])  # later: they have what is noted
        self._begins = {topic: begins.get(topic, 0) for topic in topics}
        self._check(marks)
        left = {topic: marks[names[topic]].high - self._begins[topic] for topic in topics}
        self._used = [topic for topic, count in left.items() if count > 0]
        self.topics = [names[topic] for topic in self._used]
        self.records = sum(left[topic] for topic in self._used)
        if not self._used:
            raise BrokerError(f"the log is empty: partition {partition} of {', '.join(marks)}")

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
        notes = self._notes() if len(self._used) > 1 else ()
        topics = {topic: self._read(topic) for topic in self._used}
        try:
            yield from in_noted_order(notes, topics)
        except UnknownOrderError as error:
            raise BrokerError(
                f"the order of events and labels is not in the log: {error}. It is kept since"
                f" release 0.2, for as long as {self._order} keeps its records. Records of before"
                " can be folded again only where all of them came in one topic"
            ) from error

    def _notes(self) -> Iterator[Note]:
        """Yield what is noted on records that are there already."""
        if not self._order_end:
            return
        if self._key is None:
            raise BrokerError(
                f"the order of {' and '.join(self.topics)} is signed, and cannot be checked without"
                " a key. Set MILLRACE_STATE_KEY as for the workers"
            )
        log = OrderLog(self._agent, self._clients, self._prefix, self._key)
        for _, note in log.read({self._partition: self.order_from}):
            if note.offset >= self._order_end:
                return
            self.is_second = note.is_second
            yield note
        self.is_second = False

    def _read(self, topic: str) -> Iterator[Origin]:
        for message in read_to_end(
            self._clients,
            full_name(self._prefix, topic),
            [self._partition],
            begins={self._partition: self._begins[topic]},
        ):
            yield origin_of(message, self._prefix)

    def _ends(self, topics: Iterable[str]) -> dict[str, Watermarks]:
        found = watermarks(self._clients, [(topic, self._partition) for topic in topics])
        return {topic: marks for (topic, _), marks in found.items()}

    def _check(self, ends: Mapping[str, Watermarks]) -> None:
        for topic, (low, _) in ends.items():
            begin = self._begins[short_name(self._prefix, topic)]
            if low > begin:
                raise ExpiredError(
                    f"the log is incomplete: {topic}[{self._partition}] begins at"
                    f" offset {low}, because older records have expired. A prediction is made again"
                    f" from offset {begin}; to keep records longer, set MILLRACE_RETENTION_HOURS"
                    " before the topics are created"
                )


class UnknownOrderError(Exception):
    """Of records of two topics, nothing says which was taken first."""


def in_noted_order(
    notes: Iterable[Note], topics: Mapping[str, Iterator[Origin]]
) -> Iterator[Origin]:
    """Yield the records of several topics in the order that is noted.

    Raises
    ------
    UnknownOrderError
        There are records of two topics before, between or behind the notes.

    Examples
    --------
    >>> def read(topic, *offsets):
    ...     return iter([Origin(topic, 0, offset, 0, None, None) for offset in offsets])
    >>> topics = {"events": read("events", 0, 1, 2), "labels": read("labels", 0)}
    >>> note = Note({"events": 0, "labels": 0}, [("events", 0), ("labels", 0)])
    >>> [f"{each.topic} {each.offset}" for each in in_noted_order([note], topics)]
    ['events 0', 'labels 0', 'events 1', 'events 2']
    """
    ahead = {topic: _Ahead(records) for topic, records in topics.items()}
    for note in notes:
        yield from _of_one(ahead, note.begins)
        for topic, last in note.runs:
            if topic in ahead:
                yield from ahead[topic].before(last + 1)
    yield from _of_one(ahead, dict.fromkeys(ahead, inf))


class _Ahead:
    """Reads a topic one record ahead."""

    def __init__(self, records: Iterator[Origin]) -> None:
        self._records = records
        self._next: Origin | None = None

    def first(self) -> Origin | None:
        """Return the next record, if there is one."""
        if self._next is None:
            self._next = next(self._records, None)
        return self._next

    def before(self, end: float) -> Iterator[Origin]:
        """Take the records before an offset."""
        while (origin := self.first()) is not None and origin.offset < end:
            self._next = None
            yield origin


def _of_one(ahead: Mapping[str, _Ahead], ends: Mapping[str, float]) -> Iterator[Origin]:
    """Yield the records before some offsets, on which nothing is noted, if one topic has them."""
    there = {topic: each.first() for topic, each in ahead.items()}
    found = [each for topic, each in there.items() if each and each.offset < ends.get(topic, 0)]
    if len(found) > 1:
        places = (f"{each.full_topic}[{each.partition}]@{each.offset}" for each in found)
        raise UnknownOrderError(f"nothing says which of {' and '.join(places)} came first")
    for each in found:
        yield from ahead[each.topic].before(ends[each.topic])
