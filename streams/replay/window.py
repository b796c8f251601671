"""How much may be on its way: the embedded broker drops the oldest records of a full partition.

It keeps about 5 MB or 100,000 records of each partition of each topic. Every record that has been
produced and has not passed the last agent may still be unread on any of them, so the records on
their way are bounded by what the fullest topic would hold, at half of what it takes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from millrace.models.pipeline.definition import Pipeline
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
"""Of a record in Kafka's log beside key and value: lengths, offset, time, its part of a batch."""


class Window:
    """The records on their way.

    Parameters
    ----------
    growth
        How many times as large as an event is what becomes of it on the fullest topic.
    max_bytes, max_records
        The window is full at either.

    Attributes
    ----------
    passed
        Records that have arrived since the beginning.

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
        self._growth = growth
        self._max_bytes = max_bytes
        self._max_records = max_records
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self.passed = 0

    @property
    def is_full(self) -> bool:
        """Whether the next record must wait. There is always room for one."""
        return self.on_their_way > 0 and (
            self.on_their_way >= self._max_records or self._bytes * self._growth >= self._max_bytes
        )

    @property
    def on_their_way(self) -> int:
        """Records that have not arrived yet."""
        return len(self._sizes)

    def add(self, size_bytes: int) -> None:
        """Count a record that is produced."""
        self._sizes.append(size_bytes)
        self._bytes += size_bytes

    def advance(self, passed: int) -> None:
        """Let go of the oldest records: `passed` have arrived since the beginning."""
        while self.passed < passed and self._sizes:
            self._bytes -= self._sizes.popleft()
            self.passed += 1


def size_bytes(record: Outgoing) -> int:
    """Return what a record takes on `events`."""
    return len(record.value) + len(record.key or b"") + _FRAMING_BYTES


def growth(
    pipeline: Pipeline, events: Iterable[Outgoing], *, now_ms: int, outputs: str = "avro"
) -> float:
    """Return the bytes that events lead to on the fullest topic, per byte on `events`.

    Measured by passing the events through the pipeline's operators here, which are pure.

    Parameters
    ----------
    pipeline
        The definition.
    events
        A sample, with labels inside.
    now_ms
        When they would be produced: milliseconds since the Unix epoch.
    outputs
        Format of the output topics.
    """
    factory = TaskFactory(
        pipeline=pipeline,
        agent=AgentSpec(OPERATORS),
        clean_partitions=1,
        max_event_bytes=2**31,
        written_schema=lambda _: None,
        load_models=lambda _: None,  # type: ignore[arg-type,return-value] # there are none to load
        clock_ms=lambda: now_ms,
    )
    operators = factory.make().operators
    codec = TopicCodec(pipeline, outputs)
    by_topic: Counter[str] = Counter()
    for number, event in enumerate(events):
        origin = Origin("events", 0, number, now_ms, event.key, event.value)
        by_topic["events"] += size_bytes(event)
        try:
            _fold(RawRecord.of(origin), operators, codec, by_topic)
        except Exception:  # user code where on_error is stop: the worker will meet it and say so
            break
    return max(by_topic.values(), default=1) / (by_topic["events"] or 1)


def _fold(
    record: Record, operators: Iterable[Operator], codec: TopicCodec, by_topic: Counter[str]
) -> None:
    """Pass a record through every operator that reads it, and add up what they write."""
    if record.topic not in INPUTS:
        key, value = codec.encode(record)
        by_topic[record.topic] += len(key or b"") + len(value) + _FRAMING_BYTES
    for operator in operators:
        if record.topic in operator.topics.reads:
            for made in operator.run(Slice([record])):
                _fold(made, operators, codec, by_topic)
