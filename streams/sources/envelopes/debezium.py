"""Debezium's change events: rows of a database as they were and as they are.

They are JSON, or Avro in Confluent's wire format. In JSON with schemas, as Kafka Connect's JSON
converter writes it by default, the change is in `payload`. Rows of MongoDB are text with Extended
JSON in it, and so are the ids in the keys of their records.
Source: Debezium's reference, "Change events" of its connectors (field `op`: c, r, u, d, t, m).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from millrace.schemas import EventSchema, RecordError, RejectReason
from millrace.streams.sources.confluent import MAGIC, RegisteredReader
from millrace.streams.sources.envelopes.base import Envelope, Headers, Opened, RowData, Says
from millrace.streams.sources.envelopes.connect_schemas import decimals_of
from millrace.streams.sources.envelopes.documents import ABSENT, Documents, row_of
from millrace.streams.sources.envelopes.extended_json import ExtendedJson, plain_id

_MAGIC = bytes([MAGIC])
_NEW = ("c", "r")
_SAYS = {
    "c": Says.IS,
    "r": Says.IS,
    "u": Says.CHANGED,
    "d": Says.GONE,
    "t": Says.NOTHING,
    "m": Says.NOTHING,  # a table was emptied, a message was logged
}


class _Change(msgspec.Struct, gc=False):
    op: str | None = None
    before: msgspec.Raw = ABSENT
    after: msgspec.Raw = ABSENT
    payload: _Change | None = None


class Debezium(Envelope):
    name = "debezium"
    has_tombstones = True

    def __init__(self, reader: RegisteredReader, schema: EventSchema | None = None) -> None:
        super().__init__(reader, schema)
        self._documents = Documents("a change event of Debezium's", _Change)
        self._extended = ExtendedJson(schema)

    def open(self, value: bytes, _headers: Headers) -> Opened:
        if value[:1] == _MAGIC:
            change = self._reader.read(value)
            before, after = (self._as_row(change.get(each)) for each in ("before", "after"))
            return _opened(change.get("op"), before, after)
        document = self._documents.read(value)
        document = document.payload or document
        return _opened(document.op, self._row(document.before), self._row(document.after))

    def rows(
        self, values: Sequence[bytes | None], _headers: Sequence[Headers]
    ) -> list[bytes | None]:
        decode, rows = self._documents.decode, list[bytes | None]()
        for value in values:
            row = None
            try:
                change = decode(value)  # type: ignore[arg-type]  # of no value it raises
                change = change.payload or change
                if change.op in _NEW:
                    row = self._row(change.after)
            except Exception:  # why, `open` says
                row = None
            rows.append(row)
        return rows

    def attributes(self, value: bytes, _headers: Headers) -> Mapping[str, Any]:
        """Return what a change event says beside the rows: `ts_ms`, and `source` among others."""
        if value[:1] == _MAGIC:
            return self._reader.read(value)
        document: dict[str, Any] = json.loads(value)
        change: dict[str, Any] = document.get("payload") or document
        return change

    def key(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a key; that of a document of MongoDB has its `id` alone, as text in JSON."""
        found = document.get("id")
        if len(document) != 1 or not isinstance(found, str):
            return document
        return {"id": plain_id(found)}

    def decimals(self, value: bytes) -> Collection[str]:
        return decimals_of(value, "after")

    def _row(self, part: msgspec.Raw) -> bytes | None:
        row = row_of(part)
        is_text = row is not None and bytes(memoryview(part)[:1]) == b'"'
        return self._extended.plain(row) if row is not None and is_text else row

    def _as_row(self, row: RowData | str | None) -> RowData | None:
        return self._extended.plain(row.encode()) if isinstance(row, str) else row


def _opened(op: Any, before: RowData | None, after: RowData | None) -> Opened:
    says = _SAYS.get(op)
    if says is None:
        raise RecordError(
            RejectReason.WRONG_SHAPE,
            f"op of a change event must be one of {', '.join(_SAYS)}; got {op!r}",
        )
    row = before if says is Says.GONE else after
    if row is None and says is Says.IS:
        raise RecordError(
            RejectReason.WRONG_SHAPE, f"after must be the row where op is {op!r}; got null"
        )
    return Opened(says, row)
