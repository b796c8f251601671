"""A record that is not delivered is an error, sooner or later."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from millrace.schemas import BrokerError
from millrace.streams.kafka.delivery import CheckedProducer, ProducerRecords
from millrace.streams.kafka.fakes import FakeBroker, FakeClients


@pytest.fixture
def producer(clients: FakeClients) -> CheckedProducer:
    return CheckedProducer(clients)


def test_records_are_delivered(producer: CheckedProducer, broker: FakeBroker) -> None:
    """With key, time and headers; to the partition that was named."""
    producer.produce("t", b"v", "k", 1, timestamp_ms=5, headers=[("h", b"x")])
    producer.flush(1.0)
    (record,) = broker.records("t", 1)
    assert (record.key(), record.value(), record.timestamp()[1]) == (b"k", b"v", 5)
    assert record.headers() == [("h", b"x")]


def test_without_a_time_it_is_now(producer: CheckedProducer, broker: FakeBroker) -> None:
    """The client's, or the broker's."""
    producer.produce("t", b"v", None, 0)
    assert broker.records("t")[0].timestamp()[1] == broker.now_ms


def test_undelivered_records_are_counted(producer: CheckedProducer, broker: FakeBroker) -> None:
    """The error names the topic and the cause of the first one."""
    for code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._MSG_TIMED_OUT):
        broker.fail_next("delivery", code)
    producer.produce("t", b"1", None, 0)
    producer.produce("u", b"2", None, 0)
    with pytest.raises(
        BrokerError, match=r"^2 records were not written to topic t: .* Write on topic 't'"
    ):
        producer.flush(1.0)


def test_a_failure_is_not_forgotten(producer: CheckedProducer, broker: FakeBroker) -> None:
    """Records after it may be delivered, but it was not."""
    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)
    producer.produce("t", b"1", None, 0)
    producer.check()  # not reported yet
    with pytest.raises(BrokerError, match="1 records"):
        producer.poll()
    producer.produce("t", b"2", None, 0)
    with pytest.raises(BrokerError, match="1 records"):
        producer.check()
    with pytest.raises(BrokerError, match="1 records"):
        producer.flush(1.0)


def test_a_full_queue_is_waited_for(producer: CheckedProducer, broker: FakeBroker) -> None:
    """The record goes out when there is room."""
    for _ in range(3):
        broker.before("produce", _full)
    producer.produce("t", b"v", None, 0)
    assert broker.values("t") == [b"v"]


def test_records_are_produced_up_to_a_full_queue(
    producer: CheckedProducer, broker: FakeBroker
) -> None:
    """Then it says how many there were, and `produce` waits with the next."""
    broker.before("produce", lambda: None)
    broker.before("produce", _full)
    columns = ([b"1", b"2", b"3"], [b"k", None, None], [0, 1, 0], [5, 0, 0])
    records = ProducerRecords("t", *columns, [[("h", b"x")], None, None])
    assert producer.produce_all(records) == 1
    (record,) = broker.records("t")
    assert (record.key(), record.value(), record.timestamp()[1]) == (b"k", b"1", 5)
    assert record.headers() == [("h", b"x")]
    assert producer.produce_all(records) == 3
    assert broker.values("t", 1) == [b"2"]


def test_a_full_queue_whose_records_fail_is_an_error(
    producer: CheckedProducer, broker: FakeBroker
) -> None:
    """Rather than waiting forever."""
    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)
    producer.produce("t", b"1", None, 0)
    broker.before("produce", _full)
    with pytest.raises(BrokerError, match="not written to topic t"):
        producer.produce("t", b"2", None, 0)


def _full() -> None:
    raise BufferError


def test_unacknowledged_records_are_an_error(producer: CheckedProducer, broker: FakeBroker) -> None:
    """It names the topics that were written to since the last flush."""
    producer.produce("t", b"0", None, 0)
    producer.flush(1.0)
    for topic in ("u", "u"):
        producer.produce(topic, b"1", None, 0)
    broker.unacknowledged = 2
    with pytest.raises(
        BrokerError,
        match=r"^2 records were not acknowledged within 7 s on topic u: broker 'fake' cannot",
    ):
        producer.flush(7.0)


def test_it_takes_more_properties(broker: FakeBroker) -> None:
    """Besides those of every producer, and its own reports."""
    seen: list[dict[str, object]] = []

    class Clients(FakeClients):
        def producer(self, config):
            seen.append(dict(config))
            return super().producer(config)

    CheckedProducer(Clients(broker), {"linger.ms": 20})
    (config,) = seen
    assert config["linger.ms"] == 20
    assert config["delivery.report.only.error"] is True
    assert callable(config["on_delivery"])
