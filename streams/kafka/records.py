"""From a client's messages to records' places in the log.

Messages are read in columns: each of their methods is called by a loop in C over a whole run of
them, which takes a third of the time that one message after the other takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby, repeat
from operator import itemgetter, methodcaller
from typing import TypeAlias

from confluent_kafka import Message

from millrace.streams.operators.record import Origin
from millrace.streams.topology.names import short_name

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]

_made: partial[Origin] = partial(tuple.__new__, Origin)  # from a tuple of its fields, in C
_time_ms = itemgetter(1)
_read_headers = methodcaller("headers")  # called from C: see `headers_of`


def origin_of(message: Message, prefix: str) -> Origin:
    """Return a message's place in the log, its topic with and without the pipeline's prefix."""
    ((origin,),) = runs_of([message], prefix)
    return origin


def runs_of(messages: Iterable[Message], prefix: str) -> Iterator[list[Origin]]:
    """Return messages as `origin_of` does, in runs that are of one topic and partition each."""
    for partition, of_partition in groupby(messages, Message.partition):
        for topic, run in groupby(of_partition, Message.topic):
            yield _origins(topic or "", partition or 0, [*run], prefix)


def _origins(full_topic: str, partition: int, run: list[Message], prefix: str) -> list[Origin]:
    columns = (
        repeat(short_name(prefix, full_topic)),
        repeat(partition),
        map(Message.offset, run),
        map(_time_ms, map(Message.timestamp, run)),
        map(Message.key, run),
        map(Message.value, run),
        headers_of(run),
        repeat(full_topic),
    )
    return [*map(_made, zip(*columns, strict=False))]  # the repeated ones do not end


def headers_of(messages: Iterable[Message]) -> list[Headers]:
    """Return each message's headers; none where a name is not UTF-8, which the client cannot read.

    It then returns a list that must not be touched, with an exception set. Python looks for one
    after a call from C only: one from its own code would leave it to be raised anywhere later. A
    second call would return that list without an exception, so none is made.
    """
    found: list[list[tuple[str, bytes | None]] | None] = []
    left = iter(messages)
    while True:
        try:
            found += map(_read_headers, left)
        except (UnicodeDecodeError, SystemError):
            found.append(None)
        else:
            return [tuple(each) if each else () for each in found]
