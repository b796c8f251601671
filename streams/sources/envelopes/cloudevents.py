"""CloudEvents 1.0, structured or binary.

Structured, the record is a JSON document with the event in `data` or, as base64, `data_base64`.
Binary, the record is the event, and the attributes are headers that begin with `ce_`. Source: the
specification of CloudEvents, "JSON Event Format" and "Kafka Protocol Binding".
"""

from __future__ import annotations

import base64
import binascii
import json
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from millrace.schemas import EventSchema, RecordError, RejectReason
from millrace.streams.sources.confluent import RegisteredReader
from millrace.streams.sources.envelopes.base import Envelope, Headers, Opened, Says
from millrace.streams.sources.envelopes.documents import ABSENT, Documents, row_of

_PREFIX = "ce_"
_STRUCTURED = b"application/cloudevents"


class _CloudEvent(msgspec.Struct, gc=False):
    specversion: str
    id: str
    source: str
    type: str
    data: msgspec.Raw = ABSENT
    data_base64: str | None = None


class CloudEvents(Envelope):
    name = "cloudevents"

    def __init__(self, reader: RegisteredReader, schema: EventSchema | None = None) -> None:
        super().__init__(reader, schema)
        self._documents = Documents("a CloudEvent in JSON, or have headers ce_*", _CloudEvent)

    def open(self, value: bytes, headers: Headers) -> Opened:
        if attributes := _of_headers(headers):
            _check_version(attributes["specversion"])
            return Opened(Says.IS, value)
        if value.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
            must = "a batch of CloudEvents is not read: send one event a record"
            raise RecordError(RejectReason.WRONG_SHAPE, must)
        row = _data(self._documents.read(value))
        if row is None:
            must = "a CloudEvent must have the event in data or data_base64"
            raise RecordError(RejectReason.WRONG_SHAPE, f"{must}; it has none")
        return Opened(Says.IS, row)

    def rows(
        self, values: Sequence[bytes | None], headers: Sequence[Headers]
    ) -> list[bytes | None]:
        decode, rows = self._documents.decode, list[bytes | None]()
        for value, each in zip(values, headers, strict=True):
            try:
                attributes = _of_headers(each) if each else {}
                if attributes:
                    _check_version(attributes["specversion"])
                rows.append(value if attributes else _data(decode(value)))  # type: ignore[arg-type]
            except Exception:  # why, `open` says
                rows.append(None)
        return rows

    def attributes(self, value: bytes, headers: Headers) -> Mapping[str, Any]:
        """Return the attributes of an event: those of the specification, and its extensions."""
        return _of_headers(headers) or json.loads(value)


def _of_headers(headers: Headers) -> Mapping[str, str]:
    """Return the attributes of a binary one; none where it is structured.

    Headers of Kafka are in the letter case in which somebody wrote them; attributes are in lower
    case.
    """
    named = {name.lower(): value or b"" for name, value in headers}
    is_structured = named.get("content-type", b"").lower().startswith(_STRUCTURED)
    if is_structured or "ce_specversion" not in named:
        return {}
    return {
        name.removeprefix(_PREFIX): value.decode(errors="replace")
        for name, value in named.items()
        if name.startswith(_PREFIX)
    }


def _check_version(version: str) -> None:
    if not version.startswith("1."):
        must = "specversion of a CloudEvent must be 1.0"
        raise RecordError(RejectReason.WRONG_SHAPE, f"{must}; got {version!r}")


def _data(event: _CloudEvent) -> bytes | None:
    _check_version(event.specversion)
    if event.data_base64 is None:
        return row_of(event.data)
    try:
        return base64.b64decode(event.data_base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError(RejectReason.MALFORMED, f"data_base64 must be base64; {error}") from None
