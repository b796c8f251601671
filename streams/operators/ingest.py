"""Ingest: what users produce becomes valid events and labels in one order.

Reads `events` and `labels`: Avro single-object encoding, Confluent wire format or JSON, told
apart by the first byte. Writes `clean`, keyed and routed by the pipeline's scope, and `rejects`.
A label inside an event is taken out of the fields that features are made of, and counts right
after its event; a label record produced to `events` keeps its place among the events. Keeps no
state. A record that fails goes to `rejects` with the reason; nothing is dropped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from reprlib import repr as shortened
from typing import Any

from millrace.models.candidates.tasks import Task
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.schemas import RecordError, RejectReason, shipped
from millrace.schemas.codec.avro import MARKER, Schema
from millrace.schemas.records import Event, Label
from millrace.streams.operators.base import Kind, Operator
from millrace.streams.operators.record import Origin, Record
from millrace.streams.operators.routing import partition_of

_CONFLUENT_MAGIC = 0
_CONFLUENT_HEADER_SIZE_BYTES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LONGS = range(-(2**63), 2**63)
_PYTHON_TYPES: dict[str, type] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "string": str,
    "enum": str,
}

WrittenSchema = Callable[[int], Schema | None]
"""Schema registry id to the schema, or None where the registry does not have it."""


class IngestOperator(Operator):
    """Decode, validate and route.

    Parameters
    ----------
    pipeline
        The definition.
    partitions
        Partitions of `clean`; None where the next operator shares the agent, so that a record
        stays on the partition that it came on.
    written_schema
        Looks a schema up by its registry id.
    max_event_bytes
        A larger record is rejected.
    """

    name = "ingest"
    reads = frozenset({"events", "labels"})
    writes = frozenset({"clean", "rejects"})

    def __init__(
        self,
        pipeline: Pipeline,
        partitions: int | None,
        written_schema: WrittenSchema,
        max_event_bytes: int,
    ) -> None:
        super().__init__(pipeline)
        self._pipeline = pipeline
        self._schema = pipeline.event_schema
        self._task = Task(pipeline.task)
        self._scope = Scope(pipeline.scope)
        self._partitions = partitions
        self._written_schema = written_schema
        self._max_event_bytes = max_event_bytes
        self._finite = [
            name
            for name in self._schema.floating_fields
            if name != pipeline.label and name not in pipeline.allow_non_finite
        ]
        self._units_per_ms = 1
        if pipeline.event_time is not None:
            self._units_per_ms = self._schema.units_per_ms(pipeline.event_time)
        self._earliest_ms = int(pipeline.earliest.timestamp() * 1000)
        self._max_ahead_ms = int(pipeline.max_ahead.total_seconds() * 1000)

    def process(self, record: Record) -> Iterable[Record]:
        origin = record.origin
        kind: Kind = "label" if origin.topic == "labels" else "event"
        try:
            type_name, value = self._decode(origin)
            kind = "label" if type_name == "Label" else "event"
            made = self._label(origin, value) if kind == "label" else self._event(origin, value)
        except RecordError as error:
            made = [self._reject(kind, origin, error.reason, error.detail)]
        self.tally["received", kind] += 1
        return made

    def _decode(self, origin: Origin) -> tuple[str, dict[str, Any]]:
        data = origin.value
        if not data:
            raise RecordError(RejectReason.EMPTY, "a record requires a value; got none")
        if len(data) > self._max_event_bytes:
            raise RecordError(
                RejectReason.OVERSIZED,
                f"a record requires at most {self._max_event_bytes} bytes"
                f" (setting max_event_bytes); got {len(data)}",
            )
        if data.startswith(MARKER):
            return self._schema.codec.decode(data)
        if data[0] == _CONFLUENT_MAGIC:
            return self._decode_confluent(origin.topic, data)
        return self._decode_json(origin.topic, data)

    def _decode_confluent(self, topic: str, data: bytes) -> tuple[str, dict[str, Any]]:
        if len(data) < _CONFLUENT_HEADER_SIZE_BYTES:
            raise RecordError(
                RejectReason.MALFORMED,
                f"Confluent wire format requires {_CONFLUENT_HEADER_SIZE_BYTES} bytes of header;"
                f" got {data!r}",
            )
        schema_id = int.from_bytes(data[1:_CONFLUENT_HEADER_SIZE_BYTES])
        written = self._written_schema(schema_id)
        if not isinstance(written, dict):  # nor is Avro that is not a record an event
            raise RecordError(
                RejectReason.UNKNOWN_SCHEMA,
                f"a record requires a schema that the registry has; got id {schema_id}",
            )
        body = data[_CONFLUENT_HEADER_SIZE_BYTES:]
        if topic == "labels" or str(written.get("name")).rpartition(".")[2] == "Label":
            return "Label", shipped("label").read_as(body, written)
        return "Event", self._schema.accepted.read_as(body, written)

    def _decode_json(self, topic: str, data: bytes) -> tuple[str, dict[str, Any]]:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RecordError(
                RejectReason.MALFORMED,
                "a record requires Avro, Confluent wire format or JSON;"
                f" got {data[:20]!r} ({error})",
            ) from None
        if not isinstance(document, dict):
            raise RecordError(
                RejectReason.WRONG_SHAPE,
                f"a JSON record requires an object; got {type(document).__name__}",
            )
        if topic == "labels":
            return "Label", _label_from_json(document)
        if self._pipeline.event_time in document:
            name = self._pipeline.event_time
            document[name] = self._time_from_json(document[name])
        return "Event", self._schema.from_json(document)

    def _time_from_json(self, value: Any) -> Any:
        """Turn ISO 8601 text into the integer that the schema asks for."""
        wants_text = "string" in self._schema.types_of(self._pipeline.event_time or "")
        if wants_text or not isinstance(value, str):
            return value
        return _iso_to_ms(value) * self._units_per_ms

    def _event(self, origin: Origin, record: dict[str, Any]) -> list[Record]:
        pipeline = self._pipeline
        for name in self._finite:
            value = record[name]
            if isinstance(value, float) and not math.isfinite(value):
                raise RecordError(
                    RejectReason.NOT_FINITE, f"field {name!r} requires a finite number; got {value}"
                )
        event_id = _identity(record[pipeline.event_id], pipeline.event_id)
        key = None if pipeline.key is None else record[pipeline.key]
        key = None if key is None else str(key)
        event_time_ms = self._event_time_ms(origin, record)
        label = None if pipeline.label is None else record.pop(pipeline.label)
        partition = self._route(origin, event_id, key)
        if label is not None:
            label = self._task.label(label)
            self.tally["received", "label"] += 1
        event: Event = {
            "event_id": event_id,
            "key": key,
            "event_time_ms": event_time_ms,
            "label": label,
            "fields": record,
        }
        return [Record("clean", "Event", event, origin, partition)]

    def _event_time_ms(self, origin: Origin, record: dict[str, Any]) -> int:
        name = self._pipeline.event_time
        value = origin.timestamp_ms if name is None else record[name]
        time_ms = _iso_to_ms(value) if isinstance(value, str) else value // self._units_per_ms
        latest_ms = origin.timestamp_ms + self._max_ahead_ms
        if not self._earliest_ms <= time_ms <= latest_ms:
            raise RecordError(
                RejectReason.TIMESTAMP_OUT_OF_RANGE,
                f"event time requires milliseconds from {self._earliest_ms} to {latest_ms}"
                f" (earliest, max_ahead); got {time_ms}",
            )
        return time_ms

    def _label(self, origin: Origin, record: dict[str, Any]) -> list[Record]:
        self._check_label_type(record["label"])
        label = Label(
            event_id=_identity(record["event_id"], "event_id"),
            label=self._task.label(record["label"]),
            label_time_ms=record["label_time_ms"],
            key=record["key"],
        )
        partition = self._route(origin, label["event_id"], label["key"])
        return [Record("clean", "Label", label, origin, partition)]

    def _check_label_type(self, value: Any) -> None:
        """Hold the class to the type that events declare, so that 1 and "1" stay two things."""
        if self._pipeline.label is None or not self._task.is_classification:
            return
        declared = self._schema.types_of(self._pipeline.label)
        allowed = {_PYTHON_TYPES[each] for each in declared if each in _PYTHON_TYPES}
        if bool in allowed and type(value) is int and value in (0, 1):
            allowed.add(int)
        symbols = self._schema.symbols_of(self._pipeline.label)
        if type(value) not in allowed or (symbols and value not in symbols):
            raise RecordError(
                RejectReason.UNKNOWN_LABEL_TYPE,
                f"a label requires the type of the field {self._pipeline.label!r},"
                f" {' or '.join(symbols or declared)}; got {value!r}",
            )

    def _route(self, origin: Origin, event_id: str, key: str | None) -> int | None:
        """Return the partition where the record's model lives."""
        if self._scope is Scope.GLOBAL:
            if self._partitions is None and origin.partition != 0:
                raise RecordError(
                    RejectReason.WRONG_PARTITION,
                    "scope 'global' requires partition 0 of the input where ingest and prediction"
                    f" share an agent; got {origin.partition}",
                )
            return 0
        routed_by = key if self._pipeline.key is not None else event_id
        if routed_by is None:
            raise RecordError(
                RejectReason.MISSING_KEY,
                f"scope {self._scope.value!r} requires a key (an event's field"
                f" {self._pipeline.key!r}, a label's field 'key'); got none",
            )
        if self._partitions is None:
            return None
        return partition_of(routed_by, self._partitions)


def _identity(value: Any, name: str) -> str:
    if value is None or value == "":
        raise RecordError(RejectReason.MISSING_ID, f"field {name!r} requires an id; got {value!r}")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise RecordError(
            RejectReason.ILL_TYPED_FIELD,
            f"field {name!r} requires text or a whole number; got {value!r}",
        )
    return str(value)


def _iso_to_ms(text: str) -> int:
    """Return milliseconds since the Unix epoch; a time without a zone is in UTC."""
    try:
        time = datetime.fromisoformat(text)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise RecordError(
            RejectReason.TIMESTAMP_OUT_OF_RANGE, f"a time requires ISO 8601; got {text!r}"
        ) from None


def _label_from_json(document: dict[str, Any]) -> dict[str, Any]:
    for name in ("event_id", "label"):
        if name not in document:
            raise RecordError(
                RejectReason.MISSING_FIELD, f"a label requires {name!r}; got {[*document]}"
            )
    time, key = document.get("label_time_ms"), document.get("key")
    if isinstance(time, str):
        time = _iso_to_ms(time)
    if time is not None and type(time) is not int:
        raise RecordError(
            RejectReason.ILL_TYPED_FIELD, f"label_time_ms requires milliseconds; got {time!r}"
        )
    record = {
        "event_id": _identity(document["event_id"], "event_id"),
        "label": _as_avro(document["label"]),
        "label_time_ms": time,
        "key": None if key is None else str(key),
    }
    try:
        shipped("label").encode(record)
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordError(
            RejectReason.ILL_TYPED_FIELD,
            "a label requires event_id, label and key in UTF-8, and a long as label_time_ms;"
            f" got {shortened(record)} ({error})",
        ) from None
    return record


def _as_avro(label: Any) -> bool | int | float | str:
    """Return a label as Avro would carry it: what is beyond a long is a double."""
    try:
        if isinstance(label, (bool, int, float, str)):
            return float(label) if type(label) is int and label not in _LONGS else label
    except OverflowError:
        pass
    raise RecordError(
        RejectReason.UNKNOWN_LABEL_TYPE,
        f"a label requires a boolean, a number or text; got {shortened(label)}",
    )
