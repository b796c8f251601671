"""A producer whose records are delivered, or an error says which were not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from millrace.schemas import BrokerError
from millrace.streams.kafka.diagnosis import Request, explain
from millrace.streams.kafka.errors import cause_of, is_refusal, timed_out
from millrace.streams.kafka.protocols import Clients, Config, Headers, Producer
from millrace.streams.kafka.sizes import BATCH_BYTES, SizeLimits, too_large

_QUEUE_FULL_SECONDS = 0.1
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)


class ProducerRecords(NamedTuple):
    """Records of one topic, as columns of what `CheckedProducer.produce` takes."""

    topic: str
    values: Sequence[bytes]
    keys: Sequence[bytes | None]
    partitions: Sequence[int]
    timestamps_ms: Sequence[int]
    headers: Sequence[Headers | None]


class CheckedProducer:
    """Produces without losing anything unnoticed.

    Parameters
    ----------
    clients
        Makes the client.
    config
        librdkafka's properties, besides those of every producer.
    sizes
        Which sizes were refused before.

    Attributes
    ----------
    client
        For transactions.
    """

    def __init__(
        self, clients: Clients, config: Config | None = None, sizes: SizeLimits | None = None
    ) -> None:
        self._clients = clients
        self._sizes = sizes or SizeLimits()
        self._sizes.conclude()
        self._failures = _Failures(clients, self._sizes)
        own = {"on_delivery": self._failures.note, "delivery.report.only.error": True}
        if self._sizes.batch_bytes < BATCH_BYTES:
            own["batch.size"] = self._sizes.batch_bytes
        self.client: Producer = clients.producer({**(config or {}), **own})
        self._topics: set[str] = set()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: str | bytes | None,
        partition: int,
        timestamp_ms: int = 0,
        headers: Headers | None = None,
    ) -> None:
        """Produce a record; wait where the queue is full.

        Parameters
        ----------
        partition
            -1 for one that follows from the key.
        timestamp_ms
            Since the Unix epoch; 0 for now.

        Raises
        ------
        RecordError
            It is larger than the topic takes, as far as that is known.
        BrokerError
            The queue is full, and a record in it was not delivered; or this client may not write
            to the topic.
        """
        size = len(key or b"") + len(value or b"")
        if not self._sizes.fits(topic, size):
            raise too_large(topic, size)
        self._topics.add(topic)
        while True:
            try:
                self.client.produce(
                    topic, value, key, partition, timestamp=timestamp_ms, headers=headers
                )
            except BufferError:  # librdkafka's queue is full: wait for the broker
                self.poll(_QUEUE_FULL_SECONDS)
            except KafkaException as error:
                cause = cause_of(error)
                if cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise too_large(topic, size) from error
                if cause.code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise
                # librdkafka says it at once where it has been told before
                why = explain(self._clients, cause, Request(topic, operation="Write"))
                raise BrokerError(f"a record was not written to topic {topic}: {why}") from error
            else:
                return

    def produce_all(self, records: ProducerRecords) -> int:
        """Produce records until one of them is refused; return how many were produced.

        `produce` says why the next one is refused, or waits where the queue is full.
        """
        topic, *columns = records
        if self._sizes.has_limit(topic):
            return 0
        self._topics.add(topic)
        produce, number = self.client.produce, -1
        for number, (value, key, partition, timestamp_ms, headers) in enumerate(
            zip(*columns, strict=True)
        ):
            try:  # by position, since names cost a third of the call
                produce(topic, value, key, partition, None, None, timestamp_ms, headers)
            except (BufferError, KafkaException):
                return number
        return number + 1

    def poll(self, seconds: float = 0.0) -> None:
        """Take what the broker has reported, and wait for it at most so long.

        Raises
        ------
        BrokerError
            A record was not delivered.
        """
        self.client.poll(seconds)
        self.check()

    def flush(self, timeout_seconds: float) -> None:
        """Wait until the broker has every record.

        Raises
        ------
        BrokerError
            A record was not delivered, or not in time.
        """
        unacknowledged = self.client.flush(timeout_seconds)
        self.check()
        if unacknowledged:
            raise BrokerError(
                f"{unacknowledged:,} records were not acknowledged within {timeout_seconds:.0f} s"
                f" on topic {', '.join(sorted(self._topics))}:"
                f" {explain(self._clients, cause_of(timed_out()))}"
            ) from timed_out()
        self._topics.clear()

    def refused_topic(self) -> str:
        """Return the topic that the broker does not let this client write to; empty if none.

        The error of a transaction does not say so, but a report or the client's log does.
        """
        self.client.poll(0)
        return self._failures.refused_topic or self._clients.last_refused_topic

    def check(self) -> None:
        """Raise what the reports that were taken say.

        Raises
        ------
        BrokerError
            A record was not delivered.
        """
        self._failures.check()

    def refusal(self) -> KafkaError | None:
        """Return why the broker will never take one of the records; None if it does not say so."""
        self.client.poll(0)
        return self._failures.refusal

    def forget(self) -> None:
        """Forget what was not delivered, once it was taken back."""
        self.client.poll(0)
        self._failures.clear()


class _Failures:
    """What was not delivered.

    An object of its own, without a reference to the producer that calls it: a client must be
    freed as soon as it is let go of, not when the garbage collector finds the cycle.
    """

    def __init__(self, clients: Clients, sizes: SizeLimits) -> None:
        self._clients = clients
        self._sizes = sizes
        self.clear()

    def clear(self) -> None:
        self._count = 0
        self.refused_topic = ""
        self._first: tuple[str, KafkaError] | None = None
        self.refusal: KafkaError | None = None

    def note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._first = self._first or (message.topic() or "", error)
            self._count += 1
            if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                self.refused_topic = message.topic() or ""
            if self.refusal is None and is_refusal(error):
                self.refusal = error
            if error.code() in _TOO_LARGE:
                size = len(message.key() or b"") + len(message.value() or b"")
                self._sizes.note_refused(message.topic() or "", size)

    def check(self) -> None:
        if self._first is not None:
            topic, error = self._first
            why = explain(self._clients, error, Request(topic, operation="Write"))
            raise BrokerError(
                f"{self._count:,} records were not written to topic {topic}: {why}"
            ) from KafkaException(error)
