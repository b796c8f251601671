"""Avro in and out: single-object encoding, the form of every record that Millrace writes.

A record is two marker bytes, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian) and
the Avro binary body: Avro 1.12 specification, "Single-object encoding". So a topic can carry
several types and several versions of each, and a reader knows which one it has.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

from millrace.schemas.codec.canonical import fingerprint_of
from millrace.schemas.codec.columns import (
    FEW,
    Column,
    columns_of,
    field_writers,
    records_of,
    write_fields,
)
from millrace.schemas.codec.encoding import encoder
from millrace.schemas.codec.parsing import parse_record
from millrace.schemas.codec.reader import Read, record_reader
from millrace.schemas.codec.reading import IncompatibleError
from millrace.schemas.codec.resolution import resolved
from millrace.schemas.codec.rows import joined
from millrace.schemas.codec.slices import Parts, ReadRows, Row, row_reader
from millrace.schemas.codec.types import MAX_DEPTH, Moment, Record, Type, branches_of
from millrace.schemas.codec.writer import record_writer
from millrace.schemas.errors import RecordError
from millrace.schemas.records import Fields, RejectReason

Schema: TypeAlias = dict[str, object]
"""An Avro schema as parsed JSON."""

R_co = TypeVar("R_co", bound=Mapping[str, object], covariant=True)

MARKER = b"\xc3\x01"
HEADER_SIZE_BYTES = len(MARKER) + 8


class ReadBack(dict[str, object]):
    """A record that another schema wrote, perhaps a later one.

    It may hold values that its type does not have: null in a field that is never null, or text
    among numbers.
    """


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
        except IncompatibleError as error:
            raise _incompatible(self.name, error) from error
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
    others
        Versions of it that may also be later ones, oldest first: of several with one fingerprint,
        the first counts. A record of one that cannot be read is refused when it comes.
    levels
        How deep the schema, and a record, may be nested.

    Raises
    ------
    DefinitionError
        The schema is not a valid Avro record schema.
    """

    def __init__(
        self,
        schema: Schema,
        earlier: Iterable[Schema] = (),
        *,
        others: Iterable[Schema] = (),
        levels: int = MAX_DEPTH,
    ) -> None:
        self._levels = levels
        self.type = parse_record(schema, levels=levels)
        self.schema = schema
        self.fields = cast("list[Schema]", schema["fields"])
        self.name = self.type.name.rpartition(".")[2]
        self.header = _header(schema)
        self.decoders = Decoders()
        for each in others:
            if (header := _header(each)) not in self.decoders:
                written = parse_record(each, levels=levels)
                self.decoders[header] = self._decoder_back(written)
        for each in earlier:
            written = parse_record(each, levels=levels)
            self.decoders[_header(each)] = self.decoder_of(written)
        read = record_reader(self.type) or resolved(self.type, self.type, levels)
        self.decoders[self.header] = Decoder(self.name, read)
        self._encode_any = encoder(self.type)
        self._has_times = any(isinstance(each, Moment) for each in self._types())
        self._write = record_writer(self.type, self.header) or self._encode_slowly
        self._field_writers = field_writers(self.type)

    def encode(self, record: Mapping[str, object]) -> bytes:
        """Return `record` in single-object encoding."""
        try:
            return self._write(record)
        except KeyError:  # a missing field has its default
            return self._encode_slowly(record)
        except TypeError:
            if not self._has_times:
                raise
            return self._encode_slowly(record)  # which knows dates and times of Python

    def encode_all(self, records: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Return what `encode` returns for each record, faster.

        Where one raises an error, so does this; the error need not be the same.
        """
        if len(records) < 2 * FEW or not self._field_writers:  # columns must be made first
            return [*map(self.encode, records)]
        return self._join(columns_of(records, self._field_writers), len(records))

    def encode_columns(self, columns: Mapping[str, Column], count: int) -> list[bytes]:
        """Return what `encode_all` returns for so many records, whose fields are columns."""
        if count < FEW or not self._field_writers:
            return [*map(self.encode, records_of(columns))]
        return self._join(columns, count)

    def _join(self, columns: Mapping[str, Column], count: int) -> list[bytes]:
        return joined([self.header, *write_fields(self._field_writers, columns)], count)

    def _types(self) -> Iterable[Type]:
        return chain.from_iterable(map(branches_of, self.type.fields.values()))

    def _encode_slowly(self, record: Mapping[str, object]) -> bytes:
        return self.header + self._encode_any(record)

    def decode(self, data: bytes) -> R_co:
        """Return the record that `data` holds in single-object encoding.

        Raises
        ------
        RecordError
            Not in single-object encoding, of another type, or broken.
        """
        record: R_co = self.decoders[data[:HEADER_SIZE_BYTES]].decode(data)
        return record

    def decoder_of(self, written: Record) -> Decoder:
        """Return what decodes the bytes of another schema into records of this type.

        Raises
        ------
        RecordError
            The schemas are not compatible by Avro's rules.
        """
        try:
            return Decoder(self.name, resolved(written, self.type, self._levels))
        except IncompatibleError as error:
            raise _incompatible(self.name, error) from error

    def _decoder_back(self, written: Record) -> Decoder:
        """Return the same where the other schema may be a later one."""
        try:
            read = resolved(written, self.type, self._levels, back=True)
        except IncompatibleError as error:
            return Decoder(self.name, _refusing(error))

        def read_back(data: bytes, at: int) -> tuple[object, int]:
            record, at = read(data, at)
            return ReadBack(cast("Fields", record)), at

        return Decoder(self.name, read_back)


class Codec:
    """Encodes and decodes the records of a set of types.

    Parameters
    ----------
    types
        Every type that may be met. A later type with the fingerprint of an earlier one wins.
    """

    def __init__(self, types: Iterable[AvroType[Mapping[str, object]]]) -> None:
        self._by_name: dict[str, AvroType[Mapping[str, object]]] = {}
        self._by_header: dict[bytes, AvroType[Mapping[str, object]]] = {}
        self._decoders = Decoders()
        for each in types:
            self._by_name[each.name] = each
            self._by_header[each.header] = each
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

    def row_reader(
        self,
        parts: Mapping[str, Parts],
        finite: Collection[str | None] = (),
        max_bytes: int = sys.maxsize,
    ) -> ReadRows:
        """Return the function that decodes many records in one loop; see `codec.slices`.

        Parameters
        ----------
        parts
            Name of a type to the parts of its rows.
        finite, max_bytes
            As there.
        """
        rows = {
            header: Row(each.name, each.type, parts.get(each.name, Parts()))
            for header, each in self._by_header.items()
        }
        return row_reader(rows, finite, max_bytes)


def _header(schema: Schema) -> bytes:
    return MARKER + fingerprint_of(schema)


def _refusing(error: IncompatibleError) -> Read:
    """Return what refuses each record."""
    message = str(error)

    def read(_data: bytes, _at: int) -> tuple[object, int]:
        raise IncompatibleError(message)

    return read


def _incompatible(name: str, error: IncompatibleError) -> RecordError:
    return RecordError(
        RejectReason.INCOMPATIBLE_SCHEMA,
        f"the schema that the record was written with cannot be read as {name}: {error}",
    )
