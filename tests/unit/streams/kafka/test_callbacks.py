"""What a listener raises within a callback comes out after it."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from millrace.streams.kafka.callbacks import Callbacks
from millrace.streams.kafka.fakes import FakeBroker, FakeClients, FakeConsumer

PARTITIONS = [TopicPartition("t", 0)]


@pytest.fixture
def consumer(clients: FakeClients, broker: FakeBroker) -> FakeConsumer:
    broker.put("t", b"v")
    consumer = clients.consumer("g", {})
    consumer.assign([TopicPartition("t", 0, 0)])
    return consumer


def fail(_: list[TopicPartition]) -> None:
    raise KafkaException(KafkaError(KafkaError._FAIL))


def test_a_listener_is_told_the_partitions(consumer: FakeConsumer) -> None:
    """And nothing is raised where nothing was."""
    callbacks, seen = Callbacks(), []
    callbacks.guarded(seen.extend)(consumer, PARTITIONS)
    callbacks.raise_pending()
    assert seen == PARTITIONS


@pytest.mark.parametrize("error", [KafkaException(KafkaError(KafkaError._FAIL)), SystemExit()])
def test_what_it_raises_is_raised_later_and_once(
    consumer: FakeConsumer, error: BaseException
) -> None:
    """Whatever it is: confluent-kafka would make something of it that no `except` catches."""
    callbacks = Callbacks()

    def fail(_: list[TopicPartition]) -> None:
        raise error

    callbacks.guarded(fail)(consumer, PARTITIONS)
    with pytest.raises(type(error)) as raised:
        callbacks.raise_pending()
    assert raised.value is error
    callbacks.raise_pending()


def test_after_an_error_no_listener_is_called(consumer: FakeConsumer) -> None:
    """Until it was raised: what follows would build on what failed. The first error counts."""
    callbacks, seen = Callbacks(), []
    callbacks.guarded(fail)(consumer, PARTITIONS)
    callbacks.guarded(seen.extend)(consumer, PARTITIONS)
    callbacks.unassigning(seen.extend)(consumer, PARTITIONS)
    assert seen == []
    with pytest.raises(KafkaException):
        callbacks.raise_pending()
    callbacks.guarded(seen.extend)(consumer, PARTITIONS)
    assert seen == PARTITIONS


@pytest.mark.parametrize("is_failing", [False, True])
def test_partitions_are_unassigned_in_the_callback(
    consumer: FakeConsumer, is_failing: bool
) -> None:
    """After the listener was told, and whatever it raised."""
    callbacks, seen = Callbacks(), []

    def gone(_: list[TopicPartition]) -> None:
        seen.append(consumer.poll(0))
        if is_failing:
            raise ZeroDivisionError

    callbacks.unassigning(gone)(consumer, PARTITIONS)
    assert [each.value() for each in seen] == [b"v"]  # they were still assigned
    consumer.assign([TopicPartition("t", 0, 0)])
    callbacks.unassigning(gone)(consumer, PARTITIONS)
    assert consumer.poll(0) is None
    if is_failing:
        with pytest.raises(ZeroDivisionError):
            callbacks.raise_pending()


def test_a_consumer_that_cannot_unassign_is_left(
    consumer: FakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is being closed, for example: that is no error."""
    callbacks = Callbacks()

    def refuse() -> None:
        raise KafkaException(KafkaError(KafkaError._STATE))

    monkeypatch.setattr(consumer, "unassign", refuse)
    callbacks.unassigning(lambda _: None)(consumer, PARTITIONS)
    callbacks.raise_pending()
