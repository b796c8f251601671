"""Two ways to write records and to commit the input offsets that they follow from.

In a transaction, records and offsets become visible together or not at all (KIP-98), fenced by
the consumer group's generation (KIP-447). Without one, records are acknowledged before offsets
are committed: after a crash a record may be there twice.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from millrace.schemas import BrokerError
from millrace.streams.kafka.bounded import BoundedCaller
from millrace.streams.kafka.delivery import CheckedProducer, ProducerRecords
from millrace.streams.kafka.diagnosis import Request, explained, refused
from millrace.streams.kafka.protocols import Clients, Config, Consumer, Headers, Producer
from millrace.streams.kafka.sizes import SizeLimits

_WRITE_SECONDS = 60.0
_COORDINATOR_SECONDS = 10.0  # until the coordinator of transactions has answered
_SLOWEST_BYTES_PER_SECOND = 1_000_000  # of a link over which a large state is still written

OnError: TypeAlias = Callable[[KafkaError], None]


class ProducerRecord(NamedTuple):
    """A record to be written."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    timestamp_ms: int = 0
    headers: Headers | None = None


class Writer(Protocol):
    """Writes records and commits offsets. It is connected from the moment it is made.

    Attributes
    ----------
    transactional_id
        Empty without transactions.
    is_in_transaction
        Whether a transaction is open, with something written since the last commit.
    """

    transactional_id: str
    is_in_transaction: bool

    def produce(self, record: ProducerRecord) -> None: ...

    def produce_all(self, records: ProducerRecords) -> int:
        """Write records until one of them is refused; return how many were written.

        `produce` says why the next one is refused.
        """
        ...

    def commit(self, consumer: Consumer, offsets: list[TopicPartition]) -> bool:
        """Commit what was written, and `offsets`; return whether there was anything to commit.

        Raises
        ------
        BrokerError
            A record was not delivered, or the broker did not answer in time.
        confluent_kafka.KafkaException
            The commit failed; where it is fatal, another worker has taken over.
        """
        ...

    def abort(self) -> None:
        """Take back what was written since the last commit."""
        ...

    def settle(self) -> None:
        """Wait until what was written stays, if what comes next will: not in a transaction.

        Raises
        ------
        BrokerError
            A record was not delivered.
        """
        ...

    def refusal(self) -> KafkaError | None:
        """Return why the broker will never take one of the records; None if it does not say so."""
        ...

    def take_back(self) -> None:
        """Take back what was written since the last commit, and go on with the client."""
        ...

    def renew(self) -> None:
        """Connect again, where the client must not be used any more."""
        ...

    def close(self) -> None:
        """Free what the writer holds; what is not committed is lost."""
        ...


class TransactionalWriter:
    """Exactly once: records and offsets in one transaction.

    Parameters
    ----------
    clients
        Makes the producer.
    name
        Each transactional id begins with it.
    on_error
        Called with the errors of the connection, which librdkafka handles itself. It must not
        refer to the writer: a client must be freed as soon as it is let go of.
    sizes
        Which sizes were refused before.
    config
        librdkafka's properties, besides those of every producer.
    """

    def __init__(
        self,
        clients: Clients,
        name: str,
        on_error: OnError,
        sizes: SizeLimits | None = None,
        config: Config | None = None,
    ) -> None:
        self._clients = clients
        self._config = config or {}
        self._sizes = sizes or SizeLimits()
        self._name = name
        self._on_error = on_error
        self._bounded = BoundedCaller(f"commit-{name}")
        self.is_in_transaction = False
        self._uncommitted_bytes = 0
        self._is_lost = True  # until it is connected
        self.renew()

    def produce(self, record: ProducerRecord) -> None:
        self._begin()
        self._uncommitted_bytes += len(record.value or b"")
        try:
            self._producer.produce(*record)
        except KafkaException as error:  # where the transaction has failed before
            self._raise_refusal(error)
            raise

    def produce_all(self, records: ProducerRecords) -> int:
        self._begin()
        self._uncommitted_bytes += sum(map(len, records.values))
        return self._producer.produce_all(records)

    def commit(self, consumer: Consumer, offsets: list[TopicPartition]) -> bool:
        if not offsets and not self.is_in_transaction:
            return False
        self._begin()
        group = consumer.consumer_group_metadata() if offsets else None
        seconds = _COORDINATOR_SECONDS + self._uncommitted_bytes / _SLOWEST_BYTES_PER_SECOND
        commit = partial(_commit, self._producer.client, offsets, group, seconds)
        with explained(self._clients, self._request):
            try:
                self._bounded.call(seconds, f"committing as {self.transactional_id}", commit)
            except BrokerError:
                self._is_lost = True  # it is still busy with it, perhaps forever
                raise
            except KafkaException as error:
                self._raise_refusal(error)
                raise
        self.is_in_transaction = False
        return True

    def abort(self) -> None:
        """Take back what was written since the last commit; the client is not used again.

        Another worker may have fenced it, and what it drops it reports as not delivered.
        """
        if self.is_in_transaction and not self._is_lost:
            abort = partial(self._producer.client.abort_transaction, _COORDINATOR_SECONDS)
            with suppress(KafkaException, BrokerError):  # then nothing of it can become visible
                self._bounded.call(_COORDINATOR_SECONDS, "aborting", abort)
        self.is_in_transaction = False
        self._is_lost = True

    def settle(self) -> None:
        """Do nothing: all of a transaction stays, or nothing."""

    def refusal(self) -> KafkaError | None:
        return self._producer.refusal()

    def take_back(self) -> None:
        if self.is_in_transaction:
            abort = partial(self._producer.client.abort_transaction, _COORDINATOR_SECONDS)
            self._bounded.call(_COORDINATOR_SECONDS, "aborting", abort)
            self.is_in_transaction = False
        self._producer.forget()

    def renew(self) -> None:
        if self._is_lost:
            self.transactional_id = f"{self._name}-{uuid4()}"
            self._connect()
            self._is_lost = False

    def close(self) -> None:
        self._bounded.close()

    def _connect(self) -> None:
        self._connection = _Connection(self._on_error)
        own = {"transactional.id": self.transactional_id, "error_cb": self._connection.note}
        self._producer = CheckedProducer(self._clients, {**self._config, **own}, self._sizes)
        with explained(self._clients, self._request):
            self._producer.client.init_transactions(_COORDINATOR_SECONDS)

    def _raise_refusal(self, error: KafkaException) -> None:
        """Raise what a transaction has failed for, if the broker refuses one of its topics."""
        if topic := self._producer.refused_topic():
            raise BrokerError(refused(self._clients, topic)) from error

    @property
    def _request(self) -> Request:
        return Request(group=self._name, transactional_id=self.transactional_id)

    def _begin(self) -> None:
        if self.is_in_transaction:
            return
        if self._is_lost:
            raise BrokerError(
                f"transactional id {self.transactional_id} is not used any more: its transaction"
                " was aborted or timed out"
            )
        self._producer.poll()  # for the news of a lost connection
        if self._connection.is_lost:  # see streams.kafka.bounded: its next commit might hang
            self._connect()
        self._producer.client.begin_transaction()
        self.is_in_transaction = True
        self._uncommitted_bytes = 0


class AcknowledgedWriter:
    """At least once: records are acknowledged, then offsets are committed.

    Parameters
    ----------
    clients
        Makes the producer.
    on_error
        Called with the errors of the connection, which librdkafka handles itself.
    sizes
        Which sizes were refused before.
    config
        librdkafka's properties, besides those of every producer.
    """

    transactional_id = ""
    is_in_transaction = False

    def __init__(
        self,
        clients: Clients,
        on_error: OnError,
        sizes: SizeLimits | None = None,
        config: Config | None = None,
    ) -> None:
        self._producer = CheckedProducer(clients, {**(config or {}), "error_cb": on_error}, sizes)

    def produce(self, record: ProducerRecord) -> None:
        self._producer.produce(*record)

    def produce_all(self, records: ProducerRecords) -> int:
        return self._producer.produce_all(records)

    def commit(self, consumer: Consumer, offsets: list[TopicPartition]) -> bool:
        self._producer.flush(_WRITE_SECONDS)
        if offsets:
            consumer.commit(offsets=offsets, asynchronous=False)
        return True

    def abort(self) -> None:
        """Do nothing: without transactions, outputs may be written twice after a crash."""

    def settle(self) -> None:
        self._producer.flush(_WRITE_SECONDS)

    def refusal(self) -> KafkaError | None:
        return self._producer.refusal()

    def take_back(self) -> None:
        """Forget it: without a manifest behind them, entries of the state do not count."""
        self._producer.forget()

    def renew(self) -> None:
        """Keep the client: without a transactional id it cannot be fenced."""

    def close(self) -> None:
        """Do nothing: the client is freed with the writer."""


class _Connection:
    """Whether a client has lost a connection; without a reference to the client, see above."""

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self.is_lost = False

    def note(self, error: KafkaError) -> None:
        self._on_error(error)
        self.is_lost = True


def fence(clients: Clients, transactional_id: str) -> None:
    """Abort another worker's open transaction, and keep it from ever writing again.

    Initializing a transactional id ends whatever was begun under it (KIP-98).
    """
    producer = clients.producer({"transactional.id": transactional_id})
    with explained(clients, Request(transactional_id=transactional_id)):
        producer.init_transactions(_COORDINATOR_SECONDS)


def _commit(
    producer: Producer, offsets: list[TopicPartition], group: object, timeout_seconds: float
) -> None:
    if offsets:
        producer.send_offsets_to_transaction(offsets, group, timeout_seconds)
    producer.commit_transaction(timeout_seconds)
