"""A Kafka record that somebody might produce: an event with all that is read of it, made up."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import Attribute, Header, MessageKey, id_parts
from millrace.models.pipeline.sources import Source
from millrace.schemas.paths import at, take
from millrace.streams.docs.values import TIME_MS, made_up, put
from millrace.streams.docs.wrapping import wrapping_of


class Produced(NamedTuple):
    """A record as a client produces it.

    Attributes
    ----------
    value
        As JSON has it.
    key
        None for no key.
    headers
        Name to text.
    """

    value: dict[str, Any]
    key: str | None
    headers: dict[str, str]

    @property
    def data(self) -> bytes:
        """The bytes of the value."""
        return json.dumps(self.value).encode()


class Event:
    """An event without its label, which comes later.

    Parameters
    ----------
    pipeline
        Whose event.

    Attributes
    ----------
    time_ms
        When it happens: milliseconds since the Unix epoch.
    row
        Its fields, as JSON has them.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._schema = pipeline.event_schema
        self.time_ms = max(TIME_MS, int(pipeline.earliest.timestamp() * 1000) + 1)
        self.row: dict[str, Any] = made_up(self._schema.as_written.type)
        if pipeline.label is not None:
            take(self.row, pipeline.label)
        self._key: str | None = None
        self._key_fields: dict[str, Any] = {}
        self._headers: dict[str, str] = {}
        self._attributes: dict[str, Any] = {}
        longest = pipeline.max_id_bytes
        self._say(pipeline.event_time, self.time_ms)
        self._say(pipeline.key, "key-1"[-longest:])
        parts = id_parts(pipeline.event_id)
        for part in parts:
            self._say(part, "event-1"[-max((longest + 1) // len(parts) - 1, 1) :])
        if isinstance(pipeline.event_time, str):
            put(self.row, pipeline.event_time, self._time(pipeline.event_time))

    def on(self, source: Source | None) -> Produced:
        """Return it as it is on a topic: that of a source, or the pipeline's own."""
        value = self.row
        if source is not None:
            value = wrapping_of(source).example(value, self._attributes)
        key = json.dumps(self._key_fields) if self._key_fields else self._key
        return Produced(value, key, self._headers)

    def _say(self, part: object, said: str | int) -> None:
        """Say something where a part of a record is; a field that is not text stays as it is."""
        match part:
            case str() if isinstance(at(self.row, part), str) and not self._schema.symbols_of(part):
                put(self.row, part, said)
            case MessageKey(None):
                self._key = str(said)
            case MessageKey(str() as path):
                put(self._key_fields, path, said)
            case Header(name):
                self._headers[name] = str(said)
            case Attribute(path):
                put(self._attributes, path, said)

    def _time(self, field: str) -> int | str:
        if "long" in self._schema.types_of(field):
            return self.time_ms * self._schema.units_per_ms(field)
        return datetime.fromtimestamp(self.time_ms / 1000, UTC).isoformat()
