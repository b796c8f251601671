"""The contract of an output format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

from millrace.schemas import AvroType
from millrace.schemas.codec.columns import Column
from millrace.streams.sources.confluent import WrittenSchema, no_registry

RecordType: TypeAlias = AvroType[Mapping[str, object]]


class Encoder(Protocol):
    """Writes the records of a type.

    Each method raises a ValueError, a TypeError or an OverflowError where a value is not one that
    the type can hold.
    """

    def encode(self, record: Mapping[str, object], /) -> bytes: ...

    def encode_all(self, records: Sequence[Mapping[str, object]], /) -> list[bytes]: ...

    def encode_columns(self, columns: Mapping[str, Column], count: int, /) -> list[bytes]:
        """Write so many records, whose fields are given as columns."""
        ...


class OutputSchemas(NamedTuple):
    """What a schema registry says of the schemas of outputs.

    Attributes
    ----------
    ids
        Name of an Avro type to the id under which its schema is registered; empty where nothing is
        published.
    written
        Looks up the schema that a record was written with.
    """

    ids: Mapping[str, int] = MappingProxyType({})
    written: WrittenSchema = no_registry


class Format(ABC):
    """Turns records into the bytes that users consume, and back.

    Parameters
    ----------
    schemas
        Of the registry.

    Attributes
    ----------
    name
        Value of the setting `outputs`.
    needs_registry
        Whether the schemas are registered before anything is written.
    """

    name: ClassVar[str]
    needs_registry: ClassVar[bool] = False

    def __init__(self, schemas: OutputSchemas) -> None:
        self._schemas = schemas

    @abstractmethod
    def encoder(self, avro: RecordType) -> Encoder:
        """Return what writes records of this type."""

    @abstractmethod
    def recognises(self, data: bytes) -> bool:
        """Whether the bytes are in this format, by how they start."""

    @abstractmethod
    def decode(self, avro: RecordType, data: bytes) -> Mapping[str, object]:
        """Return the record of this type that the bytes hold.

        Raises
        ------
        RecordError
            They are broken, or hold no record of the type.
        """
