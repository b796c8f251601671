"""What travels through a chain of operators: typed records, and where each one came from.

A record's class says which Avro type its value has, and so what an operator may do with it. Most
types live on one topic; a label passes through several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import msgspec

from millrace.models.user_code import told
from millrace.schemas import RejectReason
from millrace.schemas.records import (
    AcceptedCommand,
    Alert,
    Audit,
    Command,
    Evaluation,
    Event,
    Example,
    FeatureVector,
    Header,
    Label,
    ModelSnapshot,
    Outcome,
    Prediction,
    Reject,
    Removal,
)

MODELS_KEY = "learning/models/"
"""What the keys of `models` begin with; the scope key follows."""

_LONGEST_DETAIL = 2_000
_traceback_of = vars(BaseException)["__traceback__"].__get__  # a subclass may have one of its own


class Origin(NamedTuple):
    """A Kafka record as it was read: the place in the log that everything goes back to.

    `topic` is the topic's name without the pipeline's prefix, and `full_topic` the name that Kafka
    knows it by; `timestamp_ms` counts from the Unix epoch.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    full_topic: str = ""


def place_of(origin: Origin) -> tuple[str, int, int]:
    """Return where a record is, as Kafka and the command `skip` name it."""
    return origin.full_topic or origin.topic, origin.partition, origin.offset


NOWHERE = Origin("", 0, 0, 0, None, None)
"""Of what no record has led to."""


class Record(msgspec.Struct):
    """A record on its way to a topic, or from one.

    It is a struct of msgspec since one or more are made of each event, in a third of the time
    that a dataclass takes.

    Parameters
    ----------
    value
        The content, as the Avro type `type` describes it.
    origin
        The Kafka record that it goes back to.
    topic
        The topic's name without the pipeline's prefix.
    partition
        Where it goes; None for the partition that it came from.
    """

    type: ClassVar[str]

    value: Mapping[str, object]
    origin: Origin
    topic: str
    partition: int | None = None

    @property
    def key(self) -> bytes | None:
        """The key that it is produced with: the pipeline's key, or else the event's id."""
        value = self.value
        return str(value["key"] or value["event_id"]).encode()


class RawRecord(Record):
    """What a user produced, not decoded yet: the bytes are in its origin."""

    type = "Raw"

    @classmethod
    def of(cls, origin: Origin) -> RawRecord:
        """Return the record that was read from `origin`."""
        return cls({}, origin, origin.topic)


class EventRecord(Record):
    type = "Event"
    value: Event
    topic: str = "clean"


class LabelRecord(Record):
    type = "Label"
    value: Label
    topic: str = "clean"


class RemovalRecord(Record):
    """The row of an event is gone."""

    type = "Removal"
    value: Removal
    topic: str = "clean"


class VectorRecord(Record):
    type = "FeatureVector"
    value: FeatureVector
    topic: str = "features"


class PredictionRecord(Record):
    type = "Prediction"
    value: Prediction
    topic: str = "predictions"


class ExampleRecord(Record):
    type = "Example"
    value: Example
    topic: str = "examples"


class OutcomeRecord(Record):
    type = "Outcome"
    value: Outcome
    topic: str = "outcomes"


class EvaluationRecord(Record):
    type = "Evaluation"
    value: Evaluation
    topic: str = "evaluations"
    partition: int | None = 0

    @property
    def key(self) -> bytes | None:
        return str(self.value["partition"]).encode()


class AlertRecord(Record):
    type = "Alert"
    value: Alert
    topic: str = "alerts"

    @property
    def key(self) -> bytes | None:
        return self.value["source"].encode()


class CommandRecord(Record):
    """What a rule of the pipeline asks for, as a person may.

    When it was written, and its signature, are said as it is written.
    """

    type = "Command"
    value: Command
    topic: str = "commands"
    partition: int | None = 0

    @property
    def key(self) -> bytes | None:
        return (self.value["id"] or "").encode()


class AcceptedRecord(Record):
    """A command at its place in the log: it passes through the topics between agents."""

    type = "AcceptedCommand"
    value: AcceptedCommand
    topic: str = "clean"

    @property
    def key(self) -> bytes | None:
        return self.value["id"].encode()


class AuditRecord(Record):
    type = "Audit"
    value: Audit
    topic: str = "audit"

    @property
    def key(self) -> bytes | None:
        return self.value["subject"].encode()


class RejectRecord(Record):
    type = "Reject"
    value: Reject
    topic: str = "rejects"

    @property
    def key(self) -> bytes | None:
        return self.value["key"]


class SnapshotRecord(Record):
    type = "ModelSnapshot"
    value: ModelSnapshot
    topic: str = "models"


class TombstoneRecord(Record):
    """The models of a scope key were removed."""

    type = "Tombstone"
    scope_key: str = ""


def reject(origin: Origin, reason: RejectReason, detail: str) -> RejectRecord:
    """Return the dead letter of a record, with the original in full."""
    value: Reject = {
        "reason": reason.value,
        "detail": writable(detail),
        "topic": origin.full_topic or origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "timestamp_ms": origin.timestamp_ms,
        "key": origin.key,
        "value": origin.value,
        "value_size_bytes": len(origin.value or b""),
        "headers": [Header(name=name, value=content) for name, content in origin.headers],
    }
    return RejectRecord(value, origin)


def writable(text: str) -> str:
    """Return text that can be written as UTF-8, and that no value quoted in it makes long."""
    clipped = text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"
    return clipped.encode(errors="backslashreplace").decode()


def last_frame(error: BaseException) -> str:
    """Return what was raised, and at which line of which file."""
    trace = _traceback_of(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return told(error) + where
