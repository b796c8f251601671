"""Avro in single-object encoding: what every topic of Millrace holds by default."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.schemas.codec.avro import MARKER
from millrace.streams.formats.base import Encoder, Format, RecordType


class AvroFormat(Format):
    name = "avro"

    def encoder(self, avro: RecordType) -> Encoder:
        return avro

    def recognises(self, data: bytes) -> bool:
        return data.startswith(MARKER)

    def decode(self, avro: RecordType, data: bytes) -> Mapping[str, object]:
        return avro.decode(data)
