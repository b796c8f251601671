"""What an agent writes, and how it commits.

With the guarantee `exactly_once`, one Kafka transaction holds the outputs of a batch, its input
offsets and, when due, the state (KIP-98), fenced by the consumer group's generation (KIP-447).
With `at_least_once`, outputs are acknowledged before offsets are committed: after a crash an
output may be there twice. Learning is exactly once in both, because state carries its offsets.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from millrace.schemas import BrokerError, RecordError, RejectReason
from millrace.streams.kafka.bounded import BoundedCaller
from millrace.streams.kafka.clients import producer_config
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.base import Tally
from millrace.streams.operators.record import (
    Record,
    RejectRecord,
)
from millrace.streams.settings import Guarantee, Settings
from millrace.streams.state.log import Headers, StateRecord
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.topics import MAX_RECORD_BYTES

_TIMEOUT_SECONDS = 60.0  # to write a batch, and the largest state
_COORDINATOR_SECONDS = 10.0  # to have a word with the coordinator of transactions
_SLOWEST_BYTES_PER_SECOND = 1_000_000  # of a link over which a large state is still written
_REJECT_VALUE_BYTES = MAX_RECORD_BYTES - 64 * 1024


class Outbox:
    """The producing half of an agent.

    Parameters
    ----------
    name
        The agent's name with the pipeline's prefix: of its transactional ids.
    settings
        The broker and the guarantee.
    prefix
        Of the pipeline's topics.
    codec
        Records to bytes.
    partitions
        Topic, with prefix, to its number of partitions.
    metrics
        Where outputs are counted.

    Attributes
    ----------
    is_in_transaction
        Whether one is open, with something put since the last commit.
    tally
        What happened in the batch: counted when it is committed.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        prefix: str,
        codec: TopicCodec,
        partitions: dict[str, int],
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._prefix = prefix
        self._codec = codec
        self._places = {
            topic.removeprefix(prefix): (topic, count) for topic, count in partitions.items()
        }
        self._metrics = metrics
        self.is_transactional = settings.guarantee is Guarantee.EXACTLY_ONCE
        self._name = name
        self.transactional_id = ""
        self._producer: Producer | None = None
        self.is_in_transaction = False
        self._uncommitted_bytes = 0
        self._bounded = BoundedCaller(f"commit-{name}")
        self._is_cut_off = False
        self._failed: KafkaError | None = None
        self._uncounted: list[Record] = []
        self.tally: Tally = Counter()

    @property
    def is_open(self) -> bool:
        return self._producer is not None

    def open(self) -> None:
        """Connect."""
        self.transactional_id = f"{self._name}-{uuid4()}" if self.is_transactional else ""
        self._connect()

    def fence(self, transactional_id: str) -> None:
        """Abort what a worker that is gone has left open, and keep it from writing ever again.

        Beginning anew under a transactional id ends whatever was begun under it (KIP-98).
        """
        config = producer_config(self._settings) | {"transactional.id": transactional_id}
        Producer(config).init_transactions(_COORDINATOR_SECONDS)

    def put(self, record: Record) -> None:
        """Write one output, under its origin's timestamp, as part of the next commit.

        Raises
        ------
        RecordError
            It holds what Avro cannot.
        """
        if isinstance(record, RejectRecord):
            _cut(record)
        try:
            key, value = self._codec.encode(record)
        except (ValueError, TypeError, OverflowError) as error:
            raise RecordError(
                RejectReason.ILL_TYPED_FIELD, f"{record.type} requires values of Avro; got {error}"
            ) from error
        origin = record.origin
        partition = origin.partition if record.partition is None else record.partition
        topic, partitions = self._places[record.topic]
        self._produce(topic, value, key, partition % partitions, max(origin.timestamp_ms, 0))
        self._uncounted.append(record)

    def put_state(self, partition: int, entry: StateRecord) -> None:
        """Write one entry of the state as part of the next commit.

        Raises
        ------
        BrokerError
            The entry is larger than a state topic takes.
        """
        size = len(entry.value or b"")
        if size > MAX_RECORD_BYTES - 1024:
            raise BrokerError(
                f"state requires entries of at most {MAX_RECORD_BYTES} bytes (max.message.bytes of"
                f" {entry.topic}); got {size} for {entry.key!r}: bound the model's size"
            )
        if entry.topic == "models":
            self._metrics.model_bytes.labels(partition).set(size)
        topic = self._prefix + entry.topic
        self._produce(topic, entry.value, entry.key.encode(), partition, 0, entry.headers)

    def commit(self, consumer: Consumer, offsets: list[TopicPartition]) -> None:
        """Make everything put since the last commit, and `offsets`, last.

        Raises
        ------
        BrokerError
            An output could not be written.
        confluent_kafka.KafkaException
            The commit failed; where it is fatal, another worker has taken over.
        """
        assert self._producer is not None
        if self.is_transactional:
            if not offsets and not self.is_in_transaction:
                return  # what happened counts with the offsets that say so
            self._commit_transaction(consumer, offsets)
        else:
            left = self._producer.flush(_TIMEOUT_SECONDS)
            self._check_delivered(left)
            if offsets:
                consumer.commit(offsets=offsets, asynchronous=False)
        self._count()

    def abort(self) -> None:
        """Take back everything put since the last commit."""
        self._forget()
        if self._producer is not None and self.is_in_transaction:
            abort = partial(self._producer.abort_transaction, _COORDINATOR_SECONDS)
            try:
                self._bounded.call(_COORDINATOR_SECONDS, "an abort", abort)
            except (KafkaException, BrokerError):
                self._producer = None  # fenced, fatal or silent: nothing of it can become visible
        self.is_in_transaction = False

    def close(self) -> None:
        """Let go of the producer; what is not committed is lost to it."""
        if self._producer is not None and not self.is_transactional:
            self._producer.flush(_TIMEOUT_SECONDS)
        self._producer = None
        self._bounded.close()

    def _commit_transaction(self, consumer: Consumer, offsets: list[TopicPartition]) -> None:
        assert self._producer is not None
        self._begin()
        group = consumer.consumer_group_metadata() if offsets else None
        seconds = _COORDINATOR_SECONDS + self._uncommitted_bytes / _SLOWEST_BYTES_PER_SECOND
        try:
            commit = partial(_commit, self._producer, offsets, group, seconds)
            self._bounded.call(seconds, "a commit", commit)
        except BrokerError:
            self._producer = None  # it is still busy with it, perhaps for ever
            raise
        self.is_in_transaction = False
        self._check_delivered(0)

    def _connect(self) -> None:
        config = producer_config(self._settings) | {
            "on_delivery": self._on_delivery,
            "delivery.report.only.error": True,
            "error_cb": self._on_error,
        }
        if self.is_transactional:
            config |= {"transactional.id": self.transactional_id}
        self._producer = Producer(config)
        self._failed, self._is_cut_off = None, False
        if self.is_transactional:
            self._producer.init_transactions(_COORDINATOR_SECONDS)

    def _begin(self) -> None:
        assert self._producer is not None
        if self.is_transactional and not self.is_in_transaction:
            self._producer.poll(0)  # for the news of a lost connection
            if self._is_cut_off:  # see streams.kafka.bounded: its next commit might hang
                self._connect()
            self._producer.begin_transaction()
            self.is_in_transaction = True
            self._uncommitted_bytes = 0

    def _produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        timestamp_ms: int,
        headers: Headers | None = None,
    ) -> None:
        self._begin()
        assert self._producer is not None
        self._uncommitted_bytes += len(value or b"")
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, timestamp=timestamp_ms, headers=headers
                )
            except BufferError:  # librdkafka's queue is full: wait for the broker
                self._producer.poll(0.1)
            else:
                return

    def _on_error(self, error: KafkaError) -> None:
        agent = self._name.removeprefix(self._prefix)
        self._metrics.broker_errors.labels(agent, error.name()).inc()
        self._is_cut_off = True

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        self._failed = error or self._failed

    def _check_delivered(self, left: int) -> None:
        if left or self._failed is not None:
            what = self._failed.str() if self._failed else f"{left} records unacknowledged"
            raise BrokerError(f"outputs require a broker that takes them; got {what!r}")

    def _count(self) -> None:
        self._metrics.count_published(self._uncounted, time.time() * 1000)
        self._metrics.count(self.tally)
        self._forget()

    def _forget(self) -> None:
        self._uncounted.clear()
        self.tally.clear()


def _commit(
    producer: Producer, offsets: list[TopicPartition], group: Any, timeout_seconds: float
) -> None:
    if offsets:
        producer.send_offsets_to_transaction(offsets, group, timeout_seconds)
    producer.commit_transaction(timeout_seconds)


def _cut(record: RejectRecord) -> None:
    """Cut the original down to what `rejects` takes; its place in the log is kept in full."""
    value = record.value["value"]
    if value is not None and len(value) > _REJECT_VALUE_BYTES:
        record.value["value"] = value[:_REJECT_VALUE_BYTES]
