"""What comes on the user's own topics, out of its envelopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.models.pipeline.sources import (
    EventsAndLabels,
    LabelSource,
    OnUpdate,
    Source,
    TopicSource,
)
from millrace.schemas import EventSchema, RecordError, RejectReason
from millrace.streams.sources.confluent import RegisteredReader
from millrace.streams.sources.envelopes import PLAIN, Headers, Opened, Says, envelope_of
from millrace.streams.sources.message import Message


class Opening:
    """Opens the records of sources; what is not of a source, or has no envelope, stays as it is.

    Parameters
    ----------
    sources
        Topic to what is read from it; where that is events and labels, its events are opened.
    reader
        Reads what is in Confluent's wire format.
    schema
        Of the events.

    Raises
    ------
    DefinitionError
        There is no such envelope.
    """

    def __init__(
        self,
        sources: Mapping[str, TopicSource],
        reader: RegisteredReader,
        schema: EventSchema | None = None,
    ) -> None:
        self._sources = {
            topic: each.events if isinstance(each, EventsAndLabels) else each
            for topic, each in sources.items()
        }
        self._envelopes = {
            topic: envelope_of(each, reader, schema)
            for topic, each in self._sources.items()
            if each.envelope != PLAIN or each.decode is not None
        }
        self._alone = {topic for topic, each in sources.items() if isinstance(each, LabelSource)}

    @property
    def is_needed(self) -> bool:
        """Whether any records are in envelopes, or labels in a form of their own."""
        return bool(self._envelopes or self._alone)

    def rows(
        self,
        topics: Sequence[str],
        values: Sequence[bytes | None],
        headers: Sequence[Headers],
    ) -> Sequence[bytes | None]:
        """Return the rows in records; None for each that is to be opened by itself."""
        rows = [*values]
        for topic, envelope in self._envelopes.items():
            places = [place for place, each in enumerate(topics) if each == topic]
            opened = envelope.rows(
                [values[place] for place in places], [headers[place] for place in places]
            )
            for place, row in zip(places, opened, strict=True):
                rows[place] = row
        if self._alone:
            rows = [
                None if topic in self._alone else row
                for topic, row in zip(topics, rows, strict=True)
            ]
        return rows

    def open(self, topic: str, value: bytes | None, headers: Headers) -> Opened:
        """Return what is in a record.

        Raises
        ------
        RecordError
            It is not in the form of its source.
        SourceError
            The user's code raised an error.
        """
        envelope = self._envelopes.get(topic)
        if envelope is None:
            return Opened(Says.IS, value)
        if value is None:
            return Opened(Says.GONE if envelope.has_tombstones else Says.IS, None)
        if not value and not envelope.may_be_empty:
            raise RecordError(
                RejectReason.EMPTY, "the value has no bytes; that of a tombstone is null"
            )
        opened = envelope.open(value, headers)
        if opened.says is Says.CHANGED and opened.row is None and self.counts(topic, opened.says):
            must = "a record of a row that has changed must have the row as it is (after)"
            raise RecordError(RejectReason.WRONG_SHAPE, f"{must}; got null")
        return opened

    def attributes(self, message: Message) -> Mapping[str, Any]:
        """Return what the envelope of a record says beside the row, by name."""
        envelope = self._envelopes.get(message.topic)
        if envelope is None or not message.value:
            return {}
        return envelope.attributes(message.value, message.headers)

    def key(self, topic: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the key of a record, an object, as its envelope means it."""
        envelope = self._envelopes.get(topic)
        return document if envelope is None else envelope.key(document)

    def hint(self, message: Message, detail: str) -> str:
        """Return what to do about a field that is ill-typed, by what its record says of it."""
        envelope = self._envelopes.get(message.topic)
        decimals = () if envelope is None else envelope.decimals(message.value or b"")
        if not any(f"field {each!r} " in detail for each in decimals):
            return ""
        return (
            ". It is a decimal in base64: let it be written as text or as a number (Debezium:"
            " decimal.handling.mode=string or double; Connect's converter: decimal.format=NUMERIC)"
        )

    def declared_name(self, topic: str) -> str:
        """Return a topic's name in the definition."""
        source = self._sources.get(topic)
        return topic if source is None else source.topic

    def has_tombstones(self, topic: str) -> bool:
        """Whether a record of a topic without a value says that a row is gone."""
        envelope = self._envelopes.get(topic)
        return envelope is not None and envelope.has_tombstones

    def counts(self, topic: str, says: Says) -> bool:
        """Whether what a record of a topic says of a row is an event, or a label."""
        source = self._sources.get(topic)
        if says is Says.CHANGED and isinstance(source, Source):
            return source.on_update is OnUpdate.EVENT
        return says in (Says.IS, Says.CHANGED)
