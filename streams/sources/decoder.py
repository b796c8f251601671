"""The bytes on the input topics become events and labels, not validated yet.

They are Avro in single-object encoding, Confluent wire format, or JSON, told apart by the first
byte.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from reprlib import repr as shortened
from typing import NamedTuple

from millrace.models.pipeline.record_parts import field_at_the_top, id_field, is_at_the_top
from millrace.schemas import EventSchema, RecordError, RejectReason, shipped
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.codec.json_slices import json_row_reader
from millrace.schemas.codec.slices import Parts, ReadRows, Row, Rows
from millrace.schemas.codec.types import FEATURE, Record, Type, Union
from millrace.schemas.records import Fields, LabelValue
from millrace.streams.sources.confluent import MAGIC, WireFormat, WrittenSchema
from millrace.streams.sources.definition import EventDefinition
from millrace.streams.sources.envelopes import RowData
from millrace.streams.sources.values import identity, iso_to_ms, iso_to_units, key_of, number_of

_LONGS = range(-(2**63), 2**63)
_BRACE = ord("{")
_MAX_REMEMBERED = 16
_LABEL_FIELDS: dict[str, Type] = {  # as JSON may have them
    "event_id": Union(("string", "long")),
    "label": FEATURE,
    "label_time_ms": Union(("null", "long")),
    "key": Union(("null", "string", "long")),
}
_LABEL = Row(
    "Label",
    Record("Label", _LABEL_FIELDS, {"label_time_ms": None, "key": None}),
    Parts(("event_id", "key", "label", "label_time_ms"), tuple(_LABEL_FIELDS)),
)


class Decoded(NamedTuple):
    """An event or a label, as its schema describes it."""

    is_label: bool
    fields: Fields


class _Readers(NamedTuple):
    """What reads many records at once: those in ordinary Avro, and events and labels in JSON.

    Attributes
    ----------
    texts
        Fields of numbers that text may stand for in JSON, and what reads the text.
    """

    avro: ReadRows
    event: ReadRows
    label: ReadRows
    texts: Mapping[str, Callable[[str], int | float]]


class InputDecoder:
    """Decodes what users produce.

    Parameters
    ----------
    pipeline
        The definition.
    written_schema
        Looks a schema up by its registry id.
    max_event_bytes
        A larger record is rejected.
    """

    def __init__(
        self, pipeline: EventDefinition, written_schema: WrittenSchema, max_event_bytes: int
    ) -> None:
        self._schema = pipeline.event_schema
        self._wire_format = WireFormat(self._schema, written_schema)
        self._max_event_bytes = max_event_bytes
        self.finite = [
            name
            for name in self._schema.floating_fields
            if name != pipeline.label and name not in pipeline.allow_non_finite
        ]
        roles = (id_field(pipeline.event_id), pipeline.key, pipeline.label, pipeline.event_time)
        apart = tuple(field_at_the_top(each) for each in roles)
        name, accepted = self._schema.as_written.name, self._schema.accepted.type
        event = Row(name, accepted, Parts(apart, (pipeline.label,)))
        finite = frozenset({*self.finite, pipeline.label, "label"})
        time = pipeline.event_time
        if not isinstance(time, str) or "string" in self._schema.types_of(time):
            time = None  # no field that is a number
        self._readers = _readers(
            self._schema, event, finite, max_event_bytes, time, tuple(pipeline.numbers_as_text)
        )

    def decode_all(self, topics: Iterable[str], values: Sequence[bytes | None]) -> Rows:
        """Return what many records hold; None for one that is to be looked at by itself.

        A row has the type's name, the id, the key, the label and the time, as far as there are
        any, and the fields of an event without its label.
        """
        rows = self._readers.avro(values)
        if None not in rows:
            return rows
        others: dict[ReadRows, list[tuple[int, bytes]]] = defaultdict(list)
        for place, (row, topic, data) in enumerate(zip(rows, topics, values, strict=True)):
            if row is not None or not data:
                continue
            if data[0] == _BRACE:
                read = self._readers.label if topic == "labels" else self._readers.event
                others[read].append((place, data))
            elif data[0] == MAGIC:
                written = self._wire_format.known(topic, data)
                if written is not None and written.alike:
                    alike = written.alike + data[written.start :]
                    others[self._readers.avro].append((place, alike))
        for read, left in others.items():
            found = read([data for _, data in left])
            for (place, _), row in zip(left, found, strict=True):
                rows[place] = row
        return rows

    def decode(self, topic: str, data: RowData | None) -> Decoded:
        """Return the event or label in a record of `events` or `labels`.

        Raises
        ------
        RecordError
            There is none; the reason says why.
        """
        if data is None or data == b"":
            raise RecordError(RejectReason.EMPTY, "the record has no value")
        if not isinstance(data, bytes):
            return self._from_document({**data})
        if len(data) > self._max_event_bytes:
            raise RecordError(
                RejectReason.OVERSIZED,
                f"the record has {len(data)} bytes, more than {self._max_event_bytes}"
                " (setting max_event_bytes)",
            )
        if data.startswith(MARKER):
            type_name, fields = self._schema.codec.decode(data)
            return Decoded(type_name == "Label", fields)
        if data[0] == MAGIC:
            return self._from_confluent(topic, data)
        return self._from_json(topic, data)

    def _from_confluent(self, topic: str, data: bytes) -> Decoded:
        written = self._wire_format.read(topic, data)
        if written.decoder is None:
            return self._from_json(topic, data[written.start :])
        fields = written.decoder.decode(data, written.start)
        return Decoded(written.is_label, {**fields})

    def _from_json(self, topic: str, data: bytes) -> Decoded:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RecordError(
                RejectReason.MALFORMED,
                f"the record is not Avro, Confluent wire format or JSON: {data[:20]!r} ({error})",
            ) from None
        if not isinstance(document, dict):
            raise RecordError(
                RejectReason.WRONG_SHAPE,
                f"a JSON record must be an object; got {type(document).__name__}",
            )
        if topic == "labels":
            return Decoded(True, label_from_json(document))
        return self._from_document(document)

    def _from_document(self, document: Fields) -> Decoded:
        name_in = self._schema.as_written.type.name_in
        for path, number in self._readers.texts.items():
            first, *rest = path.split(".")
            name = name_in(document, first)
            if name is not None:
                document = _with_number(document, [name, *rest], number)
        return Decoded(False, self._schema.from_json(document))


@lru_cache(_MAX_REMEMBERED)
def _readers(
    schema: EventSchema,
    event: Row,
    finite: frozenset[str | None],
    max_bytes: int,
    numeric_time: str | None,
    numbers_as_text: tuple[str, ...],
) -> _Readers:
    """Return what reads many records: made once, for all partitions."""
    texts = _texts(schema, numeric_time, numbers_as_text)
    at_the_top = {name: number for name, number in texts.items() if is_at_the_top(name)}
    parts = {row.name: row.parts for row in (event, _LABEL)}
    return _Readers(
        schema.codec.row_reader(parts, finite, max_bytes),
        json_row_reader(event, finite, max_bytes, at_the_top),
        json_row_reader(_LABEL, finite, max_bytes),
        texts,
    )


def _texts(
    schema: EventSchema, numeric_time: str | None, numbers_as_text: tuple[str, ...]
) -> Mapping[str, Callable[[str], int | float]]:
    """Return the fields of numbers that text may stand for in JSON, and what reads the text."""
    texts: dict[str, Callable[[str], int | float]] = {
        name: partial(number_of, name, bool({"float", "double"} & {*schema.types_of(name)}))
        for name in numbers_as_text
    }
    if numeric_time is not None:
        number = texts.get(numeric_time)
        texts[numeric_time] = partial(_units, schema.units_per_ms(numeric_time), number)
    return texts


def _with_number(
    document: Fields, names: Sequence[str], number: Callable[[str], int | float]
) -> Fields:
    """Return a document with the number in a field that the text there stands for."""
    name, *rest = names
    value = document.get(name)
    if isinstance(value, str) and not rest:
        return {**document, name: number(value)}
    if isinstance(value, dict) and rest:
        return {**document, name: _with_number(value, rest, number)}
    return document


def _units(units_per_ms: int, number: Callable[[str], int | float] | None, text: str) -> int:
    """Return the time of a numeric field that is text in JSON.

    Parameters
    ----------
    number
        Reads the field where numbers may be written as text; None where they may not.
    """
    if number is not None:
        with suppress(RecordError):
            return int(number(text))
    units = iso_to_units(text, units_per_ms)
    if units not in _LONGS:
        raise OverflowError
    return units


def label_from_json(document: Fields) -> Fields:
    """Return a label that is given as JSON.

    Raises
    ------
    RecordError
        It is none.
    """
    for name in ("event_id", "label"):
        if name not in document:
            raise RecordError(
                RejectReason.MISSING_FIELD, f"a label must have {name!r}; got {[*document]}"
            )
    time, key = document.get("label_time_ms"), document.get("key")
    if isinstance(time, str):
        time = iso_to_ms(time)
    if time is not None and type(time) is not int:
        raise RecordError(
            RejectReason.ILL_TYPED_FIELD, f"label_time_ms must be milliseconds; got {time!r}"
        )
    record: Fields = {
        "event_id": identity(document["event_id"], "field 'event_id'"),
        "label": _as_avro(document["label"]),
        "label_time_ms": time,
        "key": key_of(key),
    }
    try:
        shipped("label").encode({**record, "source": None})
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordError(
            RejectReason.ILL_TYPED_FIELD,
            "a label must have event_id, label and key in UTF-8, and a long as label_time_ms;"
            f" got {shortened(record)} ({error})",
        ) from None
    return record


def _as_avro(label: object) -> LabelValue:
    """Return a label as Avro would carry it: what is beyond a long is a double."""
    try:
        if isinstance(label, (bool, int, float, str)):
            return float(label) if type(label) is int and label not in _LONGS else label
    except OverflowError:
        pass
    raise RecordError(
        RejectReason.UNKNOWN_LABEL_TYPE,
        f"a label must be a boolean, a number or text; got {shortened(label)}",
    )
