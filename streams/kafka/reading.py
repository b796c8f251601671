"""Reading topics in no group: saved state, what tools want, and what people look at.

Only what is committed is read. A broker that is away for a moment is waited for. Since librdkafka
may never fetch a partition again after that (`streams.kafka.stall`), silence is looked into.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from types import MappingProxyType
from typing import NamedTuple

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from millrace.schemas import BrokerError
from millrace.streams.interval import Interval
from millrace.streams.kafka.diagnosis import Request, explain
from millrace.streams.kafka.errors import cause_of, is_disconnection, is_transient, timed_out
from millrace.streams.kafka.protocols import Clients, Consumer, Place

_AT_A_TIME = 1_000
_POLL_SECONDS = 0.5
_TIMEOUT_SECONDS = 30.0
_RETRY_SECONDS = 0.2
_PROGRESS_SECONDS = 5.0
_STALL_SECONDS = 10.0
_LOOK_SECONDS = 2.0
_TAIL = -2000  # RD_KAFKA_OFFSET_TAIL(n) is this less n: n before the end, or the beginning

_log = structlog.get_logger(__name__)


class Watermarks(NamedTuple):
    """The first offset that a partition still has, and the one behind its last."""

    low: int
    high: int


def newest(count: int) -> int:
    """Return where to begin for so many last offsets; markers of transactions count, too."""
    return _TAIL - count


class TopicReader:
    """Reads partitions, each from its offset, for as long as it is asked to.

    Parameters
    ----------
    clients
        Makes the consumer.
    places
        The partitions, and where to begin in each.
    is_settled
        Whether a partition ends only where no transaction is open: the markers of one that has been
        committed may come a moment later.

    Attributes
    ----------
    unfinished
        The partitions whose ends have not been reached yet.
    idle_seconds
        For how long nothing has come.
    """

    def __init__(
        self, clients: Clients, places: Iterable[TopicPartition], *, is_settled: bool = False
    ) -> None:
        starts = [*places]
        topics = sorted({each.topic for each in starts})
        self.unfinished: set[Place] = {(each.topic, each.partition) for each in starts}
        self.idle_seconds = 0.0
        self._topic, self._topics = topics[0], ", ".join(topics)
        self._clients = clients
        self._is_settled = is_settled
        self._positions = {(each.topic, each.partition): each.offset for each in starts}
        self._looked_at_seconds = 0.0
        self._consumer = clients.reader(self._topic)
        for topic in topics:
            with suppress(KafkaException):  # without it, finding the topic takes 0.5 s longer
                self._consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS)
        self._consumer.assign(starts)

    def take(self, timeout_seconds: float) -> list[Message]:
        """Return the records at hand, or those that come within the timeout.

        Raises
        ------
        BrokerError
            A topic cannot be read.
        """
        first = self._consumer.poll(timeout_seconds)
        if first is None:
            self.idle_seconds += timeout_seconds
            self._go_on_if_stalled()
            return []
        messages = [first, *self._consumer.consume(_AT_A_TIME - 1, timeout=0)]
        return [each for each in messages if self._is_record(each)]

    def close(self) -> None:
        """Free the consumer."""
        self._consumer.close()

    def _go_on_if_stalled(self) -> None:
        """Read on with another consumer, if the broker has what this one does not fetch."""
        if self.idle_seconds - self._looked_at_seconds < _STALL_SECONDS:
            return
        self._looked_at_seconds = self.idle_seconds
        if not any(self._is_behind(*each) for each in self._positions.items()):
            return
        _log.warning("reading on with another consumer: this one has stalled", topic=self._topics)
        self._consumer.close()
        self._consumer = self._clients.reader(self._topic)
        self._consumer.assign(
            [TopicPartition(*at, offset) for at, offset in self._positions.items()]
        )

    def _is_behind(self, place: Place, offset: int) -> bool:
        """Whether a partition has more; one where reading has not begun is asked for anew."""
        with suppress(KafkaException):
            at, seconds = TopicPartition(*place), _LOOK_SECONDS
            marks = Watermarks(*self._consumer.get_watermark_offsets(at, timeout=seconds))
            return offset < 0 or marks.high > max(offset, marks.low)
        return False

    def _why(self, error: KafkaError) -> str:
        topic = self._topics
        return explain(
            self._clients,
            error,
            Request(topic, f"{topic}.reader", operation="Read", group_operation="Describe"),
        )

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        is_end = error is not None and error.code() == KafkaError._PARTITION_EOF
        if error is not None and not is_end:
            if not is_disconnection(error):
                raise BrokerError(
                    f"could not read topic {self._topics}: {self._why(error)}"
                ) from KafkaException(error)
            return False
        self.idle_seconds = self._looked_at_seconds = 0.0
        place = message.topic() or "", message.partition() or 0
        self._positions[place] = (message.offset() or 0) + (not is_end)
        if is_end:
            self._end(place, message.offset() or 0)
        return not is_end

    def _end(self, place: Place, offset: int) -> None:
        if self._is_settled:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if end > offset:
                return  # it is reported again once the transaction has ended
        self.unfinished.discard(place)


def read_to_end(
    clients: Clients,
    topic: str,
    partitions: Iterable[int],
    last: Mapping[int, int] | None = None,
    *,
    begins: Mapping[int, int] = MappingProxyType({}),
    is_settled: bool = False,
) -> Iterator[Message]:
    """Yield the records of some partitions of a topic, each partition in its order.

    The end is where a partition ends when the reader comes to it. Where reading takes long, the
    log says how far it is.

    Parameters
    ----------
    last
        Partition to the number of its last offsets to read; transactions' markers count, too.
    begins
        Partition to the first offset to read; where it has expired, what is left.
    is_settled
        See `TopicReader`.

    Raises
    ------
    BrokerError
        The topic cannot be read, or nothing came for 30 s.
    """
    tails = last or {}
    starts = {
        p: newest(tails[p]) if p in tails else begins.get(p, OFFSET_BEGINNING) for p in partitions
    }
    if not starts:
        return
    count, progress = 0, Interval(_PROGRESS_SECONDS)
    places = _places(topic, starts)
    with closing(TopicReader(clients, places, is_settled=is_settled)) as reader:
        while reader.unfinished:
            messages = reader.take(_POLL_SECONDS)
            if reader.idle_seconds > _TIMEOUT_SECONDS:
                unfinished = sorted(partition for _, partition in reader.unfinished)
                raise BrokerError(
                    f"timed out reading topic {topic}: nothing came for {_TIMEOUT_SECONDS:.0f} s"
                    f" from partitions {unfinished}"
                ) from timed_out()
            yield from messages
            count += len(messages)
            if progress.is_due:
                progress.restart()
                left = len(reader.unfinished)
                _log.info("reading", topic=topic, records=count, unfinished_partitions=left)


def follow(
    clients: Clients, topic: str, partitions: Iterable[int], *, from_beginning: bool
) -> Iterator[Message]:
    """Yield the records of some partitions of a topic as they come, and never end.

    Raises
    ------
    BrokerError
        The topic cannot be read.
    """
    start = OFFSET_BEGINNING if from_beginning else OFFSET_END
    places = _places(topic, dict.fromkeys(partitions, start))
    with closing(TopicReader(clients, places)) as reader:
        while True:
            yield from reader.take(_POLL_SECONDS)


def watermarks(clients: Clients, places: Iterable[Place]) -> dict[Place, Watermarks]:
    """Return where partitions begin and end, once they have leaders.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such partition.
    """
    wanted = [*places]
    if not wanted:
        return {}
    with closing(clients.reader(wanted[0][0])) as reader:
        return {place: _watermarks(clients, reader, TopicPartition(*place)) for place in wanted}


def committed_offset(clients: Clients, group: str, topic: str, partition: int) -> int:
    """Return how far a group has come in a partition; negative where it has committed nothing.

    Raises
    ------
    BrokerError
        The broker does not say.
    """
    return committed_offsets(clients, group, [(topic, partition)])[topic, partition]


def committed_offsets(clients: Clients, group: str, places: Iterable[Place]) -> dict[Place, int]:
    """Return how far a group has come in partitions; negative where it has committed nothing.

    Raises
    ------
    BrokerError
        The broker does not say.
    """
    wanted = [TopicPartition(*place) for place in places]
    with closing(clients.consumer(group, {})) as consumer:
        try:
            found = consumer.committed(wanted, timeout=_TIMEOUT_SECONDS)
        except KafkaException as error:
            topics = ", ".join(sorted({each.topic for each in wanted}))
            why = explain(clients, cause_of(error), Request(topics, group=group))
            raise BrokerError(f"could not read the offsets of group {group}: {why}") from error
    return {(at.topic, at.partition): at.offset for at in found}


def _watermarks(clients: Clients, reader: Consumer, at: TopicPartition) -> Watermarks:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            return Watermarks(*reader.get_watermark_offsets(at, timeout=_TIMEOUT_SECONDS))
        except KafkaException as error:
            cause = cause_of(error)
            if not is_transient(cause) or time.monotonic() > deadline:
                why = explain(clients, cause, Request(at.topic, operation="Describe"))
                raise BrokerError(
                    f"could not read the offsets of {at.topic}[{at.partition}]: {why}"
                ) from error
            time.sleep(_RETRY_SECONDS)


def _places(topic: str, starts: Mapping[int, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, start) for partition, start in starts.items()]
