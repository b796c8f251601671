"""What every envelope is: a form in which others wrap the record that counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple, TypeAlias

from millrace.schemas import EventSchema
from millrace.streams.sources.confluent import RegisteredReader

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
"""Of a Kafka record: names and values, in their order."""

RowData: TypeAlias = bytes | Mapping[str, Any]
"""A row: bytes in one of the forms that plain records have, or a dictionary, as JSON has it."""


class Says(Enum):
    """What a record says of the row in it."""

    IS = "is"
    """There is such a row: it is new, or was there before (a snapshot)."""

    CHANGED = "changed"
    GONE = "gone"
    NOTHING = "nothing"
    """The record is of something else."""


class Opened(NamedTuple):
    """What is in an envelope.

    Attributes
    ----------
    says
        What it says of the row.
    row
        The row, in one of the forms that plain records have, or as a dictionary; of one that is
        gone as it was. None where it is not there.
    """

    says: Says
    row: RowData | None


class Envelope(ABC):
    """A form of records.

    Parameters
    ----------
    reader
        Reads what is in Confluent's wire format.
    schema
        What the rows are read as, if they are events.

    Attributes
    ----------
    name
        What it is called in a `Source`.
    has_tombstones
        Whether a record without a value says that a row is gone, which is the one of its key.
    may_be_empty
        Whether no bytes at all can be a record.
    """

    name: ClassVar[str]
    has_tombstones: ClassVar[bool] = False
    may_be_empty: ClassVar[bool] = False

    def __init__(self, reader: RegisteredReader, schema: EventSchema | None = None) -> None:
        self._reader = reader
        self._schema = schema

    @abstractmethod
    def open(self, value: bytes, headers: Headers) -> Opened:
        """Return what is in a record.

        Raises
        ------
        RecordError
            It is not in this form.
        SourceError
            The user's code raised an error.
        """

    @abstractmethod
    def rows(
        self, values: Sequence[bytes | None], headers: Sequence[Headers]
    ) -> list[bytes | None]:
        """Return the rows of many records, as they are; None for each to be opened by itself."""

    def attributes(self, value: bytes, headers: Headers) -> Mapping[str, Any]:  # noqa: ARG002
        """Return what a record that can be opened says beside the row, by name."""
        return {}

    def key(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the key of a record, an object, as it is meant."""
        return document

    def decimals(self, value: bytes) -> Collection[str]:  # noqa: ARG002
        """Return the fields of a row that are decimals in base64, by the record's own schema."""
        return ()
