"""Confluent's wire format: a zero byte, the id of a schema in a registry, and the record.

The schema says how to go on: Avro is read with it, by Avro's rules of resolution; where it is a
JSON Schema, JSON follows.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from millrace.schemas import DefinitionError, EventSchema, RecordError, RejectReason, shipped
from millrace.schemas.codec.avro import AvroType, Decoder
from millrace.schemas.codec.parsing import MAX_SCHEMA_BYTES, load, parse_record
from millrace.schemas.codec.resolution import resolved
from millrace.schemas.codec.types import Record
from millrace.schemas.files import versions

MAGIC = 0
HEADER_SIZE_BYTES = 5
_MAX_REMEMBERED_BYTES = 16 * MAX_SCHEMA_BYTES
_ENTRY_SIZE_BYTES = 16 * 1024  # counted for each entry beside its text

T = TypeVar("T")


class RegisteredSchema(NamedTuple):
    """What a registry says of a schema id.

    Attributes
    ----------
    kind
        AVRO, JSON or PROTOBUF.
    text
        The schema.
    references
        The schemas that it refers to, each after those that it refers to itself.
    problem
        Why it cannot be used; empty where it may be.
    """

    kind: str
    text: str
    references: tuple[str, ...] = ()
    problem: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(map(len, (self.text, *self.references)))


WrittenSchema: TypeAlias = Callable[[int], RegisteredSchema]
"""Looks a schema up by its registry id; a RecordError where there is none."""


def no_registry(schema_id: int) -> RegisteredSchema:
    """Reject a record that names a schema, where no registry is configured."""
    raise RecordError(
        RejectReason.UNKNOWN_SCHEMA,
        f"the record begins with a zero byte, as Confluent's wire format does, and names schema"
        f" {schema_id}, but no schema registry is configured. Set SCHEMA_REGISTRY_URL",
    )


class Remembered(Generic[T]):
    """What was made of schemas, by key, bounded in bytes: the least recently used is forgotten."""

    def __init__(self, max_bytes: int = _MAX_REMEMBERED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._entries: OrderedDict[object, tuple[T, int]] = OrderedDict()

    def get(self, key: object) -> T | None:
        """Return what is remembered under a key."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: object, value: T, size_bytes: int) -> None:
        """Remember a value under a new key."""
        self._entries[key] = value, size_bytes + _ENTRY_SIZE_BYTES
        self._size_bytes += size_bytes + _ENTRY_SIZE_BYTES
        while self._size_bytes > self._max_bytes and len(self._entries) > 1:
            _, (_, forgotten) = self._entries.popitem(last=False)
            self._size_bytes -= forgotten


class Written(NamedTuple):
    """How a record was written.

    Attributes
    ----------
    decoder
        Reads what follows the header; None where that is JSON.
    is_label
        Whether it is a label.
    problem
        Why it cannot be read, if it cannot.
    start
        Where the record begins, behind the header.
    alike
        The header in single-object encoding of a type with the very same schema; empty where there
        is none.
    """

    decoder: Decoder | None
    is_label: bool = False
    problem: RecordError | None = None
    start: int = HEADER_SIZE_BYTES
    alike: bytes = b""


class RegisteredReader:
    """Reads records in Confluent's wire format as what they were written as, whatever that is.

    Parameters
    ----------
    written_schema
        Looks a schema up by its registry id.
    """

    def __init__(self, written_schema: WrittenSchema) -> None:
        self._written_schema = written_schema
        self._known: Remembered[Decoder | None] = Remembered()

    def read(self, data: bytes) -> Mapping[str, Any]:
        """Return what is in a record, by name; dates and times are numbers, as Avro has them.

        Raises
        ------
        RecordError
            The header is broken, its schema is unknown or cannot be used, or the rest does not fit.
        """
        schema_id = schema_id_of(data)
        decoder = self._known.get(schema_id)
        if decoder is None:
            registered = self._written_schema(schema_id)
            parsed = parsed_schema(registered)
            if parsed is None:
                return _json_object(data[HEADER_SIZE_BYTES:])
            _, written = parsed
            name = written.name.rpartition(".")[2]
            decoder = Decoder(name, resolved(written, written))
            self._known.put(schema_id, decoder, registered.size_bytes)
        found: Mapping[str, Any] = decoder.decode(data, HEADER_SIZE_BYTES)
        return found


class WireFormat:
    """Reads the headers of records in Confluent's wire format.

    Parameters
    ----------
    schema
        What events are read as.
    written_schema
        Looks a schema up by its registry id.
    """

    def __init__(self, schema: EventSchema, written_schema: WrittenSchema) -> None:
        self._schema = schema
        self._written_schema = written_schema
        self._known: Remembered[Written] = Remembered()

    def read(self, topic: str, data: bytes) -> Written:
        """Return how a record was written.

        Raises
        ------
        RecordError
            The header is broken, or its schema is unknown or cannot be used.
        """
        schema_id = schema_id_of(data)
        on_labels = topic == "labels"
        written = self._known.get((schema_id, on_labels))
        if written is None:
            registered = self._written_schema(schema_id)
            written = self._written(schema_id, registered, on_labels)
            self._known.put((schema_id, on_labels), written, registered.size_bytes)
        if written.problem is not None:
            raise RecordError(written.problem.reason, written.problem.detail)
        return written

    def known(self, topic: str, data: bytes) -> Written | None:
        """Return the same of a record whose schema has been asked for lately; else None."""
        return self._known.get((int.from_bytes(data[1:HEADER_SIZE_BYTES]), topic == "labels"))

    def _written(self, schema_id: int, registered: RegisteredSchema, on_labels: bool) -> Written:
        try:
            return self._resolved(registered, on_labels)
        except RecordError as error:
            detail = f"schema {schema_id} of the registry: {error.detail}"
            return Written(None, problem=RecordError(error.reason, detail))

    def _resolved(self, registered: RegisteredSchema, on_labels: bool) -> Written:
        parsed = parsed_schema(registered)
        if parsed is None:
            return Written(None)
        schema, written = parsed
        if on_labels or written.name.rpartition(".")[2] == "Label":
            alike = _alike(schema, versions("label"))
            return Written(shipped("label").decoder_of(written), is_label=True, alike=alike)
        own = (self._schema.as_written, self._schema.accepted)
        return Written(self._schema.accepted.decoder_of(written), alike=_alike(schema, own))


def _alike(schema: object, types: Iterable[AvroType[Mapping[str, object]]]) -> bytes:
    return next((each.header for each in types if each.schema == schema), b"")


def _json_object(data: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        must = "a record whose schema is of the kind JSON must be JSON"
        raise RecordError(RejectReason.MALFORMED, f"{must}: {data[:20]!r} ({error})") from None
    if not isinstance(document, dict):
        must = "a record whose schema is of the kind JSON must be an object"
        raise RecordError(RejectReason.WRONG_SHAPE, f"{must}; got {type(document).__name__}")
    return document


def schema_id_of(data: bytes) -> int:
    """Return the id in the header of a record.

    Raises
    ------
    RecordError
        The header is broken.
    """
    if len(data) < HEADER_SIZE_BYTES:
        raise RecordError(
            RejectReason.MALFORMED,
            f"a record in Confluent wire format starts with {HEADER_SIZE_BYTES} bytes of"
            f" header; got {data!r}",
        )
    return int.from_bytes(data[1:HEADER_SIZE_BYTES])


def parsed_schema(registered: RegisteredSchema) -> tuple[object, Record] | None:
    """Return a schema in Avro and its type; None for one of JSON.

    Raises
    ------
    RecordError
        It is neither, or cannot be used.
    """
    if registered.problem:
        raise RecordError(RejectReason.INCOMPATIBLE_SCHEMA, registered.problem)
    if registered.kind == "JSON":
        return None
    if registered.kind != "AVRO":
        kind = "Protobuf" if registered.kind == "PROTOBUF" else registered.kind
        raise RecordError(
            RejectReason.UNKNOWN_SCHEMA,
            f"it is of the kind {kind}, which is not read. Write Avro or JSON",
        )
    try:
        texts = [load(each, "another text") for each in registered.references]
        schema = load(registered.text, "another text")
        return schema, parse_record(schema, texts)
    except DefinitionError as error:
        raise RecordError(RejectReason.INCOMPATIBLE_SCHEMA, str(error)) from error
