"""Reading the topics of state: what is signed with our key, and nothing else that is on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import structlog

from millrace.schemas import RecordError, SnapshotError, shipped
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.state.found import Found
from millrace.streams.state.records import StateRecord, check_record, read_record
from millrace.streams.state.signing import OtherKeyError, verified

_MOST_LOGGED = 10

_log = structlog.get_logger(__name__)


class SignedTopics:
    """Reads the records of state, and skips, counts and logs what is none.

    Parameters
    ----------
    clients
        Makes what reads.
    prefix
        Of the pipeline's topics.
    key
        What is read must be signed with it.
    on_skipped
        Called with the topic of each record that is skipped.
    """

    def __init__(
        self, clients: Clients, prefix: str, key: bytes, on_skipped: Callable[[str], None]
    ) -> None:
        self._clients = clients
        self._prefix = prefix
        self._key = key
        self._on_skipped = on_skipped
        self._skipped: Counter[str] = Counter()

    def read(
        self, topic: str, found: Mapping[int, Found], last: Mapping[int, int] | None = None
    ) -> Iterator[tuple[int, StateRecord]]:
        """Yield partition and record of a topic, to its end; note in `found` what is skipped.

        Parameters
        ----------
        topic
            Without prefix.
        found
            Partition to what is found of it: these partitions are read.
        last
            Partition to the number of its last offsets to read; by default all.

        Raises
        ------
        BrokerError
            The topic cannot be read to its end.
        """
        for partition, record in self._records(topic, found, last):
            try:
                check_record(record)
                payload = payload_of(record)
                if payload is not None:
                    verified(payload, self._key)
            except (SnapshotError, RecordError) as error:
                self._skip(found[partition], partition, record, error)
            else:
                yield partition, record

    def _records(
        self, topic: str, partitions: Iterable[int], last: Mapping[int, int] | None
    ) -> Iterator[tuple[int, StateRecord]]:
        for message in read_to_end(self._clients, self._prefix + topic, partitions, last):
            yield message.partition() or 0, read_record(topic, message)

    def _skip(self, found: Found, partition: int, record: StateRecord, error: Exception) -> None:
        at = f"{self._prefix}{record.topic}[{partition}]@{record.offset}"
        found.pass_over(record)
        if isinstance(error, OtherKeyError):
            found.refused.append(f"{at} ({record.key!r}): {error}")
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


def payload_of(record: StateRecord) -> bytes | None:
    """Return what is signed of a record; None where it removes its key.

    Raises
    ------
    RecordError
        The record of `models` cannot be decoded.
    """
    if record.topic != "models" or record.value is None:
        return record.value
    return shipped("model_snapshot").decode(record.value)["payload"]
