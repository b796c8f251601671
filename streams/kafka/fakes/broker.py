"""A broker in memory: logs, transactions, consumer groups, and faults to order."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from millrace.streams.kafka.protocols import Headers, Place

Action = Callable[[], object]

START_MS = 1_700_000_000_000
"""The broker's time, in milliseconds since the Unix epoch, until a test sets another."""


class Membership(NamedTuple):
    """What a consumer says of itself when it commits."""

    group: str
    member: int
    generation: int


@dataclass
class Transaction:
    """What was written under a transactional id since its begin.

    Attributes
    ----------
    outcome
        `open`, `committed` or `aborted`.
    """

    outcome: str = "open"
    places: set[Place] = field(default_factory=set)
    offsets: list[tuple[str, TopicPartition]] = field(default_factory=list)


class _Entry(NamedTuple):
    message: Message | None  # None: the marker of a transaction
    transaction: Transaction | None


class Log:
    """One partition.

    Attributes
    ----------
    start
        The first offset that retention has left.
    """

    def __init__(self) -> None:
        self.start = 0
        self._entries: list[_Entry] = []

    @property
    def end(self) -> int:
        """The offset behind the last entry."""
        return len(self._entries)

    @property
    def last_stable(self) -> int:
        """The offset of the first entry of an open transaction, or the end."""
        is_open = (
            each.transaction and each.transaction.outcome == "open" for each in self._entries
        )
        return next((offset for offset, is_ in enumerate(is_open) if is_), self.end)

    def append(self, message: Message | None, transaction: Transaction | None) -> None:
        self._entries.append(_Entry(message, transaction))

    def committed(self, offset: int) -> tuple[int, Message | None]:
        """Return the first record from an offset on that may be read, and the offset behind it."""
        for at in range(max(offset, self.start), self.last_stable):
            message, transaction = self._entries[at]
            if message is not None and (transaction is None or transaction.outcome == "committed"):
                return at + 1, message
        return max(offset, self.last_stable), None


class Group:
    """A consumer group: committed offsets, members and their generation."""

    def __init__(self) -> None:
        self.offsets: dict[Place, int] = {}
        self.metadata: dict[Place, str] = {}
        self.generation = 0
        self.members: list[int] = []
        self.is_rebalancing = False
        self._rejoined: set[int] = set()

    def commit(self, at: TopicPartition) -> None:
        """Keep an offset, with its metadata."""
        self.offsets[at.topic, at.partition] = at.offset
        self.metadata[at.topic, at.partition] = at.metadata or ""

    def forget(self, topic: str) -> None:
        """Forget the offsets of a topic."""
        for place in [each for each in self.offsets if each[0] == topic]:
            del self.offsets[place], self.metadata[place]

    def join(self, member: int) -> None:
        self.members.append(member)
        self.is_rebalancing = True

    def leave(self, member: int) -> None:
        """Let a member go: the others are given its partitions."""
        if member in self.members:
            self.members.remove(member)
            self.is_rebalancing = True
            self._finish_rebalance()

    def rejoin(self, member: int) -> None:
        """Note that a member has revoked its partitions, as it must before any is assigned."""
        self._rejoined.add(member)
        self._finish_rebalance()

    def share(self, member: int, partitions: int) -> range:
        """Return a member's share of so many partitions: the first members have one more."""
        at, (each, more) = self.members.index(member), divmod(partitions, len(self.members))
        return range(at * each + min(at, more), (at + 1) * each + min(at + 1, more))

    def _finish_rebalance(self) -> None:
        if self._rejoined >= {*self.members}:
            self._rejoined.clear()
            self.generation += 1
            self.is_rebalancing = False


@dataclass
class _Producing:
    epoch: int = 0
    transaction: Transaction | None = None


class FakeBroker:
    """Topics, transactions and groups in memory, and faults to order.

    Attributes
    ----------
    topics
        Name to partitions.
    topic_ids
        Name to the topic's id.
    configs
        Name to what the topic was created with.
    groups
        Name to group.
    max_message_bytes
        A larger record is refused by the client.
    topic_bytes
        Topic to the largest record that the broker takes.
    refused
        Topic to the code of the error with which it takes no record.
    now_ms
        Timestamp of records that have none.
    unacknowledged
        How many records a producer's `flush` leaves behind.

    Examples
    --------
    >>> broker = FakeBroker({"events": 1})
    >>> broker.put("events", b"first"), broker.put("events", b"second")
    (0, 1)
    >>> broker.values("events")
    [b'first', b'second']
    """

    def __init__(self, topics: dict[str, int] | None = None) -> None:
        self.topics: dict[str, list[Log]] = {}
        self.topic_ids: dict[str, str] = {}
        self.configs: dict[str, dict[str, str]] = {}
        self._numbers = count(1)
        self.groups: defaultdict[str, Group] = defaultdict(Group)
        self.max_message_bytes = 16 * 1024 * 1024
        self.refused: dict[str, int] = {}
        self.topic_bytes: dict[str, int] = {}
        self.now_ms = START_MS
        self.unacknowledged = 0
        self._producing: defaultdict[str, _Producing] = defaultdict(_Producing)
        self._faults: defaultdict[str, deque[Action]] = defaultdict(deque)
        for name, partitions in (topics or {}).items():
            self.create(name, partitions)

    def create(self, topic: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
        """Create a topic, with an id that no other has had."""
        self.topics[topic] = [Log() for _ in range(partitions)]
        self.topic_ids[topic] = f"id-{next(self._numbers)}"
        self.configs[topic] = dict(config or {})

    def widen(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic, until it has so many: groups share them out."""
        logs = self.topics[topic]
        logs += [Log() for _ in range(partitions - len(logs))]

    def delete(self, topic: str) -> None:
        """Delete a topic, and what groups have committed of it."""
        if topic not in self.topics:
            fail(KafkaError.UNKNOWN_TOPIC_OR_PART)
        del self.topics[topic], self.topic_ids[topic]
        for group in self.groups.values():
            group.forget(topic)

    def put(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int = 0,
        timestamp_ms: int | None = None,
        headers: Headers | None = None,
        transaction: Transaction | None = None,
    ) -> int:
        """Append a record, as any producer would, and return its offset."""
        log = self.topics[topic][partition]
        offset = log.end
        message = Message(
            topic=topic,
            partition=partition,
            offset=offset,
            key=key,
            value=value,
            headers=[(name, _encoded(each)) for name, each in headers] if headers else None,
            timestamp=(1, self.now_ms if timestamp_ms is None else timestamp_ms),
        )
        log.append(message, transaction)
        return offset

    def records(self, topic: str, partition: int = 0) -> list[Message]:
        """Return what is committed on a partition."""
        log, offset = self.topics[topic][partition], 0
        found: list[Message] = []
        while True:
            offset, message = log.committed(offset)
            if message is None:
                return found
            found.append(message)

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        """Return the values of what is committed on a partition."""
        return [each.value() for each in self.records(topic, partition)]

    def expire(self, topic: str, before: int, partition: int = 0) -> None:
        """Drop the records before an offset, as retention does."""
        self.topics[topic][partition].start = before

    def before(self, operation: str, action: Action) -> None:
        """Do something just before the next call of a client's method of this name.

        What the action raises, the call raises; while it does not return, the call hangs.
        """
        self._faults[operation].append(action)

    def fail_next(self, operation: str, code: int, *, fatal: bool = False) -> None:
        """Let the next call of a client's method of this name raise an error of Kafka."""
        self.before(operation, lambda: fail(code, fatal=fatal))

    def meet_fault(self, operation: str) -> None:
        """Do what was ordered for this call; fake clients call it."""
        if self._faults[operation]:
            self._faults[operation].popleft()()

    def init_transactions(self, transactional_id: str) -> int:
        """Begin anew under an id: abort what is open under it; return the epoch of the producer."""
        producing = self._producing[transactional_id]
        self.end_transaction(transactional_id, "aborted")
        producing.epoch += 1
        return producing.epoch

    def is_fenced(self, transactional_id: str, epoch: int) -> bool:
        """Return whether another producer has begun under the id since."""
        return self._producing[transactional_id].epoch != epoch

    def transaction(self, transactional_id: str) -> Transaction:
        """Return the open transaction of an id, begun where there is none."""
        producing = self._producing[transactional_id]
        producing.transaction = producing.transaction or Transaction()
        return producing.transaction

    def end_transaction(self, transactional_id: str, outcome: str) -> None:
        """Commit or abort: a marker in each partition, and the offsets with the commit."""
        producing = self._producing[transactional_id]
        transaction, producing.transaction = producing.transaction, None
        if transaction is None:
            return
        transaction.outcome = outcome
        for topic, partition in sorted(transaction.places):
            self.topics[topic][partition].append(None, None)
        for group, at in transaction.offsets if outcome == "committed" else ():
            self.groups[group].commit(at)

    def has_unstable_offsets(self, group: str) -> bool:
        """Return whether an open transaction holds offsets of a group: they are kept back."""
        open_now = [each.transaction for each in self._producing.values() if each.transaction]
        return any(name == group for each in open_now for name, _ in each.offsets)

    def check_member(self, membership: Membership) -> None:
        """Raise what a coordinator answers to one that is no member, or of an older generation."""
        group = self.groups[membership.group]
        if membership.member not in group.members:
            fail(KafkaError.UNKNOWN_MEMBER_ID, txn_requires_abort=True)
        if membership.generation != group.generation:
            fail(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)


def fail(code: int, *, fatal: bool = False, txn_requires_abort: bool = False) -> None:
    """Raise an error as confluent-kafka does."""
    raise KafkaException(KafkaError(code, None, fatal, False, txn_requires_abort))


def _encoded(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
