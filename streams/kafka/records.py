"""From a client's message to a record's place in the log."""

from __future__ import annotations

from operator import methodcaller
from typing import TypeAlias

from confluent_kafka import Message

from millrace.streams.operators.record import Origin

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]

_read_headers = methodcaller("headers")  # called from C: see `headers_of`


def origin_of(message: Message, prefix: str) -> Origin:
    """Return a message's place in the log, its topic with and without the pipeline's prefix."""
    full_topic = message.topic() or ""
    return Origin(
        full_topic.removeprefix(prefix),
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers_of(message),
        full_topic,
    )


def headers_of(message: Message) -> Headers:
    """Return a message's headers; none where a name is not UTF-8, which the client cannot read.

    It then returns a list that must not be touched, with an exception set. Python looks for one
    after a call from C only: one from its own code would leave it to be raised anywhere later.
    """
    try:
        headers = _read_headers(message)
    except (UnicodeDecodeError, SystemError):
        return ()
    return tuple(headers) if headers else ()
