"""Reading the topics of state: what is signed with our key, and nothing else that is on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

import structlog

from millrace.schemas import RecordError, SnapshotError
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.kafka.records import origin_of
from millrace.streams.state.binding import Binding
from millrace.streams.state.records import StateRecord, check_record, read_record

_MOST_LOGGED = 10

_log = structlog.get_logger(__name__)


class Taker(Protocol):
    """Takes the genuine records of one partition, in their order."""

    def take(self, record: StateRecord) -> None:
        """Take the next one; raise `MisplacedError` where it does not count."""
        ...

    def pass_over(self, record: StateRecord, error: Exception) -> None:
        """Note one that does not count, and why."""
        ...


class SignedTopics:
    """Reads the records of state, and skips, counts and logs what is none.

    Parameters
    ----------
    clients
        Makes what reads.
    prefix
        Of the pipeline's topics.
    binding
        Says what is genuine.
    on_skipped
        Called with the topic of each record that is skipped.
    """

    def __init__(
        self, clients: Clients, prefix: str, binding: Binding, on_skipped: Callable[[str], None]
    ) -> None:
        self._clients = clients
        self._prefix = prefix
        self._binding = binding
        self._on_skipped = on_skipped
        self._skipped: Counter[str] = Counter()

    def read(
        self,
        topic: str,
        takers: Mapping[int, Taker],
        last: Mapping[int, int] | None = None,
        *,
        begins: Mapping[int, int] = MappingProxyType({}),
        is_settled: bool = False,
    ) -> Iterator[tuple[int, StateRecord]]:
        """Yield partition and record of a topic, to its end, once a taker has taken it.

        Parameters
        ----------
        topic
            Without prefix.
        takers
            Partition to what takes its records: these partitions are read.
        last
            Partition to the number of its last offsets to read; by default all.
        begins, is_settled
            See `read_to_end`.

        Raises
        ------
        BrokerError
            The topic cannot be read to its end.
        """
        for partition, record in self._records(topic, takers, last, begins, is_settled):
            try:
                genuine = self.checked(partition, record)
                takers[partition].take(genuine)
            except (SnapshotError, RecordError) as error:
                self._skip(takers[partition], partition, record, error)
            else:
                yield partition, genuine

    def read_all(
        self, topic: str, takers: Mapping[int, Taker], last: Mapping[int, int] | None = None
    ) -> None:
        """Let takers take a topic's records, as `read` does."""
        for _ in self.read(topic, takers, last):
            pass

    def checked(self, partition: int, record: StateRecord) -> StateRecord:
        """Return a record that was read from a partition, if it is genuine.

        Raises
        ------
        SnapshotError, RecordError
            It is not.
        """
        check_record(record)
        return self._binding.checked(partition, record)

    def _records(
        self,
        topic: str,
        partitions: Iterable[int],
        last: Mapping[int, int] | None,
        begins: Mapping[int, int],
        is_settled: bool,
    ) -> Iterator[tuple[int, StateRecord]]:
        given = (self._clients, self._prefix + topic, partitions, last)
        for message in read_to_end(*given, begins=begins, is_settled=is_settled):
            origin = origin_of(message, self._prefix)
            yield origin.partition, read_record(origin)

    def _skip(self, taker: Taker, partition: int, record: StateRecord, error: Exception) -> None:
        taker.pass_over(record, error)
        self._on_skipped(record.topic)
        self._skipped[record.topic] += 1
        if self._skipped[record.topic] <= _MOST_LOGGED:
            _log.error(
                "skipped a record that is no state of this pipeline",
                topic=self._prefix + record.topic,
                partition=partition,
                offset=record.offset,
                key=repr(record.key),
                reason=str(error),
            )
