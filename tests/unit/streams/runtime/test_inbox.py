"""What may come between a poll and its records: a rebalance, a coordinator, a broker in silence."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from millrace.schemas import BrokerError
from millrace.streams.kafka.stall import Fetching
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime import inbox
from millrace.streams.runtime.inbox import Inbox
from millrace.streams.settings import Settings


class Message:
    """A record of `p.events[0]`."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def topic(self) -> str:
        return "p.events"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return (1, self._offset)

    def error(self) -> None:
        return None

    def headers(self) -> None:
        return None

    def key(self) -> bytes | None:
        return None

    def value(self) -> bytes | None:
        return b""


class Consumer:
    """Has ten records, and is given its partition anew when it is next asked for a batch."""

    def __init__(self, _config: dict[str, Any]) -> None:
        self.position = 0
        self.is_due = False

    def subscribe(self, _topics: list[str], *, on_assign: Any, **_others: Any) -> None:
        self._on_assign = on_assign

    def assign(self, partitions: list[TopicPartition]) -> None:
        (self.position,) = (each.offset for each in partitions)

    def poll(self, _seconds: float) -> Message:
        return self.consume(1, 0.0)[0]

    def consume(self, count: int, timeout: float) -> list[Message]:
        if self.is_due and count > 1:
            self.is_due = False
            self._on_assign(self, [TopicPartition("p.events", 0)])
        start, self.position = self.position, min(self.position + count, 10)
        return [Message(offset) for offset in range(start, self.position)]


def test_a_poll_that_meets_a_rebalance_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record taken before it is not folded at the place where the new assignment begins."""
    monkeypatch.setattr(inbox, "Consumer", Consumer)
    box = Inbox("ingest", Settings(), "p.", ["events"], Metrics("p"))
    box.open(lambda _: box.start({("events", 0): 4}), lambda _: None, lambda _: None)
    box.start({("events", 0): 7})
    consumer: Any = box.consumer
    consumer.is_due = True

    first, second = box.poll(100), box.poll(100)

    assert first == []
    assert [origin.offset for origin in second] == [4, 5, 6, 7, 8, 9]


def test_offsets_that_are_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that keeps the group's offsets to itself is named, and what to do about it."""

    def keep_back(_self: Consumer, _assigned: list[TopicPartition], timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(inbox, "Consumer", Consumer)
    monkeypatch.setattr(Consumer, "committed", keep_back, raising=False)
    box = Inbox("ingest", Settings(), "p.", ["events"], Metrics("p"))
    box.open(lambda _: None, lambda _: None, lambda _: None)

    with pytest.raises(BrokerError, match=r"offsets of group p\.ingest; got none within 30 s"):
        box.committed([TopicPartition("p.events", 0)])


def test_a_broker_that_does_not_say_how_far_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked now and then; that it does not answer is counted, and the poll goes on."""

    def be_silent(_self: Consumer, _latest: list[TopicPartition], timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(inbox, "Consumer", Consumer)
    monkeypatch.setattr(inbox, "Fetching", partial(Fetching, look_seconds=-1.0))
    monkeypatch.setattr(Consumer, "offsets_for_times", be_silent, raising=False)
    metrics = Metrics("p")
    box = Inbox("ingest", Settings(), "p.", ["events"], metrics)
    box.open(lambda _: None, lambda _: None, lambda _: None)
    box.start({("events", 0): 7})

    assert [origin.offset for origin in box.poll(100)] == [7, 8, 9]
    errors = metrics.broker_errors.labels("ingest", "_TIMED_OUT")
    assert errors._value.get() == 1


@pytest.mark.parametrize(
    ("taken_at_once", "stall"),
    [
        pytest.param(100, "stalled: events[0] has records from offset 7 on", id="nothing moves"),
        pytest.param(2, "", id="others of what was fetched come first"),
    ],
)
def test_a_partition_with_records_of_which_none_is_taken(
    monkeypatch: pytest.MonkeyPatch, taken_at_once: int, stall: str
) -> None:
    """It is stalled, unless more was fetched than is taken at once: then it waits its turn."""
    monkeypatch.setattr(inbox, "Consumer", Consumer)
    monkeypatch.setattr(Consumer, "get_watermark_offsets", lambda *_, **__: (0, 9), raising=False)
    box = Inbox("ingest", Settings(), "p.", ["events"], Metrics("p"))
    box.open(lambda _: None, lambda _: None, lambda _: None)
    box.start({("events", 0): 7})
    box.poll(taken_at_once)

    box.report_lag({("events", 0): 7})

    assert box.stall(seconds=-1.0)[: len(stall) or None] == stall
    assert box.stall(seconds=60.0) == ""
