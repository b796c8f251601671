"""The contract of an output format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, TypeAlias

from millrace.schemas import AvroType
from millrace.schemas.codec.columns import Column

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


class Format(ABC):
    """Turns records into the bytes that users consume, and back.

    Attributes
    ----------
    name
        Value of the setting `outputs`.
    """

    name: ClassVar[str]

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
            They are broken.
        """
