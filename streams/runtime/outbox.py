"""What an agent writes, and how it commits.

Outputs, input offsets and, when due, the state are committed as the setting
`processing_guarantee` says (`streams.kafka.transactions`). Learning is exactly once with either
guarantee, because state carries its offsets.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from millrace.models.user_code import PASSED_ON, told
from millrace.schemas import RecordError, RejectReason, SnapshotError
from millrace.streams.control.signature import HEADER, signature_of
from millrace.streams.kafka.delivery import ProducerRecords
from millrace.streams.kafka.errors import cause_of, is_refusal
from millrace.streams.kafka.protocols import Clients, Config, Consumer
from millrace.streams.kafka.sizes import SizeLimits
from millrace.streams.kafka.transactions import (
    AcknowledgedWriter,
    ProducerRecord,
    TransactionalWriter,
    Writer,
)
from millrace.streams.observability.metrics import Metrics
from millrace.streams.observability.published import Published
from millrace.streams.operators.base import Tally
from millrace.streams.operators.columns import Columns, Made
from millrace.streams.operators.record import CommandRecord, Record, RejectRecord, reject
from millrace.streams.runtime.batches import Batch, batches, origins_of, partitions_of
from millrace.streams.runtime.dead_letters import make_presentable, reason_of, without_original
from millrace.streams.settings import Guarantee
from millrace.streams.state.parts import is_part
from millrace.streams.state.records import MANIFEST, StateRecord
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.names import short_name

_log = structlog.get_logger(__name__)


class Outbox:
    """The producing half of an agent, connected from the moment it is made.

    Parameters
    ----------
    agent
        The agent's name.
    clients
        Makes the producer.
    prefix
        Of the pipeline's topics and of transactional ids.
    codec
        Records to bytes.
    partitions
        Topic, with prefix, to its number of partitions.
    metrics
        Where outputs are counted.
    guarantee
        What a crash may do to outputs.
    sizes
        Which sizes of records were refused before.
    config
        librdkafka's properties of its producer, besides those of every producer.
    command_key
        What commands are signed with; empty: they need no signature.

    Attributes
    ----------
    codec
        See above; that of the definition in force.
    tally
        What happened since the last commit: counted with the next.
    """

    def __init__(
        self,
        agent: str,
        clients: Clients,
        prefix: str,
        codec: TopicCodec,
        partitions: Mapping[str, int],
        metrics: Metrics,
        guarantee: Guarantee,
        sizes: SizeLimits | None = None,
        config: Config | None = None,
        command_key: bytes = b"",
    ) -> None:
        self._prefix = prefix
        self._command_key = command_key
        self.codec = codec
        self._places = {
            short_name(prefix, topic): (topic, count) for topic, count in partitions.items()
        }
        self._metrics = metrics
        self._published = Published()
        self._model_bytes = 0
        self._held: defaultdict[int, list[ProducerRecord]] = defaultdict(list)
        self.tally: Tally = Counter()
        broker_errors = metrics.broker_errors

        def count(error: KafkaError) -> None:
            broker_errors.labels(agent, error.name()).inc()

        self._writer: Writer
        if guarantee is Guarantee.EXACTLY_ONCE:
            self._writer = TransactionalWriter(clients, f"{prefix}{agent}", count, sizes, config)
        else:
            self._writer = AcknowledgedWriter(clients, count, sizes, config)

    @property
    def transactional_id(self) -> str:
        """What this worker's transactions are begun under; empty without transactions."""
        return self._writer.transactional_id

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, with something put since the last commit."""
        return self._writer.is_in_transaction

    def put_all(self, made: Iterable[Made]) -> None:
        """Write outputs, each as `put` does, in order on each topic."""
        for batch in batches(made):
            written = self._write_all(batch)
            if isinstance(batch, Columns) and written == len(batch):
                self._published.add(batch)
                continue
            records = batch.records() if isinstance(batch, Columns) else batch
            self._published.add_all(records[:written])
            for record in records[written:]:
                self.put(record)

    def put(self, record: Record) -> None:
        """Write one output, under its origin's timestamp, as part of the next commit.

        One that cannot be written, since it holds what its format cannot, or is larger than its
        topic takes, becomes the reject of its origin.
        """
        try:
            self._write(record)
        except RecordError as error:
            if isinstance(record, RejectRecord):
                self._put_reject(record)
            else:
                self.tally["rejected_event", error.reason.value] += 1
                self._put_reject(reject(record.origin, error.reason, error.detail))

    def _write_all(self, batch: Batch) -> int:
        """Write outputs until one of them cannot be written as it is; return how many were."""
        first = batch if isinstance(batch, Columns) else batch[0]
        if isinstance(first, RejectRecord | CommandRecord):
            return 0
        try:
            keys, values = self.codec.encode_all(batch)
        except PASSED_ON:
            raise
        except Exception:  # `put` says which of them it is, and why
            return 0
        topic, partitions = self._places[first.topic]
        places = [number % partitions for number in partitions_of(batch)]
        origins = origins_of(batch)
        times_ms = [each.timestamp_ms if each.timestamp_ms > 0 else 0 for each in origins]
        headers = [self.codec.carried(each) if each.headers else None for each in origins]
        return self._writer.produce_all(
            ProducerRecords(topic, values, keys, places, times_ms, headers)
        )

    def _put_reject(self, record: RejectRecord) -> None:
        """Write a dead letter; if it cannot be written, without the original."""
        try:
            self._write(record)
        except RecordError:
            value = record.value
            try:
                self._write(without_original(record))
            except RecordError as error:
                where = f"{value['topic']}[{value['partition']}]@{value['offset']}"
                _log.error("a reject cannot be written", record=where, reason=error.detail)

    def _write(self, record: Record) -> None:
        if isinstance(record, RejectRecord):
            make_presentable(record)
        key, value = self._encoded(record)
        origin = record.origin
        partition = origin.partition if record.partition is None else record.partition
        topic, partitions = self._places[record.topic]
        headers = self.codec.carried(origin)
        if isinstance(record, CommandRecord) and self._command_key:
            headers = [*(headers or []), (HEADER, signature_of(value, self._command_key))]
        timestamp_ms = max(origin.timestamp_ms, 0)
        self._writer.produce(
            ProducerRecord(topic, value, key, partition % partitions, timestamp_ms, headers)
        )
        self._published.add(record)

    def _encoded(self, record: Record) -> tuple[bytes | None, bytes]:
        try:
            return self.codec.encode(record)
        except PASSED_ON:
            raise
        except Exception as error:
            reason = reason_of(error)
            if reason is RejectReason.INTERNAL_ERROR:
                self.tally["internal_error", "encoding"] += 1
            raise RecordError(reason, f"{record.type} cannot be written: {told(error)}") from error

    def put_state(self, partition: int, entry: StateRecord) -> None:
        """Write one entry of the state, or a part of one, as part of the next commit.

        A manifest says that all before it is there. So it is held until then, with what follows
        it: manifests of many partitions wait together.

        Raises
        ------
        confluent_kafka.KafkaException
            It is larger than the topic takes.
        """
        if entry.topic == "models":
            self._model_bytes += len(entry.value or b"")
            if not is_part(entry.key):
                self._metrics.model_bytes.labels(partition).set(self._model_bytes)
                self._model_bytes = 0
        topic, key = self._prefix + entry.topic, entry.key.encode(errors="surrogateescape")
        record = ProducerRecord(topic, entry.value, key, partition, headers=entry.headers)
        if entry.key == MANIFEST or partition in self._held:
            self._held[partition].append(record)
        else:
            self._write_state(record)

    def _write_held(self) -> None:
        """Write the manifests, and what follows them, when all before them is there."""
        if self._held:
            self._writer.settle()
        for record in chain.from_iterable(self._held.values()):
            self._write_state(record)
        self._held.clear()

    def _write_state(self, record: ProducerRecord) -> None:
        try:
            self._writer.produce(record)
        except RecordError as error:  # it is too large: no record of anybody's
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)) from error

    def commit(self, consumer: Consumer, offsets: list[TopicPartition]) -> None:
        """Commit everything put since the last commit, and `offsets`.

        Raises
        ------
        BrokerError
            Something could not be written.
        confluent_kafka.KafkaException
            The commit failed; where it is fatal, another worker has taken over.
        """
        self._write_held()
        if self._writer.commit(consumer, offsets):
            self._count()

    def refusal(self, error: Exception) -> str:
        """Return, in public words, why what was put can never be written, by an error of a commit.

        Empty if the error says nothing about what was put: the broker is away, or another worker
        has taken over.
        """
        if isinstance(error, SnapshotError):
            return "a part of it cannot be pickled"
        cause = self._writer.refusal()
        if cause is None and isinstance(error, KafkaException):
            cause = cause_of(error)
        if cause is None or not is_refusal(cause):
            return ""
        return f"the broker refuses it: {KafkaError(cause.code()).str()}"

    def take_back(self) -> None:
        """Take back the state that was put since the last commit, and go on.

        Raises
        ------
        BrokerError, confluent_kafka.KafkaException
            The transaction cannot be aborted.
        """
        self._model_bytes = 0
        self._held.clear()
        self._writer.take_back()

    def abort(self) -> None:
        """Take back everything put since the last commit."""
        self._held.clear()
        self._forget()
        self._writer.abort()

    def renew(self) -> None:
        """Connect again after an abort, under another transactional id."""
        self._writer.renew()

    def close(self) -> None:
        """Free the producer; what is not committed is lost."""
        self._writer.close()

    def _count(self) -> None:
        self._metrics.count(self.tally)  # first: what is predicted has been learned
        self._metrics.count_published(self._published, time.time() * 1000)
        self._forget()

    def _forget(self) -> None:
        self._published.clear()
        self.tally.clear()
