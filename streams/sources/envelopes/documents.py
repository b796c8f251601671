"""JSON documents around a row: what they say is read, and the row is left as it is.

The row stays bytes: the reader of plain records reads it, once.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Generic, TypeVar

import msgspec

from millrace.schemas import RecordError, RejectReason

T = TypeVar("T", bound=msgspec.Struct)

ABSENT = msgspec.Raw(b"null")
"""A part of a document that is not there, or null."""


class Documents(Generic[T]):
    """Reads documents of one type.

    Parameters
    ----------
    called
        What they are, for people.
    type_
        What is read of them.
    """

    def __init__(self, called: str, type_: type[T]) -> None:
        self._called = called
        self.decode = msgspec.json.Decoder(type_).decode
        """Return what a document says; raise an error of msgspec's where it is none."""

    def read(self, value: bytes) -> T:
        """Return what a document says.

        Raises
        ------
        RecordError
            It is none.
        """
        try:
            return self.decode(value.removeprefix(BOM_UTF8))
        except msgspec.ValidationError as error:
            raise self._error(RejectReason.WRONG_SHAPE, error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._error(RejectReason.MALFORMED, error) from None

    def _error(self, reason: RejectReason, error: Exception) -> RecordError:
        return RecordError(reason, f"the record must be {self._called}; {error}")


def row_of(part: msgspec.Raw) -> bytes | None:
    """Return a part of a document as it is written there; None where it is absent.

    A row is never text: where there is text (of MongoDB, or as data of CloudEvents), that has it.
    """
    if part == ABSENT:
        return None
    row = bytes(part)
    return msgspec.json.decode(row, type=str).encode() if row.startswith(b'"') else row
