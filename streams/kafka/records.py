"""From a client's message to a record's place in the log."""

from __future__ import annotations

from confluent_kafka import Message

from millrace.streams.operators.record import Origin


def origin_of(message: Message, prefix: str) -> Origin:
    """Return a message's place in the log, its topic without the pipeline's prefix."""
    headers = message.headers()
    return Origin(
        (message.topic() or "").removeprefix(prefix),
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(headers) if headers else (),  # type: ignore[arg-type]  # the list that it always is
    )
