"""Dead letters, made fit to be written."""

from __future__ import annotations

import struct

from millrace.schemas import RejectReason
from millrace.schemas.records import Reject
from millrace.streams.operators.record import RejectRecord
from millrace.streams.redaction import redact
from millrace.streams.topology.topics import MAX_RECORD_BYTES

_VALUE_BYTES = (MAX_RECORD_BYTES - 64 * 1024) * 3 // 4  # JSON writes bytes in base64


def make_presentable(record: RejectRecord) -> None:
    """Hide secrets in the detail, which an exception may have brought, and cut what is too long.

    The original's place in the log is kept in full.
    """
    record.value["detail"] = redact(record.value["detail"])
    value = record.value["value"]
    if value is not None and len(value) > _VALUE_BYTES:
        record.value["value"] = value[:_VALUE_BYTES]


def without_original(record: RejectRecord) -> RejectRecord:
    """Return a dead letter with the place of the original alone."""
    value: Reject = {**record.value, "key": None, "value": None, "headers": []}
    return RejectRecord(value, record.origin)


def reason_of(error: Exception) -> RejectReason:
    """Return why a record could not be encoded: its values, or a fault of Millrace's own."""
    is_of_values = isinstance(error, ValueError | TypeError | OverflowError | struct.error)
    return RejectReason.ILL_TYPED_FIELD if is_of_values else RejectReason.INTERNAL_ERROR
