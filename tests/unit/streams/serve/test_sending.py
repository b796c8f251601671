"""Each record says when it is on the broker, or why it may not be."""

from __future__ import annotations

import asyncio

from confluent_kafka import KafkaError

from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.serve.sending import RecordPlace, Sender


def sent(broker, count=1):
    """Return what comes of records that are sent one after the other."""
    clients = FakeClients(broker)

    async def run():
        sender = Sender(clients)
        sender.start()
        found = [await sender.send("events", b"{}", "e1", 0) for _ in range(count)]
        await asyncio.to_thread(sender.stop)
        return found

    return asyncio.run(asyncio.wait_for(run(), 10)), clients


def test_a_record_is_where_the_broker_has_put_it():
    """Topic, partition, offset."""
    found, _ = sent(FakeBroker({"events": 1}), 2)
    assert found == [RecordPlace("events", 0, 0), RecordPlace("events", 0, 1)]


def test_a_record_that_is_not_delivered_concerns_no_other():
    """Unlike in a transaction."""
    broker = FakeBroker({"events": 1})

    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)
    (first, second), _ = sent(broker, 2)
    assert first.code() == KafkaError._MSG_TIMED_OUT
    assert second == RecordPlace("events", 0, 0)


def test_a_full_queue_is_said_at_once():
    """Memory stays bounded while the broker is away."""
    broker = FakeBroker({"events": 1})

    def fail():
        raise BufferError

    broker.before("produce", fail)
    (found,), _ = sent(broker)
    assert found.code() == KafkaError._QUEUE_FULL


def test_a_producer_that_cannot_go_on_is_replaced():
    """librdkafka calls such an error fatal."""
    broker = FakeBroker({"events": 1})

    broker.fail_next("produce", KafkaError._FATAL, fatal=True)
    (first, second), clients = sent(broker, 2)
    assert first.fatal()
    assert second == RecordPlace("events", 0, 0)
    assert len(clients.producers) == 2
