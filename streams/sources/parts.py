"""What a pipeline needs of an event, wherever its Kafka record has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeAlias

from millrace.models.pipeline.record_parts import (
    Attribute,
    Header,
    IdPart,
    MessageKey,
    PayloadHash,
    TopicPartitionOffset,
    joined_id,
)
from millrace.schemas import RecordError, RejectReason
from millrace.schemas.paths import at
from millrace.streams.sources.confluent import MAGIC, RegisteredReader
from millrace.streams.sources.envelopes import Headers
from millrace.streams.sources.message import Message
from millrace.streams.sources.opening import Opening
from millrace.streams.sources.values import identity

_MAGIC = bytes([MAGIC])
_HASH_BYTES = 16


ReadPart: TypeAlias = Callable[[Mapping[str, Any], Message], Any]
"""Returns a part of a record, of which the row is given; None where it is not there."""


class Parts:
    """Makes the functions that read parts of records.

    Parameters
    ----------
    reader
        Reads what is in Confluent's wire format.
    opening
        Opens the envelopes that records are in.

    Attributes
    ----------
    reader
        See above.
    """

    def __init__(self, reader: RegisteredReader, opening: Opening) -> None:
        self.reader = reader
        self._opening = opening

    def reading(self, part: IdPart) -> ReadPart:
        """Return the function that reads a part."""
        if isinstance(part, str):
            return lambda row, _: at(row, part)
        read = self._reading(part)
        return lambda _, message: read(message)

    def _reading(self, part: IdPart) -> Callable[[Message], Any]:
        match part:
            case MessageKey(str() as path):
                return lambda message: at(self._key(message.topic, message.key), path)
            case Header(name):
                return lambda message: _text(_last(message.headers, name), f"header {name!r}")
            case Attribute(path):
                return lambda message: at(self._opening.attributes(message), path)
            case TopicPartitionOffset():
                return self._place
            case PayloadHash():
                return lambda message: _hash(message.value)
        return lambda message: _text(message.key, "the message key")

    def reading_id(self, parts: Sequence[IdPart]) -> Callable[[Mapping[str, Any], Message], str]:
        """Return the function that reads an id; it raises a `RecordError` where there is none."""
        reads = [(self.reading(each), _named(each)) for each in parts]

        def read(row: Mapping[str, Any], message: Message) -> str:
            try:
                return joined_id(identity(each(row, message), name) for each, name in reads)
            except RecordError as error:
                in_list = next((each for each in parts if _is_in_list(row, each)), None)
                if in_list is None or error.reason is not RejectReason.MISSING_ID:
                    raise
                why = f"the path {in_list!r} leads into a list, and goes through objects alone"
                raise RecordError(error.reason, f"{error.detail}: {why}") from None

        return read

    def _place(self, message: Message) -> str:
        topic = self._opening.declared_name(message.topic)
        return f"{topic}-{message.partition}-{message.offset}"

    def _key(self, topic: str, key: bytes | None) -> Mapping[str, Any]:
        return self._opening.key(topic, key_document(key, self.reader) or {})


def key_document(key: bytes | None, reader: RegisteredReader) -> Mapping[str, Any] | None:
    """Return the key of a record that is an object: JSON, perhaps with its schema, or Avro.

    None where it is none.
    """
    if key and key[:1] == _MAGIC:
        return reader.read(key)
    try:
        document = json.loads(key or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    inner = document.get("payload")
    return inner if isinstance(inner, dict) and "schema" in document else document


def _text(data: bytes | None, what: str) -> str | None:
    if data is not None and b"\0" in data:  # a number in bytes, or Avro: as text it would be odd
        must = f"{what} must be text in UTF-8; got {data!r:.100}"
        raise RecordError(RejectReason.ILL_TYPED_FIELD, f"{must} (it has a zero byte)")
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError as error:
        must = f"{what} must be text in UTF-8; got {data!r:.100}"
        raise RecordError(RejectReason.ILL_TYPED_FIELD, f"{must} ({error.reason})") from None


def _last(headers: Headers, name: str) -> bytes | None:
    return next((value for each, value in reversed(headers) if each == name), None)


def _hash(value: bytes | None) -> str:
    return blake2b(value or b"", digest_size=_HASH_BYTES).hexdigest()


def _named(part: IdPart) -> str:
    """Return a part as errors name it."""
    match part:
        case str():
            return f"field {part!r}"
        case MessageKey(str() as path):
            return f"the field {path!r} of the message key"
        case Header(name):
            return f"the header {name!r}"
        case Attribute(path):
            return f"the attribute {path!r} of the envelope"
    return "the message key"


def _is_in_list(row: Mapping[str, Any], part: IdPart) -> bool:
    """Whether the path of a field leads into a list of a row."""
    names = part.split(".") if isinstance(part, str) else []
    return any(isinstance(at(row, ".".join(names[:end])), list) for end in range(1, len(names)))
