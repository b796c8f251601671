"""What is read from the topics, with a consumer that gives what it is told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from millrace.schemas import BrokerError, shipped
from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo import tail as module
from millrace.streams.demo.state import DemoState
from millrace.streams.demo.tail import Tail
from millrace.streams.settings import Settings


class Message:
    def __init__(self, topic: str, value: bytes = b"", error: int | None = None) -> None:
        self._topic, self._value, self._error = topic, value, error

    def topic(self) -> str:
        return self._topic

    def value(self) -> bytes:
        return self._value

    def error(self) -> KafkaError | None:
        return None if self._error is None else KafkaError(self._error)


class Consumer:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.assigned: list[Any] = []

    def assign(self, partitions: list[Any]) -> None:
        self.assigned = partitions

    def consume(self, _number: int, timeout: float) -> list[Message]:
        assert timeout == 0
        messages, self.messages = self.messages, []
        return messages


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def tail(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> Tail:
    monkeypatch.setattr(module, "plain_reader", lambda _: consumer)
    return Tail(Settings(), "loans.")


def test_it_reads_every_partition_of_both_topics(tail: Tail, consumer: Consumer) -> None:
    """From the beginning, so that nothing is missed."""
    assert [(each.topic, each.partition) for each in consumer.assigned] == [
        (topic, partition)
        for topic in ("loans.alerts", "loans.predictions")
        for partition in range(4)
    ]
    assert {each.offset for each in consumer.assigned} == {-2}


def test_records_reach_the_state(
    tail: Tail,
    consumer: Consumer,
    state: DemoState,
    alert: Callable[..., Alert],
    prediction: Callable[..., Prediction],
) -> None:
    """Alerts all of them, predictions counted and the newest shown."""
    consumer.messages = [
        *(
            Message("loans.predictions", shipped("prediction").encode(prediction(str(number))))
            for number in range(20)
        ),
        Message("loans.alerts", shipped("alert").encode(alert())),
        Message("loans.alerts", error=KafkaError._PARTITION_EOF),
    ]
    tail.read_into(state)
    tail.read_into(state)
    assert state.alerts == [alert()]
    assert state.predictions_read == 20
    assert [each["event_id"] for each in state.newest_predictions] == [*map(str, range(12, 20))]


def test_a_topic_that_cannot_be_read_is_an_error(
    tail: Tail, consumer: Consumer, state: DemoState
) -> None:
    """The end of a partition is none."""
    consumer.messages = [Message("loans.alerts", error=KafkaError._ALL_BROKERS_DOWN)]
    with pytest.raises(BrokerError, match=r"topic loans\.alerts requires to be read"):
        tail.read_into(state)
