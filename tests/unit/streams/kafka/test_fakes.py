"""The fakes do what is expected of Kafka, and what a test orders from them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.protocols import Clients
from tests.unit.streams.kafka.scenarios import SCENARIOS, Seen


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_fakes_behave_as_kafka_does(scenario: Callable[[Clients, str], Seen]) -> None:
    """`tests/integration` plays the same scenarios on a real one."""
    clients = FakeClients(FakeBroker({"topic": 2}))
    assert scenario(clients, "topic") == SCENARIOS[scenario]


def test_faults_come_in_the_order_in_which_they_were_ordered(
    clients: FakeClients, broker: FakeBroker
) -> None:
    """Each for one call, of whichever client makes it."""
    broker.fail_next("poll", KafkaError._TRANSPORT)
    broker.fail_next("poll", KafkaError._FAIL, fatal=True)
    consumer = clients.reader("t")
    with pytest.raises(KafkaException) as first:
        consumer.poll(0)
    with pytest.raises(KafkaException) as second:
        consumer.poll(0)
    assert [
        (each.value.args[0].code(), each.value.args[0].fatal()) for each in (first, second)
    ] == [
        (KafkaError._TRANSPORT, False),
        (KafkaError._FAIL, True),
    ]
    assert consumer.poll(0) is None


def test_a_reader_skips_what_has_expired(clients: FakeClients, broker: FakeBroker) -> None:
    """Unlike a member of a group, to which that is an error."""
    for value in (b"1", b"2", b"3"):
        broker.put("u", value)
    reader = clients.reader("t")
    reader.assign([TopicPartition("u", 0, OFFSET_BEGINNING)])
    broker.expire("u", before=2)
    (message,) = [each for each in reader.consume(10, timeout=0) if each.error() is None]
    assert (message.value(), message.offset()) == (b"3", 2)


def test_a_closed_consumer_cannot_be_used(clients: FakeClients) -> None:
    """As with confluent-kafka; closing it again is no error."""
    reader = clients.reader("t")
    reader.close()
    reader.close()
    with pytest.raises(RuntimeError, match="closed"):
        reader.poll(0)


def test_an_unknown_topic_is_an_error(clients: FakeClients) -> None:
    """Nothing is created by asking for it."""
    with pytest.raises(KafkaException, match="_UNKNOWN_TOPIC"):
        clients.reader("t").get_watermark_offsets(TopicPartition("x", 0), timeout=1.0)


def test_a_member_of_an_older_generation_cannot_commit(
    clients: FakeClients, broker: FakeBroker
) -> None:
    """It must rejoin first."""
    consumer = clients.consumer("g", {})
    consumer.subscribe(["t"], on_assign=_skip, on_revoke=_skip, on_lost=_skip)
    consumer.poll(0)
    broker.groups["g"].generation += 1
    with pytest.raises(KafkaException, match="ILLEGAL_GENERATION"):
        consumer.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
    assert broker.groups["g"].offsets == {}


def _skip(_: object, __: object) -> None: ...
