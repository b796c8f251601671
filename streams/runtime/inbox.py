"""What an agent reads: one librdkafka consumer, whose errors are told apart.

Most errors pass: librdkafka goes on trying, and they are logged and counted. An offset that the
broker no longer has is never passed over in silence; it ends the poll with an error, and the
engine decides at the next assignment whether a gap may be accepted. So do records that the broker
has and the consumer does not fetch: the engine begins again, with a new one.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from heapq import merge
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from millrace.schemas import BrokerError
from millrace.streams.kafka.callbacks import Callbacks, Rebalanced
from millrace.streams.kafka.clients import consumer_config
from millrace.streams.kafka.stall import LOOK_SECONDS, Fetched, Fetching, Where
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import Origin
from millrace.streams.settings import Settings

POLL_SECONDS = 0.1
_TIMEOUT_SECONDS = 30.0
_UNASKED = Fetched(position=0, end=0, state="")
_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)

_log = structlog.get_logger(__name__)


class Inbox:
    """The consuming half of an agent.

    Parameters
    ----------
    name
        The agent's name: with the prefix, its consumer group.
    settings
        The broker's, and the session's.
    prefix
        Of the pipeline's topics and groups.
    topics
        What to read, without prefix.
    metrics
        Where errors and lag are counted.
    """

    def __init__(
        self, name: str, settings: Settings, prefix: str, topics: Iterable[str], metrics: Metrics
    ) -> None:
        self.topics = tuple(topics)
        self._without_prefix = {prefix + topic: topic for topic in self.topics}
        self._name = name
        self._settings = settings
        self._prefix = prefix
        self._metrics = metrics
        self._consumer: Consumer | None = None
        self._reached: dict[Where, int] = {}
        self._fetching = Fetching()
        self._start: list[TopicPartition] = []
        self._is_moved = False
        self._is_closing = False
        self._callbacks = Callbacks()
        self._has_all = False
        self._waiting: dict[Where, tuple[int, float]] = {}

    @property
    def consumer(self) -> Consumer:
        """The client, which must be open."""
        assert self._consumer is not None
        return self._consumer

    @property
    def is_open(self) -> bool:
        return self._consumer is not None

    def open(self, on_assign: Rebalanced, on_revoke: Rebalanced, on_lost: Rebalanced) -> None:
        """Join the group. The callbacks are called from within `poll` and `close`."""
        group = f"{self._prefix}{self._name}"
        config = consumer_config(self._settings, group)
        self._consumer = Consumer({**config, **self._fetching.config, "enable.partition.eof": True})
        self._consumer.subscribe(
            [self._prefix + topic for topic in self.topics],
            on_assign=self._callbacks.guarded(self._unless_closing(on_assign)),
            on_revoke=self._callbacks.giving_up(self._forgetting(on_revoke)),
            on_lost=self._callbacks.giving_up(self._forgetting(on_lost)),
        )

    def close(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            self._is_closing = True
            try:
                self._consumer.close()
            finally:
                self._consumer, self._is_closing = None, False
            self._callbacks.raise_what_they_did()

    def poll(self, most_records: int) -> list[Origin]:
        """Return the records at hand, or wait a moment for one.

        Of each partition, the topics are merged by record time, each in its own order, so that
        labels seldom overtake their events where the two are read from different topics.

        Raises
        ------
        BrokerError
            The consumer met an error that it cannot go on from, or does not fetch what there is.
        """
        messages = self._take(most_records)
        partitions: defaultdict[int, defaultdict[str, list[Origin]]]
        partitions = defaultdict(lambda: defaultdict(list))
        for message in messages:
            error = message.error()
            if error is None:
                origin = self._origin(message)
                partitions[origin.partition][origin.topic].append(origin)
            elif not self._is_end(message, error):
                self._pass_over(error)
        self._has_all = len(messages) < most_records  # of what was fetched
        if self._has_all and self._fetching.is_look_due:
            self._look_for_a_standstill()
        return [origin for topics in partitions.values() for origin in _by_time(topics.values())]

    def committed(self, assigned: list[TopicPartition]) -> dict[Where, int]:
        """Return the group's offsets: topic and partition to the next record, if there is one.

        Raises
        ------
        BrokerError
            The coordinator keeps them back: it takes a transaction that holds some for unfinished.
        """
        try:
            found = self.consumer.committed(assigned, timeout=_TIMEOUT_SECONDS) if assigned else []
        except KafkaException as error:
            if error.args[0].code() != KafkaError._TIMED_OUT:
                raise
            raise BrokerError(
                f"agent {self._name} requires the offsets of group {self._prefix}{self._name}; got"
                f" none within {_TIMEOUT_SECONDS:.0f} s. If this goes on for minutes, the group's"
                " coordinator waits for a transaction that has long ended: restart that broker"
            ) from error
        return {self._where(each): each.offset for each in found if each.offset >= 0}

    def earliest(self, topic: str, partition: int) -> int:
        """Return the first offset that the broker still has."""
        where = TopicPartition(self._prefix + topic, partition)
        low, _ = self.consumer.get_watermark_offsets(where, timeout=_TIMEOUT_SECONDS)
        return low

    def start(self, offsets: dict[Where, int]) -> None:
        """Begin to read, each partition at its offset."""
        self._begin(offsets)
        self._is_moved = True
        self.consumer.assign(self._start)

    def positions(self, offsets: dict[Where, int]) -> list[TopicPartition]:
        """Return offsets as librdkafka wants them."""
        return [
            TopicPartition(self._prefix + topic, partition, offset)
            for (topic, partition), offset in offsets.items()
        ]

    def report_lag(self, offsets: dict[Where, int]) -> None:
        """Report by partition how many records wait beyond `offsets`."""
        for (topic, partition), offset in offsets.items():
            at = TopicPartition(self._prefix + topic, partition)
            _, end = self.consumer.get_watermark_offsets(at, cached=True)
            asked = self._fetching.last.get((at.topic, partition), _UNASKED)
            # Behind the last record there may be the marks of transactions, which nobody reads.
            read = max(offset, self._reached.get((topic, partition), 0), asked.position)
            lag = max(max(end, asked.end) - read, 0)
            self._metrics.lag_records.labels(self._name, topic, partition).set(lag)
            self._note_wait((topic, partition), offset, lag)

    def stall(self, seconds: float) -> str:
        """Say of which partition none was taken for so long while records wait; else nothing.

        Where more was fetched than is taken at once, a partition may have to wait for the others:
        that is none.
        """
        for where, (offset, since) in [*self._waiting.items()]:
            waited_seconds = time.monotonic() - since
            if waited_seconds > seconds:
                return (
                    f"stalled: {where[0]}[{where[1]}] has records from offset {offset} on, and none"
                    f" was taken for {waited_seconds:.0f} s{self._cause(where)}"
                )
        return ""

    def _cause(self, where: Where) -> str:
        asked = self._fetching.last.get((self._prefix + where[0], where[1]))
        if asked is None or asked.position < asked.end:
            return ""
        return (
            ": a transaction that has not ended holds them back (if it is nobody's any more,"
            " `kafka-transactions.sh find-hanging` names it and `abort` ends it)"
        )

    def _note_wait(self, where: Where, offset: int, lag: int) -> None:
        if not lag or not self._has_all:
            self._waiting.pop(where, None)
        elif self._waiting.get(where, (None,))[0] != offset:
            self._waiting[where] = offset, time.monotonic()

    def _unless_closing(self, assigned: Rebalanced) -> Rebalanced:
        """Leave alone what is assigned while the group is being left."""
        return lambda partitions: None if self._is_closing else assigned(partitions)

    def _forgetting(self, gone: Rebalanced) -> Rebalanced:
        def call(partitions: list[TopicPartition]) -> None:
            gone(partitions)
            self._begin({})

        return call

    def _begin(self, offsets: dict[Where, int]) -> None:
        self._start = self.positions(offsets)
        self._fetching.begin(self._start)
        self._reached.clear()
        self._waiting.clear()

    def _take(self, most_records: int) -> list[Message]:
        first = self.consumer.poll(POLL_SECONDS)
        self._callbacks.raise_what_they_did()
        if first is None:
            return []
        self._is_moved = False
        rest = self.consumer.consume(most_records - 1, timeout=0)
        self._callbacks.raise_what_they_did()
        if self._is_moved:  # `first` is from another place: begin once more where it was said
            self.consumer.assign(self._start)
            return []
        return [first, *rest]

    def _look_for_a_standstill(self) -> None:
        try:
            standing = self._fetching.look(self.consumer)
        except KafkaException as error:
            self._pass_over(error.args[0])
            return
        for (topic, partition), fetched in standing.items():
            raise BrokerError(
                f"agent {self._name} requires the records of {self._without_prefix[topic]}"
                f"[{partition}] from offset {fetched.position} on, which the broker has; got none"
                f" within {LOOK_SECONDS:.0f} s: librdkafka's fetcher is in state {fetched.state!r}"
            )

    def _where(self, position: TopicPartition) -> Where:
        return self._without_prefix[position.topic], position.partition

    def _origin(self, message: Any) -> Origin:  # Any: as declared, a message may lack all of it
        headers = message.headers()
        return Origin(
            self._without_prefix[message.topic()],
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            tuple(headers) if headers else (),
        )

    def _is_end(self, message: Message, error: KafkaError) -> bool:
        """Whether a message only says that there is, for now, nothing behind this offset."""
        if error.code() != KafkaError._PARTITION_EOF:
            return False
        where = self._without_prefix[message.topic() or ""], message.partition() or 0
        self._reached[where] = message.offset() or 0
        return True

    def _pass_over(self, error: KafkaError) -> None:
        """Count and log the news of an error that librdkafka is dealing with.

        Raises
        ------
        BrokerError
            It is another kind of error.
        """
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise BrokerError(
                f"agent {self._name} requires records that the broker no longer has; got"
                f" {error.str()!r}. They were dropped before they were read: give the topics more"
                " retention, or produce no faster than the pipeline reads"
            )
        if error.fatal() or not (error.retriable() or error.code() in _PASSING):
            raise BrokerError(
                f"agent {self._name} requires a working consumer; got {error.str()!r}"
            )
        self._metrics.broker_errors.labels(self._name, error.name()).inc()
        _log.warning("broker error", agent=self._name, error=error.str())


def _by_time(topics: Collection[list[Origin]]) -> Iterable[Origin]:
    if len(topics) == 1:
        return next(iter(topics))
    return merge(*topics, key=lambda origin: (origin.timestamp_ms, origin.topic))
