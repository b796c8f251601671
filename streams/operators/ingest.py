"""Ingest: what users produce becomes valid events and labels, in one order.

Reads `events` and `labels`. Writes `clean`, keyed and routed by the pipeline's scope, and
`rejects`. A label inside an event is taken out of the fields that features are made of, and counts
right after its event; a label record produced to `events` keeps its place among the events. Where
a topic is of events and of labels, a record may be one of each: the label follows its event. Keeps
no state. A record that fails goes to `rejects` with the reason; nothing is dropped.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, Self

from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.models.pipeline.sources import EventsAndLabels, LabelSource, TopicSource
from millrace.models.user_code import told
from millrace.schemas import RecordError, RejectReason
from millrace.schemas.codec.slices import Rows
from millrace.schemas.paths import at
from millrace.schemas.records import Event, Fields, Label, LabelValue, Removal
from millrace.streams.operators.base import Kind, RecordOperator, Tally, Topics
from millrace.streams.operators.columns import Made
from millrace.streams.operators.context import Context
from millrace.streams.operators.label_sources import OWN_TOPICS, name_of
from millrace.streams.operators.record import (
    EventRecord,
    LabelRecord,
    Origin,
    Record,
    RemovalRecord,
)
from millrace.streams.operators.routing import partition_of
from millrace.streams.operators.slice import Slice
from millrace.streams.sources.confluent import RegisteredReader, WrittenSchema
from millrace.streams.sources.decoder import Decoded, InputDecoder
from millrace.streams.sources.envelopes import RowData, Says
from millrace.streams.sources.errors import SourceError
from millrace.streams.sources.labels import LabelReader
from millrace.streams.sources.opening import Opening
from millrace.streams.sources.parts import Parts, key_document
from millrace.streams.sources.roles import Roles
from millrace.streams.sources.times import EventTimes, LabelTimes
from millrace.streams.sources.values import identity

_MAX_CACHED = 1_024
_OF_VALUES = (ValueError, TypeError, ArithmeticError, RecursionError, struct.error)


class _Reading(NamedTuple):
    """A way in which the records of a topic are read: as events, or as labels of a source."""

    opening: Opening
    labels: LabelReader | None


class IngestOperator(RecordOperator):
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
    sources
        Topic to what is read from it, of the user's own topics.
    """

    name = "ingest"

    def __init__(
        self,
        pipeline: Pipeline,
        partitions: int | None,
        written_schema: WrittenSchema,
        max_event_bytes: int,
        sources: Mapping[str, TopicSource] = MappingProxyType({}),
    ) -> None:
        topics = self.topics_in([self.name])
        super().__init__(pipeline, Topics(topics.reads | sources.keys(), topics.writes))
        reader = self._reader = RegisteredReader(written_schema)
        self._opening = Opening(sources, reader, pipeline.event_schema)
        parts = Parts(reader, self._opening)
        self._as_events = _Reading(self._opening, None)
        self._label_readings: dict[str, _Reading] = {}
        self._labels_beside: dict[str, _Reading] = {}  # of topics that are read as events, too
        for topic, each in sources.items():
            if isinstance(each, LabelSource):
                labels = LabelReader(each, parts)
                self._label_readings[topic] = _Reading(self._opening, labels)
            elif isinstance(each, EventsAndLabels):
                opening = Opening({topic: each.labels}, reader, pipeline.event_schema)
                labels = LabelReader(each.labels, Parts(reader, opening), is_beside_events=True)
                self._labels_beside[topic] = _Reading(opening, labels)
        self._source_names = {each: each for each in OWN_TOPICS}
        self._source_names |= {topic: name_of(each) for topic, each in sources.items()}
        self._decoder = InputDecoder(pipeline, written_schema, max_event_bytes)
        self._roles = Roles(pipeline, parts, self._decoder.finite)
        self._pipeline = pipeline
        self._labels = pipeline.allowed_labels
        self._scope = Scope(pipeline.scope)
        self._partitions = partitions
        self._ignores_tombstones = pipeline.ignore_tombstones
        self._event_time_ms = EventTimes(pipeline)
        self._label_times = LabelTimes(pipeline)
        self._max_id_bytes = pipeline.max_id_bytes
        self._learned = {type(None), *self._labels.plain_types} - {str}  # text may be too long
        self._learnable = lru_cache(_MAX_CACHED, typed=True)(self._short_label)
        self._surely_short = pipeline.max_id_bytes // 4  # a character takes four bytes at most

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:
        commands = {"control"} if "feature" in agent else set()  # else they go to `clean`
        return Topics(frozenset({"events", "labels", *commands}), frozenset({"clean", "rejects"}))

    @classmethod
    def make(cls, context: Context) -> Self:
        stays = "feature" in context.agent
        partitions = None if stays else context.clean_partitions
        return cls(
            context.pipeline,
            partitions,
            context.written_schema,
            context.max_event_bytes,
            context.sources,
        )

    def _fold(self, slice_: Slice) -> list[Made]:
        """Fold a slice: what is ordinary in one loop, and any other record by itself.

        The loop gives no reasons: why a record cannot be used, `process` says.
        """
        records = [each for each in slice_ if each.topic in self.topics.reads]
        origins = [record.origin for record in records]
        rows, made = self._rows(origins), list[Made]()
        short, learned, learnable = self._surely_short, self._learned, self._learnable
        source_names, has_more = self._source_names, bool(self._labels_beside)
        is_timed, times = self._pipeline.event_time is not None, self._event_time_ms
        read_ms, earliest_ms, max_ahead_ms = times.read_ms, times.earliest_ms, times.max_ahead_ms
        earliest_label_ms = self._label_times.earliest_ms
        is_placed = bool(records) and self._is_placed(records[0].origin)
        events = labels = 0
        for record, origin, row in zip(records, origins, rows, strict=True):
            if row is None:
                made += super()._fold(Slice([record]))
                continue
            type_name, event_id, key, label, time, fields = row
            try:
                if type(event_id) is not str:
                    event_id = str(event_id)
                if not 0 < len(event_id) <= short:
                    _odd()
                if key is not None and len(key := str(key)) > short:
                    _odd()
                if type(label) not in learned:
                    label = learnable(label)
                partition = 0 if is_placed else self._route(origin, event_id, key)
                if type_name == "Label":
                    latest_ms = origin.timestamp_ms + max_ahead_ms
                    if time is not None and not earliest_label_ms <= time <= latest_ms:
                        _odd()
                    given: Label = {
                        "event_id": event_id,
                        "label": label,
                        "label_time_ms": time,
                        "key": key,
                        "source": source_names[origin.topic],
                    }
                    made.append(LabelRecord(given, origin, "clean", partition))
                    labels += 1
                    continue
                time_ms = latest_ms = origin.timestamp_ms
                if is_timed:
                    time_ms = read_ms(time)
                    latest_ms += max_ahead_ms
                if not earliest_ms <= time_ms <= latest_ms:
                    _odd()
                beside = self._label_beside(origin) if has_more and label is None else ()
            except Exception:
                made += super()._fold(Slice([record]))
                continue
            event: Event = {
                "event_id": event_id,
                "key": key,
                "event_time_ms": time_ms,
                "label": label,
                "fields": fields,
            }
            made.append(EventRecord(event, origin, "clean", partition))
            events += 1
            if label is not None:
                labels += 1
            made += beside
        self.tally += Tally({("received", "event"): events, ("received", "label"): labels})
        return made

    def _rows(self, origins: Sequence[Origin]) -> Rows:
        """Return what records hold; None for one that is to be looked at by itself."""
        topics: Iterable[str] = (each.topic for each in origins)  # which only some formats ask for
        values: Sequence[bytes | None] = [each.value for each in origins]
        if self._opening.is_needed:
            names = topics = [each.topic for each in origins]
            values = self._opening.rows(names, values, [each.headers for each in origins])
        rows = self._decoder.decode_all(topics, values)
        return rows if self._roles.are_apart else [*map(self._filled, rows, origins)]

    def _filled(self, row: tuple[Any, ...] | None, origin: Origin) -> tuple[Any, ...] | None:
        """Return a row with all that is needed of it; None for one to be looked at by itself."""
        try:
            return None if row is None else self._roles.fill(row, origin)
        except Exception:  # why, `process` says
            return None

    def process(self, record: Record) -> Iterable[Record]:
        origin = record.origin
        reading = self._label_readings.get(origin.topic, self._as_events)
        if (
            origin.value is None
            and self._ignores_tombstones
            and not self._opening.has_tombstones(origin.topic)
        ):
            self.tally["tombstone", _kind(origin, reading)] += 1
            return ()
        made, says = self._read(origin, reading)
        beside = self._labels_beside.get(origin.topic)
        if beside is not None and _may_be_label(made, says):
            label, says_of_label = self._read(origin, beside)
            made = [*made, *label]
            says = says and says_of_label
        if says is not None:
            self.tally["passed_over", says.value] += 1
        return made

    def _label_beside(self, origin: Origin) -> Sequence[Record]:
        """Return the label in the record of an event, if there is one."""
        reading = self._labels_beside.get(origin.topic)
        return () if reading is None else self._read(origin, reading)[0]

    def _read(self, origin: Origin, reading: _Reading) -> tuple[Sequence[Record], Says | None]:
        """Return what a record is where it is read in one way.

        Returns
        -------
        tuple
            What is made of it; and what it says of a row where it is neither event nor label.
        """
        opening, reader = reading
        kind = _kind(origin, reading)
        made: Record
        try:
            says, row = opening.open(origin.topic, origin.value, origin.headers)
            if origin.value is None and kind == "event" and self._roles.are_in_keys:
                says = Says.GONE
            if not opening.counts(origin.topic, says):
                is_row = says is Says.GONE and reader is None and self._roles.outlive_records
                return self._removed(origin, row) if is_row else (), says
            if reader is None:
                decoded = self._decode(origin.topic, row)
            elif (label := reader.read(row, origin)) is None:
                return (), Says.NOTHING
            else:
                decoded = Decoded(True, label)
            kind = "label" if decoded.is_label else "event"
            make = self._label if decoded.is_label else self._event
            made = make(origin, decoded.fields)
        except RecordError as error:
            detail = error.detail
            if error.reason is RejectReason.ILL_TYPED_FIELD:
                detail += opening.hint(origin, detail)
            made = self._reject(kind, origin, error.reason, detail)
        except SourceError as error:
            made = self._fail(kind, origin, RejectReason.SOURCE_ERROR, error.raised)
        self.tally["received", kind] += 1
        return (made,), None

    def _removed(self, origin: Origin, row: RowData | None) -> Sequence[Record]:
        """Return that the row of an event is gone; nothing of a tombstone that does not name it.

        Raises
        ------
        RecordError
            It is said that a row is gone, and not which.
        """
        try:
            named = self._row_or_key(row, origin)
            event_id = self._roles.texts.event_id(self._roles.event_id(named, origin))
        except RecordError as error:
            if error.reason is not RejectReason.MISSING_ID:
                raise
            if origin.value is None:
                return ()
            detail = (
                "a row is gone, and neither the row as it was (before) nor the key of the record"
                f" says which: {error.detail}"
            )
            raise RecordError(RejectReason.MISSING_ID, detail) from None
        key = self._roles.texts.key(self._roles.key(named, origin))
        self._check_lengths(event_id, key, None)
        value = Removal(event_id=event_id, key=key)
        partitions: Iterable[int | None]
        if key is not None or self._scope is Scope.GLOBAL or self._pipeline.key is None:
            partitions = (self._route(origin, event_id, key),)
        else:  # a tombstone has no key of the event's: wherever that is, it is told
            partitions = (None,) if self._partitions is None else range(self._partitions)
        return [RemovalRecord(value, origin, partition=each) for each in partitions]

    def _row_or_key(self, row: RowData | None, origin: Origin) -> Mapping[str, Any]:
        """Return what names a row that is gone: the row as it was, or else its record's key."""
        before = _document(row)
        try:
            self._roles.event_id(before, origin)
        except RecordError as error:
            if error.reason is not RejectReason.MISSING_ID:
                raise
            key = key_document(origin.key, self._reader) or {}
            return self._opening.key(origin.topic, key)
        return before

    def _decode(self, topic: str, row: RowData | None) -> Decoded:
        try:
            return self._decoder.decode(topic, row)
        except _OF_VALUES as error:
            raise RecordError(
                RejectReason.ILL_TYPED_FIELD, f"a value does not fit its type: {told(error)}"
            ) from error

    def _event(self, origin: Origin, fields: Fields) -> EventRecord:
        roles = self._roles
        for name in self._decoder.finite:
            value = at(fields, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise _not_finite(name, value)
        event_id, key = roles.event_id(fields, origin), roles.key(fields, origin)
        event_time_ms = self._event_time_ms(roles.time(fields, origin), origin.timestamp_ms)
        label = roles.take_label(fields)
        partition = self._route(origin, event_id, key)
        if label is not None:
            label = self._labels.learnable(label)
        self._check_lengths(event_id, key, label)
        if label is not None:
            self.tally["received", "label"] += 1
        event: Event = {
            "event_id": event_id,
            "key": key,
            "event_time_ms": event_time_ms,
            "label": label,
            "fields": fields,
        }
        return EventRecord(event, origin, partition=partition)

    def _label(self, origin: Origin, fields: Fields) -> LabelRecord:
        texts = self._roles.texts
        label = Label(
            event_id=texts.event_id(identity(fields["event_id"], "field 'event_id'")),
            label=self._labels.learnable(fields["label"]),
            label_time_ms=self._label_times.checked(fields["label_time_ms"], origin.timestamp_ms),
            key=texts.key(fields["key"]),
            source=self._source_names[origin.topic],
        )
        self._check_lengths(label["event_id"], label["key"], label["label"])
        partition = self._route(origin, label["event_id"], label["key"])
        return LabelRecord(label, origin, partition=partition)

    def _short_label(self, value: LabelValue) -> LabelValue:
        label = self._labels.learnable(value)
        self._check_lengths("", None, label)
        return label

    def _check_lengths(self, event_id: str, key: str | None, label: LabelValue | None) -> None:
        """Refuse an id, a key or a label that is too long: many of them are kept."""
        for what, text in (("id", event_id), ("key", key), ("label", label)):
            if isinstance(text, str) and len(text) > self._surely_short:
                size = len(text.encode())
                if size > self._max_id_bytes:
                    raise RecordError(
                        RejectReason.OVERSIZED,
                        f"the {what} must have at most {self._max_id_bytes} bytes (max_id_bytes);"
                        f" got {size}: {text[:20]!r}…",
                    )

    def _is_placed(self, origin: Origin) -> bool:
        """Whether each record on the partition of this one, and on each other, goes to 0."""
        is_there = self._partitions is not None or origin.partition == 0
        return self._scope is Scope.GLOBAL and is_there

    def _route(self, origin: Origin, event_id: str, key: str | None) -> int | None:
        """Return the partition where the record's model is."""
        if self._scope is Scope.GLOBAL:
            if self._partitions is None and origin.partition != 0:
                raise RecordError(
                    RejectReason.WRONG_PARTITION,
                    "with scope 'global', and ingest in one agent with prediction, inputs must be"
                    f" on partition 0; got {origin.partition}",
                )
            return 0
        routed_by = key if self._pipeline.key is not None else event_id
        if routed_by is None:
            raise RecordError(
                RejectReason.MISSING_KEY,
                f"scope {self._scope.value!r} needs a key (an event's field"
                f" {self._pipeline.key!r}, a label's field 'key'); got none",
            )
        return None if self._partitions is None else partition_of(routed_by, self._partitions)


def _kind(origin: Origin, reading: _Reading) -> Kind:
    return "event" if reading.labels is None and origin.topic != "labels" else "label"


def _document(row: RowData | None) -> Mapping[str, Any]:
    """Return what is in a row; nothing where it is no object."""
    if isinstance(row, Mapping):
        return row
    with suppress(ValueError, RecursionError):
        document = json.loads(row or b"")
        if isinstance(document, dict):
            return document
    return {}


def _may_be_label(made: Sequence[Record], says: Says | None) -> bool:
    """Whether a record may be a label, by what it is as an event.

    That has its own label, or else the record may have it. One that is rejected has none.
    """
    if says is not None:
        return says is not Says.GONE
    (event,) = made
    return isinstance(event, EventRecord) and event.value["label"] is None


def _odd() -> NoReturn:
    raise RecordError(RejectReason.INTERNAL_ERROR, "")


def _not_finite(name: str, value: float) -> RecordError:
    return RecordError(
        RejectReason.NOT_FINITE, f"field {name!r} must be a finite number; got {value}"
    )
