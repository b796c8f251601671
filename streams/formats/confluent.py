"""Confluent's wire format: Avro for whoever asks a schema registry what a record is.

A zero byte, the id of the schema in the registry (4 bytes, big-endian), and the Avro binary body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.schemas import RecordError, RejectReason
from millrace.schemas.codec.avro import HEADER_SIZE_BYTES as AVRO_HEADER_SIZE_BYTES
from millrace.schemas.codec.avro import Decoder
from millrace.schemas.codec.columns import Column
from millrace.streams.formats.base import Encoder, Format, OutputSchemas, RecordType
from millrace.streams.sources.confluent import (
    HEADER_SIZE_BYTES,
    MAGIC,
    Remembered,
    parsed_schema,
    schema_id_of,
)

_NO_ID = 0  # where nothing is published, as when sizes are measured


class ConfluentFormat(Format):
    name = "confluent"
    needs_registry = True

    def __init__(self, schemas: OutputSchemas) -> None:
        super().__init__(schemas)
        self._others: Remembered[Decoder] = Remembered()

    def encoder(self, avro: RecordType) -> Encoder:
        return _FramedEncoder(avro, self._schemas.ids.get(avro.name, _NO_ID))

    def recognises(self, data: bytes) -> bool:
        return data[:1] == bytes([MAGIC])

    def decode(self, avro: RecordType, data: bytes) -> Mapping[str, object]:
        schema_id = schema_id_of(data)
        is_own = schema_id == self._schemas.ids.get(avro.name)
        decoder = avro.decoders[avro.header] if is_own else self._other(avro, schema_id)
        record: Mapping[str, object] = decoder.decode(data, HEADER_SIZE_BYTES)
        return record

    def _other(self, avro: RecordType, schema_id: int) -> Decoder:
        """Return what reads the records of another release."""
        decoder = self._others.get((avro.name, schema_id))
        if decoder is None:
            registered = self._schemas.written(schema_id)
            parsed = parsed_schema(registered)
            if parsed is None:
                raise RecordError(
                    RejectReason.INCOMPATIBLE_SCHEMA, f"schema {schema_id} is JSON, and not Avro"
                )
            decoder = avro.decoder_of(parsed[1])
            self._others.put((avro.name, schema_id), decoder, registered.size_bytes)
        return decoder


class _FramedEncoder:
    """Writes Avro behind an id, where single-object encoding has a fingerprint."""

    def __init__(self, avro: RecordType, schema_id: int) -> None:
        self._avro = avro
        self._header = bytes([MAGIC]) + schema_id.to_bytes(HEADER_SIZE_BYTES - 1)

    def encode(self, record: Mapping[str, object]) -> bytes:
        return self._header + self._avro.encode(record)[AVRO_HEADER_SIZE_BYTES:]

    def encode_all(self, records: Sequence[Mapping[str, object]]) -> list[bytes]:
        return self._framed(self._avro.encode_all(records))

    def encode_columns(self, columns: Mapping[str, Column], count: int) -> list[bytes]:
        return self._framed(self._avro.encode_columns(columns, count))

    def _framed(self, written: Sequence[bytes]) -> list[bytes]:
        header = self._header
        return [header + each[AVRO_HEADER_SIZE_BYTES:] for each in written]
