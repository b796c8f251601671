"""Records and the offsets that they follow from, committed with and without a transaction."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from threading import Event

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from millrace.schemas import BrokerError
from millrace.streams.kafka import transactions
from millrace.streams.kafka.fakes import FakeBroker, FakeClients, FakeConsumer
from millrace.streams.kafka.transactions import (
    AcknowledgedWriter,
    ProducerRecord,
    ProducerRecords,
    TransactionalWriter,
    fence,
)

OFFSETS = [TopicPartition("t", 0, 5)]


def ignore(_: KafkaError) -> None: ...


@pytest.fixture
def writer(clients: FakeClients) -> TransactionalWriter:
    return TransactionalWriter(clients, "p.agent", ignore)


@pytest.fixture
def consumer(clients: FakeClients) -> FakeConsumer:
    consumer = clients.consumer("g", {})
    consumer.subscribe(["t"], on_assign=_skip, on_revoke=_skip, on_lost=_skip)
    consumer.poll(0)
    return consumer


def _skip(_: object, __: object) -> None: ...


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], object]]:
    """Give an action that returns at the end of the test alone; nobody waits for it for long."""
    released = Event()
    monkeypatch.setattr(transactions, "_COORDINATOR_SECONDS", 0.05)
    yield released.wait
    released.set()


def produce(writer: TransactionalWriter | AcknowledgedWriter, value: bytes = b"v") -> None:
    writer.produce(ProducerRecord("u", value, b"k", 0, 7, [("h", b"x")]))


def produce_all(writer: TransactionalWriter | AcknowledgedWriter, *values: bytes) -> int:
    count = len(values)
    return writer.produce_all(
        ProducerRecords("u", values, [b"k"] * count, [0] * count, [7] * count, [None] * count)
    )


def test_records_are_written_together(
    writer: TransactionalWriter, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """In a transaction, up to the first one that is refused."""
    broker.max_message_bytes = 10
    assert produce_all(writer, b"1", b"2", bytes(11), b"4") == 2
    assert writer.is_in_transaction
    writer.commit(consumer, OFFSETS)
    assert broker.values("u") == [b"1", b"2"]


def test_a_transaction_begins_with_the_first_record(
    writer: TransactionalWriter, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """And ends with the commit, which makes the records and the offsets last."""
    assert not writer.is_in_transaction
    produce(writer, b"1")
    produce(writer, b"2")
    assert writer.is_in_transaction
    assert broker.values("u") == []
    assert broker.groups["g"].offsets == {}

    assert writer.commit(consumer, OFFSETS)

    assert not writer.is_in_transaction
    assert broker.values("u") == [b"1", b"2"]
    assert broker.topics["u"][0].end == 3
    assert broker.groups["g"].offsets == {("t", 0): 5}


def test_a_record_is_written_as_it_was_given(
    writer: TransactionalWriter, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """Its key, time and headers, too."""
    produce(writer)
    writer.commit(consumer, [])
    (record,) = broker.records("u")
    assert (record.key(), record.value(), record.timestamp()[1]) == (b"k", b"v", 7)
    assert record.headers() == [("h", b"x")]


def test_nothing_is_committed_without_reason(
    writer: TransactionalWriter, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """Without records and offsets there is no transaction."""
    broker.fail_next("begin_transaction", KafkaError._FAIL)
    assert writer.commit(consumer, []) is False


def test_offsets_alone_are_a_transaction(
    writer: TransactionalWriter, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """So that they are fenced like any."""
    assert writer.commit(consumer, OFFSETS)
    assert broker.groups["g"].offsets == {("t", 0): 5}


def test_records_alone_need_no_group(
    writer: TransactionalWriter, clients: FakeClients, broker: FakeBroker
) -> None:
    """The consumer may have left it."""
    produce(writer)
    broker.fail_next("send_offsets_to_transaction", KafkaError._FAIL)
    assert writer.commit(clients.consumer("g", {}), [])
    assert broker.values("u") == [b"v"]


def test_a_commit_that_fails_can_be_aborted(
    writer: TransactionalWriter, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """Then nothing of it is there, and no reader waits for it."""
    produce(writer)
    broker.fail_next("commit_transaction", KafkaError.COORDINATOR_NOT_AVAILABLE)
    with pytest.raises(KafkaException, match="COORDINATOR_NOT_AVAILABLE"):
        writer.commit(consumer, OFFSETS)
    assert writer.is_in_transaction

    writer.abort()

    assert not writer.is_in_transaction
    assert broker.values("u") == []
    assert broker.groups["g"].offsets == {}
    assert broker.topics["u"][0].last_stable == 2


def test_an_aborted_client_is_not_used_again(
    writer: TransactionalWriter, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """Until it is renewed, with an id of its own."""
    produce(writer, b"1")
    before = writer.transactional_id
    writer.abort()
    with pytest.raises(BrokerError, match=f"transactional id {before} is not used any more"):
        produce(writer)

    writer.renew()

    assert writer.transactional_id != before
    assert writer.transactional_id.startswith("p.agent-")
    produce(writer, b"2")
    writer.commit(consumer, [])
    assert broker.values("u") == [b"2"]


def test_an_abort_without_a_transaction_asks_nobody(
    writer: TransactionalWriter, broker: FakeBroker
) -> None:
    """There is nothing to take back; another worker may have fenced the client, though."""
    broker.fail_next("abort_transaction", KafkaError._FAIL)
    broker.fail_next("abort_transaction", KafkaError._FAIL)
    writer.abort()
    with pytest.raises(BrokerError):
        produce(writer)


@pytest.mark.parametrize("code", [KafkaError._FENCED, KafkaError._TIMED_OUT])
def test_an_abort_that_fails_is_no_error(
    writer: TransactionalWriter, broker: FakeBroker, code: int
) -> None:
    """Nothing of a client that is fenced, or gone, can become visible."""
    produce(writer)
    broker.fail_next("abort_transaction", code)
    writer.abort()
    assert not writer.is_in_transaction


def test_renewing_a_good_client_changes_nothing(
    writer: TransactionalWriter, clients: FakeClients
) -> None:
    """It keeps its id, and what it has written."""
    before = writer.transactional_id
    produce(writer)
    writer.renew()
    assert (writer.transactional_id, len(clients.producers)) == (before, 1)
    assert writer.is_in_transaction


def test_a_renewal_that_fails_leaves_it_unusable(
    writer: TransactionalWriter, broker: FakeBroker
) -> None:
    """It can be tried again."""
    writer.abort()
    broker.fail_next("init_transactions", KafkaError._TIMED_OUT)
    with pytest.raises(KafkaException):
        writer.renew()
    with pytest.raises(BrokerError):
        produce(writer)
    writer.renew()
    produce(writer)


def test_a_commit_that_hangs_is_given_up(
    writer: TransactionalWriter,
    consumer: FakeConsumer,
    broker: FakeBroker,
    hang: Callable[[], object],
) -> None:
    """Its client is not used again, not even to abort: it is still busy."""
    produce(writer)
    broker.before("send_offsets_to_transaction", hang)
    with pytest.raises(BrokerError, match=rf"committing as {writer.transactional_id} timed out"):
        writer.commit(consumer, OFFSETS)

    broker.before("abort_transaction", hang)
    writer.abort()

    assert len(broker._faults["abort_transaction"]) == 1
    assert not writer.is_in_transaction


def test_an_abort_that_hangs_is_given_up(
    writer: TransactionalWriter, broker: FakeBroker, hang: Callable[[], object]
) -> None:
    """Whoever fences the transactional id aborts it."""
    produce(writer)
    broker.before("abort_transaction", hang)
    writer.abort()
    fence(FakeClients(broker), writer.transactional_id)
    assert broker.topics["u"][0].last_stable == 2


@pytest.mark.parametrize(("size", "seconds"), [(0, 10.0), (5_000_000, 15.0)])
def test_large_state_has_more_time(
    writer: TransactionalWriter,
    consumer: FakeConsumer,
    size: int,
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second for each megabyte since the transaction began, after ten seconds for an answer."""
    given = []

    def call(allowed: float, _what: str, function: Callable[[], object]) -> None:
        given.append(allowed)
        function()

    monkeypatch.setattr(writer._bounded, "call", call)
    for write in (produce, produce_all):  # the second transaction counts from zero
        write(writer, bytes(size))
        writer.commit(consumer, OFFSETS)
    assert given == [seconds, seconds]


def test_after_a_lost_connection_the_next_transaction_has_a_new_client(
    writer: TransactionalWriter, consumer: FakeConsumer, clients: FakeClients, broker: FakeBroker
) -> None:
    """Under the same id: the old one might hang in its next commit."""
    before = writer.transactional_id
    produce(writer, b"1")
    clients.producers[-1].report(KafkaError(KafkaError._TRANSPORT))
    writer.commit(consumer, [])  # a transaction that has begun is finished
    assert len(clients.producers) == 1

    produce(writer, b"2")
    writer.commit(consumer, [])
    produce(writer, b"3")
    writer.commit(consumer, [])

    assert len(clients.producers) == 2
    assert writer.transactional_id == before
    assert broker.values("u") == [b"1", b"2", b"3"]


def test_errors_of_the_connection_are_passed_on(
    clients: FakeClients, consumer: FakeConsumer
) -> None:
    """For a metric, with and without transactions."""
    seen: list[str] = []

    def note(error: KafkaError) -> None:
        seen.append(error.name())

    for writer in (
        TransactionalWriter(clients, "p.agent", note),
        AcknowledgedWriter(clients, note),
    ):
        clients.producers[-1].report(KafkaError(KafkaError._TRANSPORT))
        produce(writer)
        writer.commit(consumer, [])
    assert seen == ["_TRANSPORT", "_TRANSPORT"]


def test_a_writer_that_is_dropped_frees_its_client_at_once(
    clients: FakeClients, consumer: FakeConsumer
) -> None:
    """It does not wait for the garbage collector: a client has threads and connections."""
    gc.disable()
    try:
        writer = TransactionalWriter(clients, "p.agent", ignore)
        produce(writer)
        writer.commit(consumer, OFFSETS)
        writer.close()
        freed = weakref.ref(clients.producers.pop())
        del writer
        assert freed() is None
    finally:
        gc.enable()


def test_fencing_ends_another_workers_transaction(
    writer: TransactionalWriter, consumer: FakeConsumer, broker: FakeBroker, clients: FakeClients
) -> None:
    """What it had open is aborted, and it cannot commit any more."""
    produce(writer)
    fence(clients, writer.transactional_id)
    assert broker.topics["u"][0].last_stable == 2
    with pytest.raises(KafkaException, match="_FENCED"):
        writer.commit(consumer, OFFSETS)
    assert broker.groups["g"].offsets == {}


def test_without_transactions_offsets_follow_acknowledgements(
    clients: FakeClients, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """Records are visible at once; the offsets are committed when all of them are delivered."""
    writer = AcknowledgedWriter(clients, ignore)
    produce(writer)
    assert broker.values("u") == [b"v"]
    assert (writer.is_in_transaction, writer.transactional_id) == (False, "")
    assert writer.commit(consumer, OFFSETS)
    assert broker.groups["g"].offsets == {("t", 0): 5}
    produce(writer)
    broker.fail_next("commit", KafkaError._FAIL)
    assert writer.commit(consumer, [])  # no offsets, nothing to ask of the group


def test_without_transactions_undelivered_records_hold_the_offsets_back(
    clients: FakeClients, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """Otherwise they would be lost."""
    writer = AcknowledgedWriter(clients, ignore)
    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)
    produce(writer)
    with pytest.raises(BrokerError, match="not written to topic u"):
        writer.commit(consumer, OFFSETS)
    assert broker.groups["g"].offsets == {}


def test_without_transactions_nothing_is_taken_back(
    clients: FakeClients, consumer: FakeConsumer, broker: FakeBroker
) -> None:
    """What was written stays, and the writer can be used as before."""
    writer = AcknowledgedWriter(clients, ignore)
    produce(writer)
    writer.abort()
    writer.renew()
    writer.close()
    produce(writer)
    assert broker.values("u") == [b"v", b"v"]
    assert len(clients.producers) == 1


def test_a_topic_that_a_transaction_may_not_write_to_is_named(
    clients: FakeClients, broker: FakeBroker
) -> None:
    """Its error says only that it has failed: which topic was refused, the client's log says."""
    writer = TransactionalWriter(clients, "p.a", lambda _: None)
    clients.last_refused_topic = "p.alerts"
    broker.fail_next("produce", KafkaError._STATE)
    with pytest.raises(BrokerError, match=r"may not do Write on topic 'p\.alerts'"):
        produce(writer)
    clients.last_refused_topic = ""
    broker.fail_next("produce", KafkaError._STATE)
    with pytest.raises(KafkaException):
        produce(writer)
