"""Bytes to records, and records to bytes, for every topic of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import Codec, shipped
from millrace.streams.formats import FORMATS, Encode, RecordType
from millrace.streams.operators.record import (
    AlertRecord,
    EventRecord,
    ExampleRecord,
    LabelRecord,
    Origin,
    OutcomeRecord,
    PredictionRecord,
    RawRecord,
    Record,
    RejectRecord,
    SnapshotRecord,
    TombstoneRecord,
    VectorRecord,
)
from millrace.streams.topology.topics import INPUTS, OUTPUTS, TOPICS

_RECORDS: Mapping[str, type[Record]] = {
    each.type: each
    for each in (
        *(EventRecord, LabelRecord, VectorRecord, PredictionRecord, OutcomeRecord),
        *(ExampleRecord, SnapshotRecord, AlertRecord, RejectRecord),
    )
}
SHIPPED: Mapping[str, RecordType] = {
    each.name: each
    for each in map(
        shipped,
        (
            *("label", "feature_vector", "prediction", "outcome", "example"),
            *("model_snapshot", "alert", "reject"),
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
        Format of the topics that users consume; one of `formats.FORMATS`.
    """

    def __init__(self, pipeline: Pipeline, outputs: str = "avro") -> None:
        self._internal = Codec(SHIPPED.values())
        self._clean = pipeline.event_schema.clean_codec
        self._encoders: Mapping[tuple[str, str], Encode] = {
            (topic.name, name): FORMATS[outputs if topic.name in OUTPUTS else "avro"].encoder(
                SHIPPED[name]
            )
            for topic in TOPICS.values()
            for name in topic.types
            if name in SHIPPED
        }

    def decode(self, origin: Origin) -> Record:
        """Return the record that was read from `origin`.

        Raises
        ------
        RecordError
            The bytes are not what the topic holds.
        """
        topic = origin.topic
        if topic in INPUTS:
            return RawRecord.of(origin)
        if topic == "models" and origin.value is None:
            scope_key = (origin.key or b"").decode().split("/", 2)[-1]
            return TombstoneRecord({}, origin, topic, scope_key=scope_key)
        data = origin.value or b""
        if topic in OUTPUTS and not FORMATS["avro"].recognises(data):
            type_name, value = self._decode_output(topic, data)
        else:
            codec = self._clean if topic == "clean" else self._internal
            type_name, value = codec.decode(data)
        return _RECORDS[type_name](value, origin, topic)

    def encode(self, record: Record) -> tuple[bytes | None, bytes]:
        """Return the key and the value to produce for a record.

        Raises
        ------
        ValueError, TypeError, OverflowError
            A value is not one that the record's type can hold.
        """
        if record.topic == "clean":
            return record.key, self._clean.encode(record.type, record.value)
        return record.key, self._encoders[record.topic, record.type](record.value)

    def _decode_output(self, topic: str, data: bytes) -> tuple[str, Mapping[str, object]]:
        (type_name,) = TOPICS[topic].types
        for each in FORMATS.values():
            if each.recognises(data):
                return type_name, each.decode(SHIPPED[type_name], data)
        return self._internal.decode(data)  # which says what is wrong
