"""What is kept of a message."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from confluent_kafka import Message

from millrace.streams.kafka.records import headers_of, origin_of, runs_of
from millrace.streams.operators.record import Origin


class BadlyNamed(Message):
    """A message with a header whose name is not UTF-8, as confluent-kafka gives it."""

    error: Exception = SystemError("returned NULL")

    def headers(self) -> Any:
        raise self.error


def message(topic: str, partition: int, offset: int, **more: Any) -> Message:
    return Message(topic=topic, partition=partition, offset=offset, timestamp=(1, 7), **more)


def any_message(random: Random, offset: int) -> Message:
    return message(
        random.choice(["p.events", "p.labels"]),
        random.choice([0, 0, 1]),
        offset,
        key=random.choice([None, b"", b"k"]),
        value=random.choice([None, b"", b"v"]),
        headers=random.choice([None, [], [("a", b"b"), ("c", None)]]),
    )


@pytest.mark.parametrize("seed", range(20))
def test_messages_are_read_in_runs_of_a_topic_and_partition(seed: int) -> None:
    """In their order, and each with all that it has."""
    random = Random(seed)
    messages = [any_message(random, offset) for offset in range(random.randrange(30))]

    runs = [*runs_of(messages, "p.")]

    assert [each for run in runs for each in run] == [
        Origin(
            (each.topic() or "").removeprefix("p."),
            each.partition() or 0,
            each.offset() or 0,
            each.timestamp()[1],
            each.key(),
            each.value(),
            tuple(each.headers() or ()),
            each.topic() or "",
        )
        for each in messages
    ]
    places = [{(each.topic, each.partition) for each in run} for run in runs]
    assert all(len(each) == 1 for each in places)
    assert all(one != other for one, other in pairwise(places))


def test_a_record_is_an_origin() -> None:
    """Of the class with the names, not a mere tuple."""
    origin = origin_of(message("p.events", 1, 2), "p.")
    assert (type(origin), origin.offset, origin.full_topic) == (Origin, 2, "p.events")


@pytest.mark.parametrize(
    "error", [SystemError("returned NULL"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")]
)
def test_headers_that_cannot_be_read_are_left_out(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the messages around it are kept."""
    monkeypatch.setattr(BadlyNamed, "error", error)
    good = Message(headers=[("a", b"b")])
    assert headers_of([good, BadlyNamed(), good, BadlyNamed(), BadlyNamed()]) == [
        *((("a", b"b"),), (), (("a", b"b"),)),
        *((), ()),
    ]
