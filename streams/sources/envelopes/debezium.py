"""Debezium's change events: rows of a database as they were and as they are.

They are JSON, or Avro in Confluent's wire format. In JSON with schemas, as Kafka Connect's JSON
converter writes it by default, the change is in `payload`.
Source: Debezium's reference, "Change events" of its connectors (field `op`: c, r, u, d, t, m).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from millrace.schemas import RecordError, RejectReason
from millrace.streams.sources.confluent import MAGIC, RegisteredReader
from millrace.streams.sources.envelopes.base import Envelope, Headers, Opened, RowData, Says
from millrace.streams.sources.envelopes.documents import ABSENT, Documents, row_of

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

    def __init__(self, reader: RegisteredReader) -> None:
        super().__init__(reader)
        self._documents = Documents("a change event of Debezium's", _Change)

    def open(self, value: bytes, _headers: Headers) -> Opened:
        if value[:1] == _MAGIC:
            change = self._reader.read(value)
            return _opened(change.get("op"), change.get("before"), change.get("after"))
        document = self._documents.read(value)
        document = document.payload or document
        return _opened(document.op, row_of(document.before), row_of(document.after))

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
                    row = row_of(change.after)
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


def _opened(op: Any, before: RowData | str | None, after: RowData | str | None) -> Opened:
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
    return Opened(says, row.encode() if isinstance(row, str) else row)
