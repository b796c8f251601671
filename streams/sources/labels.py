"""Labels in other people's form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from millrace.models.pipeline.paths import at
from millrace.models.pipeline.sources import LabelSource
from millrace.models.user_code import PASSED_ON
from millrace.schemas import RecordError, RejectReason
from millrace.schemas.records import Fields
from millrace.streams.sources.confluent import MAGIC, RegisteredReader
from millrace.streams.sources.decoder import label_from_json
from millrace.streams.sources.envelopes import RowData
from millrace.streams.sources.errors import SourceError

_MAGIC = bytes([MAGIC])


class LabelReader:
    """Reads the labels of a source.

    Parameters
    ----------
    source
        Where they are in its records.
    reader
        Reads what is in Confluent's wire format.
    """

    def __init__(self, source: LabelSource, reader: RegisteredReader) -> None:
        self._source = source
        self._reader = reader

    def read(self, row: RowData | None) -> Fields | None:
        """Return a label as one on the topic `labels`; None where the row says nothing.

        Raises
        ------
        RecordError
            It is no label.
        SourceError
            The user's code raised an error.
        """
        if isinstance(row, bytes) and row[:1] == _MAGIC:
            row = self._reader.read(row)
        document, source = _object(row), self._source
        label = self._label(document)
        if label is None:
            return None
        return label_from_json(
            {
                "event_id": at(document, source.event_id),
                "label": label,
                "label_time_ms": None if source.time is None else at(document, source.time),
                "key": None if source.key is None else at(document, source.key),
            }
        )

    def _label(self, document: Mapping[str, Any]) -> Any:
        label, values = self._source.label, self._source.values
        if isinstance(label, str):
            found = at(document, label)
        else:
            try:
                found = label(document)
            except PASSED_ON:
                raise
            except BaseException as error:  # the user's code may raise anything
                raise SourceError(error) from error
        if values is None or found is None:
            return found
        try:
            return values[found]
        except (KeyError, TypeError):
            must = f"what stands for a label must be one of {[*values]} (values)"
            raise RecordError(RejectReason.UNKNOWN_CLASS, f"{must}; got {found!r}") from None


def _object(row: RowData | None) -> Mapping[str, Any]:
    if not row:
        raise RecordError(RejectReason.EMPTY, "the record has no value")
    if not isinstance(row, bytes):
        return row
    try:
        document = json.loads(row)
    except (ValueError, RecursionError) as error:
        must = "a label of a source must be JSON, or Avro in Confluent's wire format"
        raise RecordError(RejectReason.MALFORMED, f"{must}: {row[:20]!r} ({error})") from None
    if not isinstance(document, dict):
        must = "a label of a source must be an object"
        raise RecordError(RejectReason.WRONG_SHAPE, f"{must}; got {type(document).__name__}")
    return document
