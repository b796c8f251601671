"""What travels through a chain of operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from millrace.schemas import RejectReason
from millrace.schemas.records import Header, Reject

RAW = "Raw"
"""Type of a record that nobody has decoded yet."""

TOMBSTONE = "Tombstone"
"""Type of a record that takes a model snapshot back."""

_LONGEST_DETAIL = 2_000


class Origin(NamedTuple):
    """A Kafka record as it was read: the place in the log that everything goes back to.

    `topic` is the topic's name without the pipeline's prefix; `timestamp_ms` counts from the
    Unix epoch.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(slots=True)
class Record:
    """A typed record on its way to a topic, or from one.

    Parameters
    ----------
    topic
        Name of the topic without the pipeline's prefix.
    type
        Name of the Avro type of `value`, or `RAW`.
    value
        The record: a dictionary of the shape in `schemas.records`.
    origin
        The Kafka record that it goes back to.
    partition
        Where it goes; None for the partition that it came from.
    """

    topic: str
    type: str
    value: Any
    origin: Origin
    partition: int | None = None


def reject(origin: Origin, reason: RejectReason, detail: str) -> Record:
    """Return the dead letter of a record, with the original in full."""
    value: Reject = {
        "reason": reason.value,
        "detail": _writable(detail),
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "timestamp_ms": origin.timestamp_ms,
        "key": origin.key,
        "value": origin.value,
        "value_size_bytes": len(origin.value or b""),
        "headers": [Header(name=name, value=content) for name, content in origin.headers],
    }
    return Record("rejects", "Reject", value, origin)


def _writable(detail: str) -> str:
    """Return text that can be written as UTF-8, and that no value quoted in it makes long."""
    clipped = detail if len(detail) <= _LONGEST_DETAIL else f"{detail[:_LONGEST_DETAIL]}…"
    return clipped.encode(errors="backslashreplace").decode()


def last_frame(error: BaseException) -> str:
    """Say what was raised, and at which line of whose code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}: {error}{where}"
