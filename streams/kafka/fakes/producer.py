"""A producer of a fake broker."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from millrace.streams.kafka.fakes.broker import FakeBroker, Membership, fail
from millrace.streams.kafka.protocols import Config, Headers, OnDelivery


class FakeProducer:
    """Writes at once, and reports what was not delivered.

    Attributes
    ----------
    transactional_id
        Empty without transactions.
    """

    def __init__(self, broker: FakeBroker, config: Config) -> None:
        self._broker = broker
        self._config = config
        self.transactional_id = str(config.get("transactional.id", ""))
        self._epoch = 0
        self._is_in_transaction = False
        self._undelivered: list[tuple[KafkaError, Message]] = []
        self._reports: list[tuple[OnDelivery, KafkaError | None, Message]] = []
        self._lost = 0
        self._errors: list[KafkaError] = []

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: str | bytes | None,
        partition: int,
        _callback: None = None,
        on_delivery: OnDelivery | None = None,
        timestamp: int = 0,
        headers: Headers | None = None,
    ) -> None:
        self._broker.meet_fault("produce")
        if self.transactional_id and not self._is_in_transaction:
            fail(KafkaError._STATE)
        encoded = key.encode() if isinstance(key, str) else key
        if len(encoded or b"") + len(value or b"") > self._broker.max_message_bytes:
            fail(KafkaError.MSG_SIZE_TOO_LARGE)
        try:
            self._broker.meet_fault("delivery")
            if topic in self._broker.refused:
                fail(self._broker.refused[topic])
            self._check_not_fenced()
            if len(encoded or b"") + len(value or b"") > self._broker.topic_bytes.get(topic, 2**31):
                fail(KafkaError.MSG_SIZE_TOO_LARGE)
        except KafkaException as error:
            self._lost += 1
            lost = Message(topic=topic, partition=partition, key=encoded, value=value)
            if on_delivery is not None:
                self._reports.append((on_delivery, error.args[0], lost))
            else:
                self._undelivered.append((error.args[0], lost))
            return
        transaction = (
            self._broker.transaction(self.transactional_id) if self.transactional_id else None
        )
        if transaction is not None:
            transaction.places.add((topic, partition))
        offset = self._broker.put(
            topic, value, encoded, partition, timestamp or None, headers, transaction
        )
        if on_delivery is not None:
            there = Message(topic=topic, partition=partition, offset=offset, value=value)
            self._reports.append((on_delivery, None, there))

    def poll(self, _timeout: float, /) -> int:
        errors, self._errors = self._errors, []
        for error in errors:
            self._call("error_cb", error)
        reports, self._reports = self._reports, []
        for report, failure, message in reports:
            report(failure, message)
        undelivered, self._undelivered = self._undelivered, []
        for error, message in undelivered:
            self._call("on_delivery", error, message)
        return len(undelivered)

    def flush(self, _timeout: float, /) -> int:
        self._broker.meet_fault("flush")
        self.poll(0)
        return self._broker.unacknowledged

    def init_transactions(self, _timeout: float, /) -> None:
        self._broker.meet_fault("init_transactions")
        self._epoch = self._broker.init_transactions(self.transactional_id)

    def begin_transaction(self) -> None:
        self._broker.meet_fault("begin_transaction")
        if not self._epoch or self._is_in_transaction:
            fail(KafkaError._STATE)
        self._is_in_transaction = True
        self._lost = 0

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: object, _timeout: float, /
    ) -> None:
        self._broker.meet_fault("send_offsets_to_transaction")
        self._check_not_fenced()
        assert isinstance(group_metadata, Membership)
        self._broker.check_member(group_metadata)
        self._broker.transaction(self.transactional_id).offsets += [
            (group_metadata.group, at) for at in positions
        ]

    def commit_transaction(self, _timeout: float, /) -> None:
        self._broker.meet_fault("commit_transaction")
        self.poll(0)  # librdkafka reports what was not delivered, too
        self._check_not_fenced()
        if self._lost:
            fail(KafkaError._FAIL, txn_requires_abort=True)
        self._end("committed")

    def abort_transaction(self, _timeout: float, /) -> None:
        self._broker.meet_fault("abort_transaction")
        self._check_not_fenced()
        self._end("aborted")

    def report(self, error: KafkaError) -> None:
        """Let the next poll report an error of the connection."""
        self._errors.append(error)

    def _end(self, outcome: str) -> None:
        if not self._is_in_transaction:
            fail(KafkaError._STATE)
        self._is_in_transaction = False
        self._broker.end_transaction(self.transactional_id, outcome)

    def _check_not_fenced(self) -> None:
        if self.transactional_id and self._broker.is_fenced(self.transactional_id, self._epoch):
            fail(KafkaError._FENCED, fatal=True)

    def _call(self, name: str, *arguments: object) -> None:
        callback = self._config.get(name)
        if callable(callback):
            callback(*arguments)
