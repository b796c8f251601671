"""How much may be in flight: the embedded broker silently drops the oldest records of a partition.

It keeps about 5 MB or 100,000 records of each. A record that has been produced, and has not passed
the last agent, may be unread on any topic. So the window limits what is in flight to half of what
the fullest topic can keep.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.formats import Outputs
from millrace.streams.operators.base import Operator
from millrace.streams.operators.record import Origin, RawRecord, Record
from millrace.streams.operators.registry import OPERATORS
from millrace.streams.operators.slice import Slice
from millrace.streams.replay.encoding import Outgoing
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.topics import INPUTS

MAX_BYTES = 5 * 1024 * 1024 // 2
MAX_RECORDS = 40_000
_FRAMING_BYTES = 24
"""Of a record in Kafka's log besides key and value: lengths, offset, time, its part of a batch."""


class Window:
    """The records in flight.

    Parameters
    ----------
    growth
        Bytes on the fullest topic for each byte on `events`.
    max_bytes, max_records
        The window is full at either.

    Attributes
    ----------
    passed
        Records that left the window since the beginning.

    Examples
    --------
    >>> window = Window(growth=2.0, max_bytes=1000)
    >>> window.add(300); window.add(300); window.is_full
    True
    >>> window.advance(1); window.is_full
    False
    """

    def __init__(
        self, growth: float, max_bytes: int = MAX_BYTES, max_records: int = MAX_RECORDS
    ) -> None:
        self.passed = 0
        self._growth = growth
        self._max_bytes = max_bytes
        self._max_records = max_records
        self._sizes: deque[int] = deque()
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the next record must wait. There is always room for one."""
        return bool(self._sizes) and (
            len(self._sizes) >= self._max_records or self._bytes * self._growth >= self._max_bytes
        )

    def add(self, size_bytes: int) -> None:
        """Add a record that was produced."""
        self._sizes.append(size_bytes)
        self._bytes += size_bytes

    def advance(self, passed: int) -> None:
        """Remove the oldest records, until `passed` have left since the beginning."""
        while self.passed < passed and self._sizes:
            self._bytes -= self._sizes.popleft()
            self.passed += 1


def size_bytes(record: Outgoing) -> int:
    """Return the size of a record on `events`."""
    return _size_bytes(record.key, record.value)


def growth(
    pipeline: Pipeline, events: Iterable[Outgoing], *, now_ms: int, outputs: str = "avro"
) -> float:
    """Return the bytes on the fullest topic for each byte on `events`.

    Measured by passing a sample through the pipeline's operators, which are pure, in this process.

    Parameters
    ----------
    pipeline
        The definition.
    events
        The sample, with labels inside.
    now_ms
        When it is produced: milliseconds since the Unix epoch.
    outputs
        Format of the topics that users consume.
    """
    agent = AgentSpec(OPERATORS)
    factory = TaskFactory(pipeline, agent, clean_partitions=1, max_event_bytes=2**31)
    operators = factory.make().operators
    codec = TopicCodec(pipeline, Outputs(outputs))
    by_topic: Counter[str] = Counter()
    for number, event in enumerate(events):
        origin = Origin("events", 0, number, now_ms, event.key, event.value)
        by_topic["events"] += size_bytes(event)
        try:
            _fold(RawRecord.of(origin), operators, codec, by_topic)
        except Exception:  # the user's code, with on_error="stop": the worker reports it
            break
    return max(by_topic.values(), default=1) / (by_topic["events"] or 1)


def _fold(
    record: Record, operators: Iterable[Operator], codec: TopicCodec, by_topic: Counter[str]
) -> None:
    """Pass a record through every operator that reads it, and add up what they write."""
    if record.topic not in INPUTS:
        by_topic[record.topic] += _size_bytes(*codec.encode(record))
    for operator in operators:
        if record.topic in operator.topics.reads:
            for made in operator.run(Slice([record])):
                _fold(made, operators, codec, by_topic)


def _size_bytes(key: bytes | None, value: bytes) -> int:
    return len(key or b"") + len(value) + _FRAMING_BYTES
