"""What an agent reads: one consumer of its group, whose errors are told apart.

Most errors are transient: librdkafka tries again, and they are logged and counted. An offset that
the broker no longer has is never skipped; it ends the poll with an error, and the next assignment
decides whether a gap is accepted. Records that the broker has and the consumer does not fetch are
an error, too: the engine starts again with a new consumer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from millrace.schemas import BrokerError, ExpiredError
from millrace.streams.kafka.callbacks import Callbacks, Rebalanced
from millrace.streams.kafka.diagnosis import Request, explain, explained
from millrace.streams.kafka.errors import cause_of, is_transient
from millrace.streams.kafka.identity import Identity, metadata, read_metadata
from millrace.streams.kafka.protocols import Clients, Place
from millrace.streams.kafka.reading import Watermarks
from millrace.streams.kafka.records import runs_of
from millrace.streams.kafka.stall import StallDetector
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import Origin
from millrace.streams.runtime.gaps import Position, find_gap
from millrace.streams.runtime.lag import Lag
from millrace.streams.runtime.topic_watch import TopicWatch
from millrace.streams.state.input_order import by_time
from millrace.streams.topology.names import full_name

_POLL_SECONDS = 0.1
_TIMEOUT_SECONDS = 30.0
_ENDS_SECONDS = 0.5  # an end is reported after one fetch that finds nothing
_RECORDS_AT_AN_END = 1_000

_log = structlog.get_logger(__name__)


class Committed(NamedTuple):
    """What a group has committed of a partition.

    Attributes
    ----------
    offset
        The next record.
    topic
        The topic that the offset belongs to, where this is known.
    definition
        Reference of the definition in force there, where this is known.
    first_partitions
        How many partitions the topic had when the group began with it, where that counts.
    """

    offset: int
    topic: Identity | None
    definition: str = ""
    first_partitions: int | None = None


class RebalanceListener(Protocol):
    """Is told what happens to the partitions, from within `Inbox.poll` and `Inbox.close`."""

    def on_assign(self, partitions: list[TopicPartition]) -> None: ...

    def on_revoke(self, partitions: list[TopicPartition]) -> None: ...

    def on_lost(self, partitions: list[TopicPartition]) -> None: ...


class Inbox:
    """The consuming half of an agent, in its group from the moment it is made.

    Parameters
    ----------
    name
        The agent's name: with the prefix, its consumer group.
    clients
        Makes the consumer.
    prefix
        Of the pipeline's topics and groups.
    topics
        What to read, without prefix.
    metrics
        Where errors are counted.
    stalls
        Finds partitions that are not fetched.
    watch
        Knows which topics these are, and notices when they are not any more.
    lag
        Reports what is yet to be read.
    listener
        Is told what happens to the partitions.

    Attributes
    ----------
    consumer
        The client.
    first_partitions
        Topic to how many partitions it had when the group began with it, where that counts: it is
        kept with offsets.
    """

    def __init__(
        self,
        name: str,
        clients: Clients,
        prefix: str,
        topics: Iterable[str],
        metrics: Metrics,
        stalls: StallDetector,
        watch: TopicWatch,
        lag: Lag,
        listener: RebalanceListener,
    ) -> None:
        self.topics = tuple(topics)
        self.first_partitions: Mapping[str, int] = {}
        self._short = {full_name(prefix, topic): topic for topic in self.topics}
        self._name = name
        self._prefix = prefix
        self._clients = clients
        self._metrics = metrics
        self._stalls = stalls
        self._watch = watch
        self._lag = lag
        self._start: list[TopicPartition] = []
        self._handed: dict[Place, int] = {}
        self._ends: dict[Place, int] = {}
        self._held: Set[Place] = frozenset()
        self._is_reassigned = False
        self._is_closing = False
        self._is_drained = False
        self._callbacks = Callbacks()
        config = {**self._stalls.config, "enable.partition.eof": True}
        self.consumer = clients.consumer(f"{prefix}{name}", config)
        self.consumer.subscribe(
            [*self._short],
            on_assign=self._callbacks.guarded(self._unless_closing(listener.on_assign)),
            on_revoke=self._callbacks.unassigning(self._then_forget(listener.on_revoke)),
            on_lost=self._callbacks.unassigning(self._then_forget(listener.on_lost)),
        )

    def close(self) -> None:
        """Leave the group."""
        self._is_closing = True
        self.consumer.close()
        self._callbacks.raise_pending()

    def reach_ends(self) -> None:
        """Wait a moment for the markers behind what was handed out: there may be no other time.

        Records that come instead are left to whoever reads the partitions next.
        """
        self._is_closing = True
        deadline = time.monotonic() + _ENDS_SECONDS
        while time.monotonic() < deadline and any(
            handed > self._ends.get(place, -1) for place, handed in self._handed.items()
        ):
            self.poll(_RECORDS_AT_AN_END)

    def poll(self, most_records: int, held: int = 0) -> list[Origin]:
        """Return the records at hand, or wait a moment for one where none is `held`.

        Of each partition, the topics are merged by record time, each in its own order, so that
        labels seldom overtake their events where the two are read from different topics.

        Parameters
        ----------
        most_records
            Together with those that are held; one more is read even if as many are held, since
            only a consumer that is polled stays in its group.
        held
            Records that were returned before and have not been folded.

        Raises
        ------
        BrokerError
            The consumer met an error that is not transient, or does not fetch what there is.
        """
        wanted = max(most_records - held, 1)
        messages = self._take(wanted, 0.0 if held else _POLL_SECONDS)
        partitions: defaultdict[int, defaultdict[str, list[Origin]]]
        partitions = defaultdict(lambda: defaultdict(list))
        for run in runs_of(self._without_events(messages), self._prefix):
            last = run[-1]
            partitions[last.partition][last.topic] += run
            self._handed[last.topic, last.partition] = last.offset + 1
        self._is_drained = not held and len(messages) < wanted
        self._check_topics()
        if self._is_drained and not self._held and self._stalls.is_check_due:
            self._check_fetching()
        return [*chain.from_iterable(by_time(topics) for topics in partitions.values())]

    def hold(self, places: Set[Place]) -> None:
        """Read no more of these partitions for now, and all others."""
        if places == self._held:
            return
        with explained(self._clients, self._request()):
            self.consumer.pause(self._at(places - self._held))
            self.consumer.resume(self._at(self._held - places))
        self._held = places

    def places(self, assigned: list[TopicPartition]) -> dict[int, list[str]]:
        """Return by partition the topics, without prefix, of which it was assigned."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        for each in assigned:
            found[each.partition].append(self._short[each.topic])
        return dict(found)

    def committed(self, assigned: list[TopicPartition]) -> dict[Place, Committed]:
        """Return the group's offsets, by topic and partition, where there are any.

        Raises
        ------
        BrokerError
            The coordinator keeps them back: it takes a transaction that holds some for unfinished.
        """
        try:
            found = self.consumer.committed(assigned, timeout=_TIMEOUT_SECONDS) if assigned else []
        except KafkaException as error:
            cause = cause_of(error)
            if cause.code() != KafkaError._TIMED_OUT:
                raise BrokerError(explain(self._clients, cause, self._request())) from error
            raise BrokerError(
                f"timed out after {_TIMEOUT_SECONDS:.0f} s reading the offsets of group"
                f" {self._prefix}{self._name}. If this goes on for minutes, the group's coordinator"
                " waits for a transaction that has long ended: restart that broker"
            ) from error
        return {
            (self._short[each.topic], each.partition): Committed(
                each.offset, *read_metadata(each.metadata)
            )
            for each in found
            if each.offset >= 0
        }

    def committed_of(self, topics: Iterable[str]) -> dict[str, list[Committed]]:
        """Return what the group has committed of all partitions of topics, whoever reads them."""
        known, at = self._watch.known, list[TopicPartition]()
        for topic in topics:
            name = full_name(self._prefix, topic)
            at += [TopicPartition(name, each) for each in range(known[topic].partitions)]
        found: defaultdict[str, list[Committed]] = defaultdict(list)
        for (topic, _), each in self.committed(at).items():
            found[topic].append(each)
        return found

    def watermarks(self, topic: str, partition: int) -> Watermarks:
        """Return the first offset that the broker still has, and the one behind its last."""
        at = TopicPartition(full_name(self._prefix, topic), partition)
        with explained(self._clients, self._request(at.topic)):
            return Watermarks(*self.consumer.get_watermark_offsets(at, timeout=_TIMEOUT_SECONDS))

    def offset_at(self, place: Place, time_ms: int) -> int | None:
        """Return the first offset of a partition at a time or later; None where there is none."""
        topic, partition = place
        at = TopicPartition(full_name(self._prefix, topic), partition, time_ms)
        with explained(self._clients, self._request(at.topic)):
            (found,) = self.consumer.offsets_for_times([at], timeout=_TIMEOUT_SECONDS)
            if found.error is not None:
                raise KafkaException(found.error)
        return found.offset if found.offset >= 0 else None

    def start(self, offsets: dict[Place, int]) -> None:
        """Begin to read, each partition at its offset."""
        self._begin(offsets)
        self._is_reassigned = True
        self.consumer.assign(self._start)

    def behind(self, place: Place, offset: int) -> int:
        """Return how far a partition is read once all records before `offset` are folded.

        Behind its last record there may be markers of transactions, and what was aborted. They
        are never handed out, but the end of the partition lies behind them.
        """
        is_all_folded = offset >= self._handed.get(place, offset + 1)
        return max(offset, self._ends.get(place, 0)) if is_all_folded else offset

    def positions(
        self, offsets: dict[Place, int], definitions: Mapping[int, str] = MappingProxyType({})
    ) -> list[TopicPartition]:
        """Return offsets as librdkafka wants them, and with them what they belong to.

        Parameters
        ----------
        definitions
            Partition to the reference of the definition in force there.
        """
        known = self._watch.known
        return [
            TopicPartition(
                full_name(self._prefix, topic),
                partition,
                offset,
                metadata(
                    known[topic], definitions.get(partition, ""), self.first_partitions.get(topic)
                )
                if topic in known
                else "",
            )
            for (topic, partition), offset in offsets.items()
        ]

    def report_lag(self, offsets: dict[Place, int]) -> None:
        """Report by partition how many records wait beyond `offsets`."""
        for (topic, partition), offset in offsets.items():
            at = TopicPartition(full_name(self._prefix, topic), partition)
            _, end = self.consumer.get_watermark_offsets(at, cached=True)
            self._lag.report((topic, partition), offset, end, self._is_drained)

    def stall(self, seconds: float) -> str:
        """Return which partition has records of which none was taken for so long, or nothing."""
        return self._lag.stall(seconds)

    def _unless_closing(self, on_assign: Rebalanced) -> Rebalanced:
        """Ignore what is assigned while the group is being left."""
        return lambda partitions: None if self._is_closing else on_assign(partitions)

    def _then_forget(self, gone: Rebalanced) -> Rebalanced:
        def call(partitions: list[TopicPartition]) -> None:
            gone(partitions)
            self._begin({})

        return call

    def _at(self, places: Iterable[Place]) -> list[TopicPartition]:
        prefix = self._prefix
        return [TopicPartition(full_name(prefix, topic), at) for topic, at in places]

    def _begin(self, offsets: dict[Place, int]) -> None:
        self._start = self.positions(offsets)
        self._handed, self._ends = dict(offsets), {}
        self.hold(frozenset())
        self._stalls.reset(self._start)
        self._lag.reset()

    def _take(self, most_records: int, timeout_seconds: float) -> list[Message]:
        first = self.consumer.poll(timeout_seconds)
        self._callbacks.raise_pending()
        if first is None:
            return []
        self._is_reassigned = False
        rest = self.consumer.consume(most_records - 1, timeout=0)
        self._callbacks.raise_pending()
        if self._is_reassigned:  # `first` is from before: read again from where it was assigned
            self.consumer.assign(self._start)
            return []
        return [first, *rest]

    def _check_topics(self) -> None:
        try:
            self._watch.check()
        except KafkaException as error:
            self._tolerate(cause_of(error))

    def _check_fetching(self) -> None:
        try:
            stalled = self._stalls.stalled(self.consumer)
        except KafkaException as error:
            self._tolerate(cause_of(error))
            return
        self._clients.outage.end()
        for (topic, partition), position in self._stalls.positions.items():
            self._lag.note_checked((self._short[topic], partition), position)
        for (topic, partition), position in stalled.items():
            raise BrokerError(
                f"agent {self._name} was not given {topic}[{partition}] from"
                f" offset {position.offset} on within {self._stalls.check_seconds:.0f} s, although"
                f" the broker has records: librdkafka's fetcher is stalled in state"
                f" {position.fetcher_state!r}"
            )

    def _without_events(self, messages: list[Message]) -> list[Message]:
        """Return the messages that are records; what the others say is noted."""
        errors = [*map(Message.error, messages)]
        if not any(errors):
            return messages
        for message, error in zip(messages, errors, strict=True):
            if error is not None:
                self._note(error, message)
        return [each for each, error in zip(messages, errors, strict=True) if error is None]

    def _note(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            place = self._short[message.topic() or ""], message.partition() or 0
            self._ends[place] = message.offset() or 0
            self._lag.note_end(place, self._ends[place])
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise self._out_of_range(message)
        else:
            self._tolerate(error, message.topic() or "")

    def _out_of_range(self, message: Message) -> BrokerError:
        """Return why there is no such offset: it expired, or the topic is another one by now."""
        name, partition = message.topic() or "", message.partition() or 0
        topic, where, offset = self._short[name], f"{name}[{partition}]", message.offset() or 0
        before = Position(offset, offset, self._watch.known.get(topic))
        now, marks = self._watch.identity(topic), self.watermarks(topic, partition)
        gap = find_gap(self._name, where, before, now, marks)
        if gap is None:
            return ExpiredError(f"agent {self._name} was not given {where} from offset {offset} on")
        return gap.found_while_reading

    def _tolerate(self, error: KafkaError, topic: str = "") -> None:
        """Count and log a transient error.

        Raises
        ------
        BrokerError
            It is not transient.
        """
        if not is_transient(error):
            why = explain(self._clients, error, self._request(topic))
            raise BrokerError(
                f"the consumer of agent {self._name} failed: {why}"
            ) from KafkaException(error)
        self._metrics.broker_errors.labels(self._name, error.name()).inc()
        self._clients.outage.note(error.str())

    def _request(self, topic: str = "") -> Request:
        topics = topic or ", ".join(self._short)
        return Request(topics, f"{self._prefix}{self._name}", operation="Read")
