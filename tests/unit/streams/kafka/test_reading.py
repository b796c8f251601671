"""Reading to the end of a topic says how far it is, waits for a broker, and gives up in the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from millrace.schemas import BrokerError
from millrace.streams.kafka import reading
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.settings import Settings


class Message:
    """A record of partition 0, or the news of an error."""

    def __init__(self, code: int | None = None) -> None:
        self._error = None if code is None else KafkaError(code)

    def error(self) -> KafkaError | None:
        return self._error

    def partition(self) -> int:
        return 0


class Reader:
    """Gives what it was made with, one at a time, and then nothing."""

    def __init__(self, messages: Iterable[Message | None]) -> None:
        self._messages = iter(messages)
        self.is_closed = False

    def list_topics(self, _topic: str, timeout: float) -> None: ...

    def assign(self, _partitions: Any) -> None: ...

    def poll(self, _seconds: float) -> Message | None:
        return next(self._messages, None)

    def close(self) -> None:
        self.is_closed = True


END = Message(KafkaError._PARTITION_EOF)


def read(monkeypatch: pytest.MonkeyPatch, *messages: Message | None) -> list[Any]:
    reader = Reader(messages)
    monkeypatch.setattr(reading, "plain_reader", lambda _: reader)
    try:
        return [*read_to_end(Settings(), "p.state.learning", [0])]
    finally:
        assert reader.is_closed


def test_shows_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it takes longer than a moment, the log names the topic and counts its records."""
    monkeypatch.setattr(reading, "_PROGRESS_SECONDS", -1.0)

    with capture_logs() as logs:
        read(monkeypatch, Message(), Message(), END)

    assert [(each["event"], each["records"]) for each in logs] == [("reading", 1), ("reading", 2)]
    assert {each["topic"] for each in logs} == {"p.state.learning"}


def test_waits_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is no end: what comes after it is read."""
    lost = Message(KafkaError._TRANSPORT)

    assert len(read(monkeypatch, Message(), lost, None, Message(), END)) == 2


def test_silence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing for half a minute, and no end: the error names the topic and the partitions."""
    with pytest.raises(BrokerError, match=r"p\.state\.learning requires to be read to its end"):
        read(monkeypatch, Message())


def test_no_partition_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for no partition, it does not even connect."""
    monkeypatch.setattr(reading, "plain_reader", None)

    assert [*read_to_end(Settings(), "p.models", [])] == []
