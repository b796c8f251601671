"""The topics of a pipeline: names, keys, what is in them, and how the broker keeps them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import Codec, RecordError, RejectReason, shipped
from millrace.streams.operators.record import RAW, TOMBSTONE, Origin, Record
from millrace.streams.topology.chain import AgentSpec

INPUTS = frozenset({"events", "labels"})
"""What users produce: decoded by the ingest operator, where bad records have a way out."""

PUBLIC = frozenset({"predictions", "examples", "alerts", "rejects"})
"""What users consume: JSON instead of Avro where configured."""

_READ_BACK = {"predictions": "Prediction", "examples": "Example"}
"""Public topics that agents read too, and the type of what is in them."""

TOPICS = (
    "events", "labels", "clean", "features", "predictions",
    "examples", "models", "alerts", "rejects",
)  # fmt: skip

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""Limit of the topics that Millrace writes: room for a large model, or a large dead letter."""

_COMPACTED_SOON = {  # by default Kafka would keep every model of a week, or of a gigabyte
    "segment.bytes": str(4 * MAX_RECORD_BYTES),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
}


@dataclass(frozen=True)
class TopicSettings:
    """How a broker is asked to keep a topic."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def state_topic(agent: AgentSpec) -> str:
    """Return the name, without prefix, of the topic that holds an agent's state."""
    return f"state.{agent.name}"


class TopicCodec:
    """Turns the bytes on a pipeline's topics into records and back.

    Parameters
    ----------
    pipeline
        The definition.
    json_outputs
        Whether the public topics carry JSON instead of Avro.
    """

    def __init__(self, pipeline: Pipeline, json_outputs: bool = False) -> None:
        plain = [
            shipped(name)
            for name in (
                *("label", "feature_vector", "prediction", "example"),
                *("model_snapshot", "alert", "reject"),
            )
        ]
        self._codec = Codec(plain)
        self._clean = pipeline.event_schema.clean_codec
        self._json_outputs = json_outputs

    def decode(self, origin: Origin) -> Record:
        """Return the record that was read from `origin`.

        Raises
        ------
        RecordError
            The bytes are not what the topic holds.
        """
        if origin.topic in INPUTS:
            return Record(origin.topic, RAW, None, origin)
        if origin.topic == "models" and origin.value is None:
            scope_key = (origin.key or b"").decode().split("/", 2)[-1]
            return Record("models", TOMBSTONE, {"scope_key": scope_key}, origin)
        data = origin.value or b""
        if origin.topic in _READ_BACK and data.startswith(b"{"):
            return Record(origin.topic, _READ_BACK[origin.topic], _from_json(data), origin)
        codec = self._clean if origin.topic == "clean" else self._codec
        type_name, value = codec.decode(data)
        return Record(origin.topic, type_name, value, origin)

    def encode(self, record: Record) -> tuple[bytes | None, bytes]:
        """Return the key and the value to produce for a record."""
        value = record.value
        if record.type == "Reject":
            key = value["key"]
        elif record.type == "Alert":
            key = value["source"].encode()
        else:
            key = (value.get("key") or value["event_id"]).encode()
        if self._json_outputs and record.topic in PUBLIC:
            return key, to_json(value)
        codec = self._clean if record.topic == "clean" else self._codec
        return key, codec.encode(record.type, value)


def topic_settings(
    agents: Iterable[AgentSpec],
    *,
    prefix: str,
    partitions: int,
    replication: int,
    retention_ms: int,
) -> list[TopicSettings]:
    """Return every topic that a pipeline needs in a given chain."""
    compacted = {"models", *(state_topic(agent) for agent in agents)}
    names = [*TOPICS, *sorted(compacted - {"models"})]
    large = {"max.message.bytes": str(MAX_RECORD_BYTES)}
    delete = {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}
    compact = {"cleanup.policy": "compact", **_COMPACTED_SOON}
    return [
        TopicSettings(
            name=prefix + name,
            partitions=partitions,
            replication=replication,
            config=(compact if name in compacted else delete) | ({} if name in INPUTS else large),
        )
        for name in names
    ]


def to_json(value: Any) -> bytes:
    """Return a record as JSON; bytes become text in base64."""
    try:
        text = json.dumps(value, default=_bytes_to_base64, ensure_ascii=False, allow_nan=False)
    except ValueError:  # JSON has no NaN and no infinity
        text = json.dumps(_finite(value), default=_bytes_to_base64, ensure_ascii=False)
    return text.encode()


def _finite(value: Any) -> Any:
    """Copy a record with null for what JSON cannot say."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise RecordError(
            RejectReason.MALFORMED, f"a record of a public topic requires Avro or JSON; got {error}"
        ) from None


def _bytes_to_base64(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
