"""Records that code of the user's own decodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.models.pipeline.sources import Decode
from millrace.models.user_code import PASSED_ON
from millrace.schemas import RecordError, RejectReason
from millrace.streams.sources.confluent import RegisteredReader
from millrace.streams.sources.envelopes.base import Envelope, Headers, Opened, Says
from millrace.streams.sources.errors import SourceError


class UserDecoded(Envelope):
    """Calls the `decode` of a source.

    Parameters
    ----------
    decode
        Of the source.
    reader
        See `Envelope`.
    """

    name = "decode"
    may_be_empty = True

    def __init__(self, decode: Decode, reader: RegisteredReader) -> None:
        super().__init__(reader)
        self._decode = decode

    def open(self, value: bytes, headers: Headers) -> Opened:
        try:
            row = self._decode(value, dict(headers))
        except PASSED_ON:
            raise
        except BaseException as error:  # the user's code may raise anything
            raise SourceError(error) from error
        if row is None:
            return Opened(Says.NOTHING, None)
        if not isinstance(row, Mapping):
            raise RecordError(
                RejectReason.WRONG_SHAPE,
                f"decode must return a dictionary, or None; got {type(row).__name__}",
            )
        return Opened(Says.IS, row)

    def rows(
        self, values: Sequence[bytes | None], _headers: Sequence[Headers]
    ) -> list[bytes | None]:
        return [None] * len(values)
