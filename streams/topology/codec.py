"""Bytes to records, and records to bytes, for every topic of a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import cast

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import PASSED_ON, shown, told
from millrace.schemas import (
    Codec,
    EventSchema,
    RecordError,
    RegistryError,
    RejectReason,
    shipped,
)
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.codec.columns import Column
from millrace.schemas.codec.slices import Parts, ReadRows
from millrace.schemas.records import Predicted
from millrace.streams.formats import Encoder, Outputs, RecordType
from millrace.streams.operators.columns import Columns
from millrace.streams.operators.record import (
    MODELS_KEY,
    AcceptedRecord,
    AlertRecord,
    AuditRecord,
    EvaluationRecord,
    EventRecord,
    ExampleRecord,
    LabelRecord,
    Origin,
    OutcomeRecord,
    PredictionRecord,
    RawRecord,
    Record,
    RejectRecord,
    RemovalRecord,
    SnapshotRecord,
    TombstoneRecord,
    VectorRecord,
    reject,
)
from millrace.streams.topology.topics import OUTPUTS, TOPICS, is_produced

_RECORDS: Mapping[str, type[Record]] = {
    each.type: each
    for each in (
        *(EventRecord, LabelRecord, VectorRecord, PredictionRecord, OutcomeRecord),
        *(ExampleRecord, SnapshotRecord, AlertRecord, RejectRecord),
        *(AcceptedRecord, AuditRecord, RemovalRecord, EvaluationRecord),
    )
}
_LABELLED = frozenset({"Event", "Label", "FeatureVector", "Example"})
ALWAYS_CARRIED = ("traceparent", "tracestate")
"""Headers of inputs that outputs have, too. Source: W3C Trace Context."""
SHIPPED: Mapping[str, RecordType] = {
    each.name: each
    for each in map(
        shipped,
        (
            *("label", "removal", "feature_vector", "prediction", "outcome", "example"),
            *("model_snapshot", "alert", "reject", "command", "accepted_command", "audit"),
            "evaluation",
        ),
    )
}
"""Name of an Avro type to the type: every record that Millrace writes, but for a user's events."""


class TopicCodec:
    """Turns the bytes on a pipeline's topics into records and back.

    Parameters
    ----------
    pipeline
        The definition.
    outputs
        How the topics that users consume are written and read; by default in Avro.
    others
        Event schemas of other definitions, oldest first, whose records may be on `clean`: earlier
        ones, and later ones.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        outputs: Outputs | None = None,
        others: Iterable[EventSchema] = (),
    ) -> None:
        self._outputs = outputs or Outputs()
        self._task = Task(pipeline.task)
        self._carried = frozenset((*ALWAYS_CARRIED, *pipeline.carry_headers))
        self._internal = Codec(SHIPPED.values())
        schema = pipeline.event_schema.reading(others)
        self._clean = schema.clean_codec
        self._types = types = {**SHIPPED, "Event": schema.clean}
        self._row_readers: dict[str, ReadRows] = {}
        self._plain_types = {type(None), *self._task.plain_types}
        self._encoders: Mapping[tuple[str, str], Encoder] = {
            (topic.name, name): self._outputs.encoder(types[name])
            if topic.name in OUTPUTS
            else types[name]
            for topic in TOPICS.values()
            for name in topic.types
        }

    def decode(self, origin: Origin) -> Record:
        """Return the record that was read from `origin`, of a type that its topic holds.

        Raises
        ------
        RecordError
            The bytes are not what the topic holds, whatever is wrong with them.
        RegistryError
            The registry that knows their schema does not answer.
        """
        if is_produced(origin.topic):
            return RawRecord.of(origin)
        try:
            return self._decode(origin)
        except (RecordError, RegistryError, *PASSED_ON):
            raise
        except Exception as error:  # whoever may write to the topic, anything may be on it
            name = origin.full_topic or origin.topic
            detail = f"could not decode a record of {name}: {told(error)}"
            raise RecordError(RejectReason.MALFORMED, detail) from error

    def decode_all(self, origins: Iterable[Origin]) -> tuple[list[Record], list[RejectRecord]]:
        """Return the records that were read, and the dead letters of what is no record; in order.

        They are those of `decode` for each.
        """
        records: list[Record] = []
        undecodable: list[RejectRecord] = []
        for topic, run in groupby(origins, attrgetter("topic")):
            if is_produced(topic):
                records += [RawRecord({}, origin, topic) for origin in run]
            else:
                self._decode_run(topic, [*run], records, undecodable)
        return records, undecodable

    def carried(self, origin: Origin) -> list[tuple[str, str | bytes | None]] | None:
        """Return the headers of a record that outputs carry on; of each name the last."""
        if not origin.headers:
            return None
        found: dict[str, str | bytes | None] = {
            name: value for name, value in origin.headers if name in self._carried
        }
        return [*found.items()] or None

    def encode(self, record: Record) -> tuple[bytes | None, bytes]:
        """Return the key and the value to produce for a record.

        Raises
        ------
        ValueError, TypeError, OverflowError
            A value is not one that the record's type can hold.
        """
        return record.key, self._encoders[record.topic, record.type].encode(record.value)

    def encode_all(
        self, made: Columns | Sequence[Record]
    ) -> tuple[list[bytes | None], list[bytes]]:
        """Return the keys and the values to produce for records of one topic.

        They are those of `encode` for each of the records. Where one of them cannot be written,
        an error is raised that need not say which.
        """
        if isinstance(made, Columns):
            columns, encoder = made.fields(), self._encoders[made.topic, made.type]
            return _keys(columns), encoder.encode_columns(columns, len(made))
        values = [b""] * len(made)
        for type_name in {each.type for each in made}:
            places = [place for place, each in enumerate(made) if each.type == type_name]
            encoder = self._encoders[made[0].topic, type_name]
            written = encoder.encode_all([made[place].value for place in places])
            for place, value in zip(places, written, strict=True):
                values[place] = value
        return [each.key for each in made], values

    def _decode_run(
        self,
        topic: str,
        origins: Sequence[Origin],
        records: list[Record],
        undecodable: list[RejectRecord],
    ) -> None:
        """Decode records of one topic: Avro in one loop, anything else by itself."""
        plain = self._plain_types
        rows = self._row_reader(topic)([origin.value for origin in origins])
        for origin, row in zip(origins, rows, strict=True):
            try:
                if row is None:
                    records.append(self.decode(origin))
                    continue
                type_name, label, value = row
                if type(label) not in plain or type_name == "Example":
                    self._check_labels(type_name, value)
                records.append(_RECORDS[type_name](value, origin, topic))
            except RecordError as error:
                undecodable.append(reject(origin, error.reason, error.detail))

    def _row_reader(self, topic: str) -> ReadRows:
        """Return what reads the records of a topic, each with its label: made when first needed."""
        if topic not in self._row_readers:
            names = TOPICS[topic].types
            parts = {name: Parts(["label" if name in _LABELLED else None]) for name in names}
            codec = Codec(self._types[name] for name in names)
            self._row_readers[topic] = codec.row_reader(parts, finite={"label"})
        return self._row_readers[topic]

    def _decode(self, origin: Origin) -> Record:
        topic, data = origin.topic, origin.value
        if data is None:
            return _tombstone(origin)
        if topic in OUTPUTS and not data.startswith(MARKER):
            (type_name,) = TOPICS[topic].types
            value = self._outputs.decode(SHIPPED[type_name], data)
        else:
            codec = self._clean if topic == "clean" else self._internal
            type_name, value = codec.decode(data)
        if type_name not in TOPICS[topic].types:
            must = f"{topic} holds records of {' and '.join(TOPICS[topic].types)}"
            raise RecordError(RejectReason.WRONG_TYPE, f"{must}; got {type_name}")
        self._check_labels(type_name, value)
        return _RECORDS[type_name](value, origin, topic)

    def _check_labels(self, type_name: str, value: Mapping[str, object]) -> None:
        """Refuse labels, and predictions in examples, that no model of the task has."""
        if type_name in _LABELLED and value["label"] is not None:
            self._task.label(value["label"])
        if type_name == "Example":
            by_candidate = cast(Mapping[str, Predicted], value["predicted"])
            task = Task.REGRESSION if self._task is Task.ANOMALY else self._task  # of its scores
            for each in by_candidate.values():
                if each["value"] is not None:
                    task.label(each["value"])


def _keys(columns: Mapping[str, Column]) -> list[bytes | None]:
    """Return what `Record.key` says of each record."""
    pairs = zip(columns["key"], columns["event_id"], strict=True)
    return [(key or event_id).encode() for key, event_id in pairs]


def _tombstone(origin: Origin) -> TombstoneRecord:
    if origin.topic != "models":
        raise RecordError(RejectReason.EMPTY, "the record has no value")
    key = (origin.key or b"").decode()
    if not key.startswith(MODELS_KEY):
        must = f"the key of a tombstone of models must begin with {MODELS_KEY!r}"
        raise RecordError(RejectReason.MALFORMED, f"{must}; got {shown(key)}")
    return TombstoneRecord({}, origin, origin.topic, scope_key=key.removeprefix(MODELS_KEY))
