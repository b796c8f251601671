"""From rows to records on `events`, in the order in which events and labels would come live.

Events are Avro in single-object encoding, of the pipeline's own type with an optional label. A
row that does not fit the type is sent as JSON: ingest rejects it, as any invalid event.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol, TypeAlias, cast, runtime_checkable

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import (
    PayloadHash,
    TopicPartitionOffset,
    id_parts,
    in_fields,
)
from millrace.schemas import SettingsError, shipped
from millrace.streams.operators.routing import GLOBAL_PARTITION, input_partition, routing_key

Row: TypeAlias = Mapping[str, object]

_UNFIT = object()
_UNENCODABLE = (TypeError, ValueError, OverflowError, AttributeError, struct.error)
_LONGEST_TEXT = 10_000  # bits; Python makes no text of a number of 4,300 digits
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "string": (str,),
    "enum": (str,),
}


@runtime_checkable
class _Scalar(Protocol):
    """What a scalar of NumPy has. NumPy itself is not imported."""

    ndim: int

    def astype(self, dtype: str, /) -> _Scalar: ...

    def item(self) -> object: ...


class Outgoing(NamedTuple):
    """A record to produce to `events`."""

    value: bytes
    key: bytes | None
    partition: int
    is_label: bool


def check_in_fields(pipeline: Pipeline) -> None:
    """Refuse a pipeline of which rows do not have all.

    Raises
    ------
    SettingsError
        Naming what it is.
    """
    for parameter in ("event_id", "key", "event_time"):
        for part in id_parts(getattr(pipeline, parameter)):
            if not isinstance(part, str | None | PayloadHash | TopicPartitionOffset):
                raise SettingsError(
                    f"rows have fields alone, so that {parameter} must be one; got {part!r}."
                    " Produce such events to Kafka"
                )


class Encoder:
    """Turns rows into records.

    Parameters
    ----------
    pipeline
        The definition.
    partitions
        Of `events`.
    """

    def __init__(self, pipeline: Pipeline, partitions: int) -> None:
        schema = pipeline.event_schema
        check_in_fields(pipeline)
        self._pipeline = pipeline
        self._partitions = partitions
        self._type = schema.accepted
        fields = zip(schema.field_names, self._type.fields, strict=True)
        optional = {pipeline.label: ("null",)}
        self._fields = [
            _Field(
                name,
                (*schema.types_of(name), *optional.get(name, ())),
                declared,
                schema.units_per_ms(name),
            )
            for name, declared in fields
        ]
        self._label = next((each for each in self._fields if each.name == pipeline.label), None)

    def event(self, row: Row) -> Outgoing:
        """Return an event with its label inside."""
        return self._outgoing(row, self._encode(row), is_label=False)

    def event_without_label(self, row: Row) -> Outgoing:
        """Return an event whose label is null."""
        return self.event(row if self._label is None else {**row, self._label.name: None})

    def label(self, row: Row) -> Outgoing | None:
        """Return an event's label as a record of its own; None where the row has none."""
        if self._label is None:
            return None
        given = row.get(self._label.name)
        fit = self._label.fit(given)
        if given is None or fit is None:
            return None
        event_id, key = self._identity(row)
        record = {
            "event_id": event_id,
            "label": given if fit is _UNFIT else fit,
            "label_time_ms": None,
            "key": key,
            "source": None,
        }
        try:
            value = shipped("label").encode(record)
        except Exception:  # a label among events cannot be JSON; ingest rejects the text
            value = shipped("label").encode(record | {"label": _as_text(given)})
        return self._outgoing(row, value, is_label=True)

    def _encode(self, row: Row) -> bytes:
        record = {each.name: each.fit(row.get(each.name, each.default)) for each in self._fields}
        if _UNFIT not in record.values():
            try:
                return self._type.encode(record)
            except _UNENCODABLE:
                pass  # a symbol that an enum does not have, for example
        return _as_json({**row, **{k: v for k, v in record.items() if v is not _UNFIT}})

    def _outgoing(self, row: Row, value: bytes, *, is_label: bool) -> Outgoing:
        routed_by = routing_key(self._pipeline, *self._identity(row))
        partition = input_partition(self._pipeline, routed_by, self._partitions)
        return Outgoing(
            value,
            None if routed_by is None else routed_by.encode(),
            GLOBAL_PARTITION if partition is None else partition,
            is_label,
        )

    def _identity(self, row: Row) -> tuple[str, str | None]:
        pipeline = self._pipeline
        event_id = in_fields(pipeline.event_id, row, _as_text)
        return event_id or "", in_fields(pipeline.key, row, _as_text)


class _Field:
    """A field of the event type, and how a cell is converted to it without a loss.

    Tables know fewer types than a schema: an id of digits is read as a number, a boolean may be
    written as 0 and 1, and a whole number in a column with empty cells becomes a float.
    """

    def __init__(self, name: str, types: Collection[str], declared: Row, units_per_ms: int) -> None:
        self.name = name
        self.default = declared.get("default", None if "null" in types else _UNFIT)
        self._types = {each for kind in types for each in _PYTHON_TYPES.get(kind, ())}
        self._units_per_ms = units_per_ms
        self._conversions: list[tuple[type, type, Callable[[object], bool]]] = [
            (int, bool, lambda value: value in (0, 1)),
            (int, str, lambda value: cast(int, value).bit_length() < _LONGEST_TEXT),
            (float, int, lambda value: cast(float, value).is_integer()),
        ]

    def fit(self, value: object) -> object:
        """Return `value` as the field takes it, or `_UNFIT`."""
        kind = type(value)
        if kind in self._types:
            return value
        for given, wanted, fits in self._conversions:
            if kind is given and wanted in self._types and fits(value):
                return wanted(value)
        plain = self._plain(value)
        return _UNFIT if plain is value else self.fit(plain)

    def _plain(self, value: object) -> object:
        """Return a value of NumPy or pandas as Python's own, and a time in the field's unit."""
        kind = type(value).__name__
        if kind in ("NAType", "NaTType"):
            return None
        if isinstance(value, datetime) and int in self._types:
            since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
            return since // timedelta(microseconds=1) * self._units_per_ms // 1_000
        if isinstance(value, _Scalar) and value.ndim == 0:
            return (value.astype("datetime64[us]") if kind == "datetime64" else value).item()
        return value


def _as_json(record: Row) -> bytes:
    """Return what ingest rejects, and says why: any value that JSON does not have is text."""
    return json.dumps({str(name): _of_json(value) for name, value in record.items()}).encode()


def _of_json(value: object) -> object:
    try:
        return json.loads(json.dumps(value, default=str))
    except Exception:  # it refers to itself, for example, or raises when it becomes text
        return _as_text(value)


def _as_text(value: object) -> str:
    """Return a value as text that can be encoded; of one that has no text, its type."""
    try:
        return str(value).encode(errors="replace").decode()
    except Exception:  # of the user's own type
        return type(value).__name__


def in_order(rows: Iterable[Row], encoder: Encoder, label_delay: int) -> Iterator[Outgoing]:
    """Yield the records of all rows, each label `label_delay` events after its own.

    With a delay, the label of event i comes directly before event i + delay, and labels that are
    left come at the end: the order of `river.stream.simulate_qa`. With 0, labels are inside their
    events.
    """
    if not label_delay:
        yield from map(encoder.event, rows)
        return
    waiting: deque[Outgoing | None] = deque()
    for row in rows:
        if len(waiting) == label_delay:
            yield from _known(waiting.popleft())
        yield encoder.event_without_label(row)
        waiting.append(encoder.label(row))
    for label in waiting:
        yield from _known(label)


def _known(label: Outgoing | None) -> Iterator[Outgoing]:
    if label is not None:
        yield label
