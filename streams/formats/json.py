"""JSON: one object a record, for whoever reads topics without Avro."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence

import msgspec

from millrace.schemas import RecordError, RejectReason
from millrace.schemas.codec.columns import Column, records_of
from millrace.streams.formats.base import Encoder, Format, RecordType
from millrace.streams.formats.shape import check_shape

_write = msgspec.json.Encoder().encode


class JsonFormat(Format):
    name = "json"

    def encoder(self, avro: RecordType) -> Encoder:  # noqa: ARG002 - JSON writes any
        return _JsonEncoder()

    def recognises(self, data: bytes) -> bool:
        return data.startswith(b"{")

    def decode(self, avro: RecordType, data: bytes) -> Mapping[str, object]:
        try:
            record: Mapping[str, object] = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RecordError(
                RejectReason.MALFORMED, f"{avro.name} is not readable JSON: {error}"
            ) from None
        check_shape(avro, record)
        return record


class _JsonEncoder:
    """Writes what `to_json` says, without spaces."""

    def encode(self, record: Mapping[str, object]) -> bytes:
        try:
            return _write(record)
        except TypeError:  # numbers of numpy, for example
            return to_json(record).encode()

    def encode_all(self, records: Sequence[Mapping[str, object]]) -> list[bytes]:
        return [*map(self.encode, records)]

    def encode_columns(self, columns: Mapping[str, Column], _count: int) -> list[bytes]:
        return self.encode_all(records_of(columns))


def to_json(value: object, indent: int | None = None) -> str:
    """Return a value as JSON. Bytes become text in base64; NaN and infinity, null.

    Examples
    --------
    >>> to_json({"value": float("nan"), "key": b"?"})
    '{"value": null, "key": "Pw=="}'
    """
    try:
        return _dumped(value, indent)
    except ValueError:  # JSON has no NaN and no infinity
        return _dumped(_finite(value), indent)


def _dumped(value: object, indent: int | None) -> str:
    return json.dumps(value, default=_text, ensure_ascii=False, allow_nan=False, indent=indent)


def _finite(value: object) -> object:
    """Copy a value with null for the numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
