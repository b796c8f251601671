"""The contract of an output format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeAlias

from millrace.schemas import AvroType

RecordType: TypeAlias = AvroType[Mapping[str, object]]


class Format(ABC):
    """Turns records into the bytes that users consume, and back.

    Attributes
    ----------
    name
        Value of the setting `outputs`.
    """

    name: ClassVar[str]

    @abstractmethod
    def encode(self, avro: RecordType, record: Mapping[str, object]) -> bytes:
        """Return the bytes of a record of this type.

        Raises
        ------
        ValueError, TypeError, OverflowError
            A value is not one that the type can hold.
        """

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
