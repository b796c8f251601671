"""Reading a topic from its beginning to its end, in no group: saved state, and what tools want.

Only what is committed is read. The end is where a partition ended when the reader came to it;
a broker that is away for a moment is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import structlog
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from millrace.schemas import BrokerError
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.clients import plain_reader
from millrace.streams.settings import Settings

_POLL_SECONDS = 0.5
_TIMEOUT_SECONDS = 30.0
_PROGRESS_SECONDS = 5.0
_TAIL = -2000  # RD_KAFKA_OFFSET_TAIL(n) is this less n: n before the end, or the beginning
_PASSING = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}

_log = structlog.get_logger(__name__)


def count_partitions(settings: Settings, topic: str) -> int:
    """Return how many partitions a topic has.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such topic.
    """
    partitions = partition_counts(settings).get(topic)
    if partitions is None:
        raise BrokerError(
            f"topic {topic!r} requires to exist on {settings.broker!r}; got no such topic"
        )
    return partitions


def watermarks(settings: Settings, topic: str, partition: int) -> tuple[int, int]:
    """Return the first offset that a partition still has, and the one behind its last.

    Raises
    ------
    BrokerError
        The broker does not answer.
    """
    reader = plain_reader(settings)
    try:
        low, high = reader.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=_TIMEOUT_SECONDS
        )
    except KafkaException as error:
        raise BrokerError(
            f"topic {topic}[{partition}] requires to be readable; got {error.args[0].str()!r}"
        ) from error
    finally:
        reader.close()
    return low, high


def read_to_end(
    settings: Settings,
    topic: str,
    partitions: Iterable[int],
    last: Mapping[int, int] | None = None,
) -> Iterator[Message]:
    """Yield the records of some partitions of a topic, each partition in its order.

    Of a partition in `last` it is only those at so many last offsets, which the marks of
    transactions take up, too.

    Where it takes long, the log says how far it is.

    Raises
    ------
    BrokerError
        The topic cannot be read, or nothing came for 30 s.
    """
    unfinished = {*partitions}
    if not unfinished:
        return
    reader = plain_reader(settings)
    count, idle_seconds, told = 0, 0.0, time.monotonic()
    try:
        with suppress(KafkaException):  # it is only that finding the topic else takes 0.5 s
            reader.list_topics(topic, timeout=_TIMEOUT_SECONDS)
        starts = {each: _TAIL - offsets for each, offsets in (last or {}).items()}
        reader.assign(
            [TopicPartition(topic, p, starts.get(p, OFFSET_BEGINNING)) for p in unfinished]
        )
        while unfinished:
            message = reader.poll(_POLL_SECONDS)
            idle_seconds = 0.0 if message is not None else idle_seconds + _POLL_SECONDS
            if idle_seconds > _TIMEOUT_SECONDS:
                raise BrokerError(
                    f"topic {topic} requires to be read to its end; got nothing for"
                    f" {_TIMEOUT_SECONDS:.0f} s from partitions {sorted(unfinished)}"
                )
            if message is None:
                continue
            error = message.error()
            if error is None:
                count += 1
                yield message
                if time.monotonic() - told > _PROGRESS_SECONDS:
                    told = time.monotonic()
                    _log.info("reading", topic=topic, records=count, unfinished=len(unfinished))
            elif error.code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition() or 0)
            elif error.code() not in _PASSING and not error.retriable():
                raise BrokerError(f"topic {topic} requires to be readable; got {error.str()!r}")
    finally:
        reader.close()
