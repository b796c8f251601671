"""From rows to records on `events`, in the order in which events and labels would come live.

Events are Avro in single-object encoding, of the pipeline's own type with an optional label. A
row that does not fit the type goes out as JSON, and so to `rejects`, like any bad event.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias, cast

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from millrace.streams.operators.routing import GLOBAL_PARTITION, input_partition, routing_key

Row: TypeAlias = Mapping[str, object]

_ABSENT = object()
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


class Outgoing(NamedTuple):
    """A record to produce to `events`."""

    value: bytes
    key: bytes | None
    partition: int
    is_label: bool


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
        self._pipeline = pipeline
        self._partitions = partitions
        self._type = pipeline.event_schema.accepted
        schema = pipeline.event_schema
        optional = {name: ("null",) for name in (pipeline.label,) if name is not None}
        self._fields = [
            _Field(name, (*schema.types_of(name), *optional.get(name, ())), declared)
            for name, declared in zip(schema.field_names, self._type.fields, strict=True)
        ]
        self._label = next((each for each in self._fields if each.name == pipeline.label), None)

    def event(self, row: Row) -> Outgoing:
        """Return an event with its label inside."""
        key, partition = self._route(row)
        return Outgoing(self._encode(row), key, partition, False)

    def question(self, row: Row) -> Outgoing:
        """Return an event without its label."""
        if self._label is not None:
            row = {**row, self._label.name: None}
        return self.event(row)

    def answer(self, row: Row) -> Outgoing | None:
        """Return an event's label as a record of its own, or None where the row has none."""
        if self._label is None or row.get(self._label.name) is None:
            return None
        given = row[self._label.name]
        label = self._label.fit(given)
        record = {
            "event_id": self._identity(row)[0],
            "label": given if label is _ABSENT else label,
            "label_time_ms": None,
            "key": self._identity(row)[1],
        }
        key, partition = self._route(row)
        try:
            return Outgoing(shipped("label").encode(record), key, partition, True)
        except (TypeError, ValueError, OverflowError, AttributeError):
            rejected = json.dumps(record, default=str).encode()  # ingest says what is wrong
            return Outgoing(rejected, key, partition, True)

    def _encode(self, row: Row) -> bytes:
        record = {each.name: each.fit(row.get(each.name, each.default)) for each in self._fields}
        if _ABSENT not in record.values():
            try:
                return self._type.encode(record)
            except (TypeError, ValueError, OverflowError, AttributeError):
                pass  # a symbol that an enum does not have, for example
        fitting = {name: value for name, value in record.items() if value is not _ABSENT}
        return json.dumps({**row, **fitting}, default=str).encode()  # ingest says what is wrong

    def _identity(self, row: Row) -> tuple[str, str | None]:
        key = None if self._pipeline.key is None else row.get(self._pipeline.key)
        return str(row.get(self._pipeline.event_id)), None if key is None else str(key)

    def _route(self, row: Row) -> tuple[bytes | None, int]:
        routed_by = routing_key(self._pipeline, *self._identity(row))
        partition = input_partition(self._pipeline, routed_by, self._partitions)
        key = None if routed_by is None else routed_by.encode()
        return key, GLOBAL_PARTITION if partition is None else partition


class _Field:
    """A field of the event type, and how a cell is made to fit it without a loss.

    A table knows fewer types than a schema: an id of digits is read as a number, a boolean may
    be written as 0 and 1, and a whole number beside an empty cell may have become a float.
    """

    def __init__(self, name: str, types: Collection[str], declared: Row) -> None:
        self.name = name
        self.default = declared.get("default", None if "null" in types else _ABSENT)
        self._types = {each for kind in types for each in _PYTHON_TYPES.get(kind, ())}
        self._fits: list[tuple[type, type, Callable[[object], bool]]] = [
            (int, bool, lambda value: value in (0, 1)),
            (int, str, lambda _: True),
            (float, int, lambda value: cast(float, value).is_integer()),
        ]

    def fit(self, value: object) -> object:
        """Return `value` as the field takes it, or what no field takes."""
        if hasattr(value, "item"):  # a scalar of NumPy
            value = value.item()
        kind = type(value)
        if kind in self._types:
            return value
        for given, wanted, holds in self._fits:
            if kind is given and wanted in self._types and holds(value):
                return wanted(value)
        return _ABSENT


def in_order(rows: Iterable[Row], encoder: Encoder, label_delay: int) -> Iterator[Outgoing]:
    """Return the records of all rows, each label `label_delay` events after its own.

    With a delay, the label of event i comes right before event i + delay, and those that are
    left at the end come then: the order of `river.stream.simulate_qa`. Without one (0), labels
    are inside their events.
    """
    if not label_delay:
        yield from map(encoder.event, rows)
        return
    waiting: deque[Outgoing | None] = deque()
    for row in rows:
        if len(waiting) == label_delay:
            yield from _known(waiting.popleft())
        yield encoder.question(row)
        waiting.append(encoder.answer(row))
    for label in waiting:
        yield from _known(label)


def _known(label: Outgoing | None) -> Iterator[Outgoing]:
    if label is not None:
        yield label
