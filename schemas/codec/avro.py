"""Avro in and out: single-object encoding, the form of every record that Millrace writes.

A record is two marker bytes, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian) and
the Avro binary body: Avro 1.12 specification, "Single-object encoding". A topic can so carry
more than one type, and a reader knows which one it holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import fastavro
from fastavro.schema import SchemaParseException, fingerprint, to_parsing_canonical_form

from millrace.schemas.codec.reader import reader
from millrace.schemas.codec.writer import record_writer
from millrace.schemas.errors import DefinitionError, RecordError
from millrace.schemas.records import RejectReason

Schema: TypeAlias = dict[str, Any]

MARKER = b"\xc3\x01"
HEADER_SIZE_BYTES = len(MARKER) + 8

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FOLDER = Path(__file__).parents[1]


class AvroType:
    """One record schema, compiled, with its single-object header.

    Parameters
    ----------
    schema
        An Avro schema of type record, as parsed JSON.

    Raises
    ------
    DefinitionError
        The schema is not a valid Avro record schema.
    """

    def __init__(self, schema: Schema) -> None:
        _check_record(schema)
        try:
            self._parsed = fastavro.parse_schema(schema, _force=True)
        except (SchemaParseException, ValueError, KeyError, TypeError) as error:
            raise DefinitionError(
                f"schema {schema.get('name')!r} requires valid Avro; got {error!r}"
            ) from error
        canonical = to_parsing_canonical_form(schema)
        self.schema = schema
        self.name: str = str(schema["name"]).rpartition(".")[2]
        self.header = MARKER + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))
        self._write = record_writer(schema)
        self._read = reader(schema)

    def encode(self, record: Any) -> bytes:
        """Return `record` in single-object encoding."""
        if self._write is None:
            return self._encode_slowly(record)
        try:
            return self._write(self.header, record)
        except KeyError:  # a field that is not there: fastavro knows its default
            return self._encode_slowly(record)

    def _encode_slowly(self, record: Any) -> bytes:
        buffer = BytesIO()
        buffer.write(self.header)
        fastavro.schemaless_writer(buffer, self._parsed, record)
        return buffer.getvalue()

    def decode_body(self, data: bytes, start: int = HEADER_SIZE_BYTES) -> Any:
        """Return the record whose Avro binary begins at `data[start]`.

        Raises
        ------
        RecordError
            The bytes end early, run on, or do not fit the schema.
        """
        try:
            if self._read is None:
                record, end = _read(data, start, self._parsed)
            else:
                record, end = self._read(data, start)
        except Exception as error:
            raise self._broken(error) from error
        self._check_end(end, data)
        return record

    def read_as(self, body: bytes, written: Schema) -> Any:
        """Return the record of this type that `body`, written with another version, stands for.

        Raises
        ------
        RecordError
            The bytes are broken, or the versions are not compatible by Avro's rules.
        """
        try:
            record, end = _read(body, 0, without_logical_types(written), self._parsed)
        except Exception as error:
            raise self._broken(error) from error
        self._check_end(end, body)
        return record

    def _broken(self, error: Exception) -> RecordError:
        """Return the error that stands for whatever broken bytes have led a reader into."""
        return RecordError(
            RejectReason.MALFORMED, f"{self.name} requires readable Avro; got {error!r}"
        )

    def _check_end(self, end: int, data: bytes) -> None:
        if end != len(data):
            raise RecordError(
                RejectReason.MALFORMED, f"{self.name} requires {end} bytes; got {len(data)}"
            )


def _read(data: bytes, start: int, writer: Any, reader: Any = None) -> tuple[Any, int]:
    buffer = BytesIO(data)
    buffer.seek(start)
    record = fastavro.schemaless_reader(buffer, writer, reader)
    return record, buffer.tell()


class Codec:
    """Encodes and decodes the records of a set of types.

    Parameters
    ----------
    types
        Every type that may be met. A later type with the fingerprint of an earlier one wins.
    """

    def __init__(self, types: Iterable[AvroType]) -> None:
        by_header = {each.header: each for each in types}
        self._by_header = by_header
        self._by_name = {each.name: each for each in by_header.values()}

    def encode(self, name: str, record: Any) -> bytes:
        """Return a record of type `name` in single-object encoding."""
        return self._by_name[name].encode(record)

    def decode(self, data: bytes) -> tuple[str, Any]:
        """Return the type's name and the record.

        Raises
        ------
        RecordError
            Not in single-object encoding, of an unknown type, or broken.
        """
        known = self._by_header.get(data[:HEADER_SIZE_BYTES])
        if known is None:
            raise _unknown(data)
        return known.name, known.decode_body(data)


def without_logical_types(declared: Any) -> Any:
    """Copy a schema so that times and ids are read as the numbers and text that they are.

    Decimals stay: their bytes mean nothing without.
    """
    if isinstance(declared, list):
        return [without_logical_types(each) for each in declared]
    if not isinstance(declared, dict):
        return declared
    copy = {name: without_logical_types(each) for name, each in declared.items()}
    if copy.get("logicalType") not in (None, "decimal"):
        del copy["logicalType"]
    return copy


def _check_record(schema: object) -> None:
    """Refuse what fastavro lets through and other Avro libraries do not read."""
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise DefinitionError(f"an event schema requires an Avro record; got {schema!r}")
    fields = schema.get("fields")
    if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
        raise DefinitionError(f"schema requires a list of fields; got {fields!r}")
    names = [each.get("name") for each in fields]
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DefinitionError(
                f"schema requires field names of letters, digits and '_'; got {name!r}"
            )
        if names.count(name) > 1:
            raise DefinitionError(f"schema requires each field once; got {name!r} again")


def _unknown(data: bytes) -> RecordError:
    if not data.startswith(MARKER) or len(data) < HEADER_SIZE_BYTES:
        return RecordError(
            RejectReason.MALFORMED,
            f"a record requires Avro single-object encoding; got {data[:HEADER_SIZE_BYTES]!r}",
        )
    return RecordError(
        RejectReason.UNKNOWN_SCHEMA,
        f"a record requires a known schema; got fingerprint {data[2:HEADER_SIZE_BYTES].hex()}",
    )


@cache
def shipped(name: str) -> AvroType:
    """Return the type that `schemas/<name>.avsc` describes."""
    return AvroType(json.loads((_FOLDER / f"{name}.avsc").read_text()))
