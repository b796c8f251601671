"""Labels in other people's form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from millrace.models.pipeline.record_parts import id_parts
from millrace.models.pipeline.sources import LabelSource
from millrace.models.user_code import PASSED_ON
from millrace.schemas import RecordError, RejectReason
from millrace.schemas.paths import at, has
from millrace.schemas.records import Fields
from millrace.streams.sources.confluent import MAGIC
from millrace.streams.sources.decoder import label_from_json
from millrace.streams.sources.envelopes import RowData
from millrace.streams.sources.errors import SourceError
from millrace.streams.sources.message import Message
from millrace.streams.sources.parts import Parts
from millrace.streams.sources.values import time_of

_MAGIC = bytes([MAGIC])
_NUMBERS = (bool, int, float)


class LabelReader:
    """Reads the labels of a source.

    Parameters
    ----------
    source
        Where they are in its records.
    parts
        Reads parts of records.
    is_beside_events
        Whether its records are events, too: one that lacks the label's field is no label then.
    """

    def __init__(self, source: LabelSource, parts: Parts, is_beside_events: bool = False) -> None:
        self._source = source
        self._is_beside_events = is_beside_events
        self._reader = parts.reader
        self._kinds = {(type(each) is bool, each) for each in source.values or ()}
        self._event_id = parts.reading_id(id_parts(source.event_id))
        self._time, self._key = (
            None if each is None else parts.reading(each) for each in (source.time, source.key)
        )

    def read(self, row: RowData | None, message: Message) -> Fields | None:
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
        document = _object(row)
        label = self._label(document)
        if label is None:
            return None
        time = None if self._time is None else time_of(self._time(document, message))
        key = None if self._key is None else self._key(document, message)
        return label_from_json(
            {
                "event_id": self._event_id(document, message),
                "label": label,
                "label_time_ms": time,
                "key": key,
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
        if values is None or (found is None and None not in values):
            return found
        if found is None and isinstance(label, str) and not has(document, label):
            if self._is_beside_events:
                return None
            must = f"the record must have the field {label!r} (label), be it null"
            raise RecordError(RejectReason.MISSING_FIELD, f"{must}; got {[*document]}")
        try:
            if not self._is_alike(found):
                return values[found]
        except (KeyError, TypeError):
            pass
        must = f"what stands for a label must be one of {[*values]} (values)"
        raise RecordError(RejectReason.UNKNOWN_CLASS, f"{must}; got {found!r}")

    def _is_alike(self, found: object) -> bool:
        """Whether something is true or 1, where the other one, which equals it, is a value."""
        kind = type(found)
        return kind in _NUMBERS and (kind is not bool, found) in self._kinds


def _object(row: RowData | None) -> Mapping[str, Any]:
    if row is None or row == b"":
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
