"""Avro in and out: single-object encoding, the form of every record that Millrace writes.

A record is two marker bytes, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian) and
the Avro binary body: Avro 1.12 specification, "Single-object encoding". So a topic can carry
several types and several versions of each, and a reader knows which one it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from io import BytesIO
from reprlib import repr as shortened
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import fastavro
from fastavro.schema import SchemaParseException, fingerprint, to_parsing_canonical_form
from fastavro.types import Schema as Parsed

from millrace.schemas.codec.reader import Read, record_reader
from millrace.schemas.codec.writer import record_writer
from millrace.schemas.errors import DefinitionError, RecordError
from millrace.schemas.records import Fields, RejectReason

Schema: TypeAlias = dict[str, object]
"""An Avro schema as parsed JSON."""

R_co = TypeVar("R_co", bound=Mapping[str, object], covariant=True)

MARKER = b"\xc3\x01"
HEADER_SIZE_BYTES = len(MARKER) + 8

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Decoder(NamedTuple):
    """Decodes what one schema wrote into the record type `name`."""

    name: str
    read: Read

    def decode(self, data: bytes, start: int = HEADER_SIZE_BYTES) -> Any:
        """Return the record whose Avro binary begins at `data[start]` and ends with the data.

        Raises
        ------
        RecordError
            The bytes end early, run on, or do not fit the schema.
        """
        try:
            record, end = self.read(data, start)
        except MemoryError:  # no fault of the record
            raise
        except Exception as error:
            raise RecordError(
                RejectReason.MALFORMED, f"could not decode the bytes as {self.name}: {error!r}"
            ) from error
        if end != len(data):
            raise RecordError(
                RejectReason.MALFORMED, f"{self.name} ends at byte {end} of {len(data)}"
            )
        return record


class Decoders(dict[bytes, Decoder]):
    """Header to the decoder of what follows it; an unknown header is a `RecordError`."""

    def __missing__(self, header: bytes) -> Decoder:
        if len(header) < HEADER_SIZE_BYTES or not header.startswith(MARKER):
            raise RecordError(
                RejectReason.MALFORMED,
                f"the record is not in Avro single-object encoding: it begins with {header!r}",
            )
        raise RecordError(
            RejectReason.UNKNOWN_SCHEMA,
            f"the record's schema is unknown: its fingerprint is {header[len(MARKER) :].hex()}",
        )


class AvroType(Generic[R_co]):
    """One record schema, compiled, with its single-object header.

    Parameters
    ----------
    schema
        An Avro schema of type record.
    earlier
        Earlier versions of it, whose records are read as records of this one.

    Raises
    ------
    DefinitionError
        The schema is not a valid Avro record schema.
    """

    def __init__(self, schema: Schema, earlier: Iterable[Schema] = ()) -> None:
        self.fields = record_fields(schema)
        self._parsed = _parsed(schema)
        self.schema = schema
        self.name = str(schema["name"]).rpartition(".")[2]
        self.header = _header(self._parsed)
        self.decoders = Decoders(
            (_header(written), self._resolving(written)) for written in map(_parsed, earlier)
        )
        read = record_reader(schema) or partial(_read, self._parsed, None)
        self.decoders[self.header] = Decoder(self.name, read)
        self._write = record_writer(schema, self.header) or self._encode_slowly

    def encode(self, record: Mapping[str, object]) -> bytes:
        """Return `record` in single-object encoding."""
        try:
            return self._write(record)
        except KeyError:  # a missing field: fastavro writes its default
            return self._encode_slowly(record)

    def _encode_slowly(self, record: Mapping[str, object]) -> bytes:
        buffer = BytesIO()
        buffer.write(self.header)
        fastavro.schemaless_writer(buffer, self._parsed, record)
        return buffer.getvalue()

    def decode(self, data: bytes) -> R_co:
        """Return the record that `data` holds in single-object encoding.

        Raises
        ------
        RecordError
            Not in single-object encoding, of another type, or broken.
        """
        record: R_co = self.decoders[data[:HEADER_SIZE_BYTES]].decode(data)
        return record

    def read_as(self, body: bytes, written: Schema) -> R_co:
        """Return the record of this type that `body`, written with another schema, stands for.

        Raises
        ------
        RecordError
            The bytes are broken, or the schemas are not compatible by Avro's rules.
        """
        record: R_co = self._resolving(without_logical_types(written)).decode(body, 0)
        return record

    def _resolving(self, written: Parsed) -> Decoder:
        return Decoder(self.name, partial(_read, written, self._parsed))


class Codec:
    """Encodes and decodes the records of a set of types.

    Parameters
    ----------
    types
        Every type that may be met. A later type with the fingerprint of an earlier one wins.
    """

    def __init__(self, types: Iterable[AvroType[Mapping[str, object]]]) -> None:
        self._by_name: dict[str, AvroType[Mapping[str, object]]] = {}
        self._decoders = Decoders()
        for each in types:
            self._by_name[each.name] = each
            self._decoders |= each.decoders

    def encode(self, name: str, record: Mapping[str, object]) -> bytes:
        """Return a record of type `name` in single-object encoding."""
        return self._by_name[name].encode(record)

    def decode(self, data: bytes) -> tuple[str, Fields]:
        """Return the type's name and the record.

        Raises
        ------
        RecordError
            Not in single-object encoding, of an unknown type, or broken.
        """
        decoder = self._decoders[data[:HEADER_SIZE_BYTES]]
        return decoder.name, decoder.decode(data)


def without_logical_types(schema: Schema) -> Schema:
    """Copy a schema so that times and ids are read as the numbers and text that they are.

    Decimals stay: without their logical type, their bytes mean nothing.
    """
    copy = {name: _without_logical_types(each) for name, each in schema.items()}
    if copy.get("logicalType") not in (None, "decimal"):
        del copy["logicalType"]
    return copy


def _without_logical_types(declared: object) -> object:
    if isinstance(declared, list):
        return [_without_logical_types(each) for each in declared]
    return without_logical_types(declared) if isinstance(declared, dict) else declared


def record_fields(schema: Schema) -> list[Schema]:
    """Return the fields of a record schema.

    Raises
    ------
    DefinitionError
        It is no record, or its fields are not what fastavro takes for granted.
    """
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise DefinitionError(f"schema must be an Avro record; got {shortened(schema)}")
    fields = schema.get("fields")
    if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
        raise DefinitionError(
            f"the schema's fields must be a list of objects; got {shortened(fields)}"
        )
    names = [each.get("name") for each in fields]
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DefinitionError(
                "a field's name must be of letters, digits and '_', and not begin with a digit;"
                f" got {name!r}"
            )
        if names.count(name) > 1:
            raise DefinitionError(f"a field's name must be unique; got {name!r} twice")
    return fields


def _parsed(schema: Schema) -> Parsed:
    try:
        return fastavro.parse_schema(schema, _force=True)
    except (SchemaParseException, ValueError, KeyError, TypeError) as error:
        raise DefinitionError(
            f"schema {schema.get('name')!r} must be valid Avro; got {error!r}"
        ) from error


def _header(schema: Parsed) -> bytes:
    return MARKER + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def _read(written: Parsed, wanted: Parsed | None, data: bytes, start: int) -> tuple[object, int]:
    buffer = BytesIO(data)
    buffer.seek(start)
    record = fastavro.schemaless_reader(buffer, written, wanted)
    return record, buffer.tell()
