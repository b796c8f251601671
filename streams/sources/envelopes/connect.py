"""JSON as Kafka Connect's JSON converter writes it with schemas: the row is in `payload`.

A record without value is a row that is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from millrace.schemas import EventSchema, RecordError, RejectReason
from millrace.streams.sources.confluent import RegisteredReader
from millrace.streams.sources.envelopes.base import Envelope, Headers, Opened, Says
from millrace.streams.sources.envelopes.connect_schemas import decimals_of
from millrace.streams.sources.envelopes.documents import Documents, row_of


class _Message(msgspec.Struct, gc=False):
    payload: msgspec.Raw


class Connect(Envelope):
    name = "connect"
    has_tombstones = True

    def __init__(self, reader: RegisteredReader, schema: EventSchema | None = None) -> None:
        super().__init__(reader, schema)
        self._documents = Documents("JSON of Kafka Connect's, with schema and payload", _Message)

    def open(self, value: bytes, _headers: Headers) -> Opened:
        row = row_of(self._documents.read(value).payload)
        if row is None:
            raise RecordError(RejectReason.EMPTY, "payload must be the row; got null")
        return Opened(Says.IS, row)

    def decimals(self, value: bytes) -> Collection[str]:
        return decimals_of(value)

    def rows(
        self, values: Sequence[bytes | None], _headers: Sequence[Headers]
    ) -> list[bytes | None]:
        decode, rows = self._documents.decode, list[bytes | None]()
        for value in values:
            try:
                rows.append(row_of(decode(value).payload))  # type: ignore[arg-type]
            except Exception:  # why, `open` says
                rows.append(None)
        return rows
