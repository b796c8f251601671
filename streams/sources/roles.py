"""The id, the key, the label and the time of an event, wherever its record has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import (
    MessageKey,
    PayloadHash,
    TopicPartitionOffset,
    id_parts,
    is_at_the_top,
)
from millrace.schemas.paths import getter, take
from millrace.schemas.records import Fields
from millrace.streams.sources.ids import IdTexts
from millrace.streams.sources.message import Message
from millrace.streams.sources.parts import Parts
from millrace.streams.sources.values import key_of, time_of

_OF_ONE_RECORD = (PayloadHash, TopicPartitionOffset)


class Roles:
    """Reads what a pipeline needs of an event beside its features.

    Parameters
    ----------
    pipeline
        The definition.
    parts
        Reads parts of records.
    finite
        Fields in which a number must be finite.

    Attributes
    ----------
    are_apart
        Whether rows have all of them by themselves, as fields at the top.
    are_in_keys
        Whether the id is in the keys of records: one without a value says that a row is gone.
    outlive_records
        Whether a later record can name the same event.
    texts
        What the texts of ids and keys are that do not come from an event's own fields.
    """

    def __init__(self, pipeline: Pipeline, parts: Parts, finite: Sequence[str]) -> None:
        self._label = pipeline.label
        self.texts = IdTexts(pipeline)
        named = id_parts(pipeline.event_id)
        of_record = [*named, pipeline.key, pipeline.event_time]
        self.are_apart = (
            len(named) == 1
            and self.texts.are_free
            and all(each is None or is_at_the_top(each) for each in (*of_record, pipeline.label))
            and not any("." in path for path in finite)
        )
        self.are_in_keys = any(isinstance(each, MessageKey) for each in named)
        self.outlive_records = not any(isinstance(each, _OF_ONE_RECORD) for each in named)
        self.event_id = parts.reading_id(named)
        self._key, self._time = (
            None if each is None else parts.reading(each)
            for each in (pipeline.key, pipeline.event_time)
        )
        self._has_label_apart = pipeline.label is None or "." not in pipeline.label
        self._finite = [(path, getter(path)) for path in finite if "." in path]

    def key(self, fields: Mapping[str, Any], message: Message) -> str | None:
        """Return the key of an event as text; None where it has none."""
        return None if self._key is None else key_of(self._key(fields, message))

    def time(self, fields: Mapping[str, Any], message: Message) -> Any:
        """Return the time of an event, as it is written; None where it has none."""
        return None if self._time is None else time_of(self._time(fields, message))

    def take_label(self, fields: Fields) -> Any:
        """Remove the label from the fields of an event, and return it; None where it has none."""
        return None if self._label is None else take(fields, self._label)

    def infinite(self, fields: Fields) -> tuple[str, float] | None:
        """Return a field of a nested record with a number that is not finite, and that number."""
        for path, get in self._finite:
            value = get(fields)
            if isinstance(value, float) and not isfinite(value):
                return path, value
        return None

    def fill(self, row: tuple[Any, ...], message: Message) -> tuple[Any, ...] | None:
        """Return the row of an event, or a label, with all of them; None for one that is odd.

        Raises
        ------
        RecordError
            Something is not there, or is none of its kind.
        """
        type_name, event_id, key, label, time, fields = row
        if type_name == "Label":
            if self.texts.are_free:
                return row
            event_id, key = self.texts.event_id(str(event_id)), self.texts.key(key_of(key))
            return type_name, event_id, key, label, time, fields
        if self.infinite(fields) is not None:
            return None
        if not self._has_label_apart:
            label = self.take_label(fields)
            if isinstance(label, float) and not isfinite(label):
                return None
        event_id, key = self.event_id(fields, message), self.key(fields, message)
        return type_name, event_id, key, label, self.time(fields, message), fields
