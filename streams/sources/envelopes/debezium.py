"""Debezium's change events, in JSON: rows of a database as they were and as they are.

With schemas, as Kafka Connect's JSON converter writes them by default, the change is in `payload`.
Source: Debezium's reference, "Change events" of its connectors (field `op`: c, r, u, d, t, m).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millrace.schemas import RecordError, RejectReason
from millrace.streams.sources.envelopes.base import Envelope, Headers, Opened, Says
from millrace.streams.sources.envelopes.documents import ABSENT, Documents, row_of

_NEW = ("c", "r")
_SAYS = {"c": Says.IS, "r": Says.IS, "u": Says.CHANGED, "d": Says.GONE}


class _Change(msgspec.Struct, gc=False):
    op: str | None = None
    before: msgspec.Raw = ABSENT
    after: msgspec.Raw = ABSENT
    ts_ms: int | None = None
    payload: _Change | None = None


class Debezium(Envelope):
    name = "debezium"
    has_tombstones = True

    def __init__(self) -> None:
        self._documents = Documents("a change event of Debezium's, in JSON", _Change)

    def open(self, value: bytes, _headers: Headers) -> Opened:
        change = self._documents.read(value)
        change = change.payload or change
        op, says = change.op, _SAYS.get(change.op or "")
        if says is None:
            raise RecordError(
                RejectReason.WRONG_SHAPE,
                f"op of a change event must be one of {', '.join(_SAYS)}; got {op!r}",
            )
        row = row_of(change.before if says is Says.GONE else change.after)
        if row is None and says is not Says.GONE:
            raise RecordError(
                RejectReason.WRONG_SHAPE, f"after must be the row where op is {op!r}; got null"
            )
        return Opened(says, row, {"op": op, "ts_ms": change.ts_ms})

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
