"""The contract of an output format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

from millrace.schemas import AvroType

RecordType: TypeAlias = AvroType[Mapping[str, object]]
Encode: TypeAlias = Callable[[Mapping[str, object]], bytes]


class Format(ABC):
    """Turns records into the bytes that users consume, and back.

    Attributes
    ----------
    name
        Value of the setting `outputs`.
    """

    name: ClassVar[str]

    @abstractmethod
    def encoder(self, avro: RecordType) -> Encode:
        """Return the function that writes records of this type.

        The function raises a ValueError, a TypeError or an OverflowError where a value is not one
        that the type can hold.
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
