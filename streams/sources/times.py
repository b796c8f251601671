"""When an event happened, and when its label became known: in milliseconds, if that can be."""

from __future__ import annotations

from reprlib import repr as shortened

from millrace.models.pipeline.definition import EARLIEST, Pipeline
from millrace.schemas import RecordError, RejectReason
from millrace.streams.sources.values import iso_to_ms

_PER_SECOND = {
    "seconds": 1,
    "milliseconds": 1_000,
    "microseconds": 1_000_000,
    "nanoseconds": 1_000_000_000,
}


class EventTimes:
    """Reads event times, and refuses those that cannot be.

    A time of 1970 is one of today in another unit. The default `earliest` refuses it, and so does
    `max_ahead` where the true unit is the smaller one.

    Parameters
    ----------
    pipeline
        The definition.

    Attributes
    ----------
    earliest_ms
        The earliest time that can be.
    max_ahead_ms
        How much later than its Kafka timestamp a record's time can be.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._field = pipeline.event_time
        self._units_per_ms = 1
        if isinstance(pipeline.event_time, str):
            self._units_per_ms = pipeline.event_schema.units_per_ms(pipeline.event_time)
        self.earliest_ms = int(pipeline.earliest.timestamp() * 1000)
        if pipeline.event_time is None and pipeline.earliest == EARLIEST:
            self.earliest_ms = 0  # Kafka's timestamps are in no other unit
        self.max_ahead_ms = int(pipeline.max_ahead.total_seconds() * 1000)

    def __call__(self, value: int | str | None, timestamp_ms: int) -> int:
        """Return the event time of a record, by its field for it or its Kafka timestamp.

        Raises
        ------
        RecordError
            It is no time, or one out of range.
        """
        if value is None:
            value = timestamp_ms
        try:
            time_ms = self.read_ms(value)
        except (TypeError, ValueError, OverflowError):
            must = "event time must be a number or text in ISO 8601"
            raise RecordError(
                RejectReason.ILL_TYPED_FIELD, f"{must}; got {shortened(value)}"
            ) from None
        latest_ms = timestamp_ms + self.max_ahead_ms
        if not self.earliest_ms <= time_ms <= latest_ms:
            raise RecordError(
                RejectReason.TIMESTAMP_OUT_OF_RANGE,
                f"event time must be {self.earliest_ms} to {latest_ms} milliseconds"
                f" (earliest, max_ahead); got {time_ms}{self._guess(value, latest_ms)}",
            )
        return time_ms

    def read_ms(self, value: int | str) -> int:
        """Return a time of the field in milliseconds, whether it can be or not."""
        return iso_to_ms(value) if isinstance(value, str) else int(value) // self._units_per_ms

    def _guess(self, value: object, latest_ms: int) -> str:
        """Return in which unit a number would be a time that can be."""
        if not isinstance(self._field, str) or not isinstance(value, int):
            return ""
        what = repr(self._field)
        return _guess(what, value, 1_000 * self._units_per_ms, self.earliest_ms, latest_ms)


class LabelTimes:
    """Refuses times of labels that cannot be; see `EventTimes`.

    Parameters
    ----------
    pipeline
        The definition.

    Attributes
    ----------
    earliest_ms
        The earliest time that can be.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.earliest_ms = int(pipeline.earliest.timestamp() * 1000)
        self._max_ahead_ms = int(pipeline.max_ahead.total_seconds() * 1000)

    def checked(self, time_ms: int | None, timestamp_ms: int) -> int | None:
        """Return the time of a label, if it has one, whose record has a Kafka timestamp.

        Raises
        ------
        RecordError
            It is out of range.
        """
        latest_ms = timestamp_ms + self._max_ahead_ms
        if time_ms is None or self.earliest_ms <= time_ms <= latest_ms:
            return time_ms
        guess = _guess("the time of a label", time_ms, 1_000, self.earliest_ms, latest_ms)
        raise RecordError(
            RejectReason.TIMESTAMP_OUT_OF_RANGE,
            f"the time of a label must be {self.earliest_ms} to {latest_ms} milliseconds"
            f" (earliest, max_ahead); got {time_ms}{guess}",
        )


def _guess(what: str, value: int, own: int, earliest_ms: int, latest_ms: int) -> str:
    """Return in which unit a number would be a time that can be, other than its `own` one."""
    for unit, per_second in _PER_SECOND.items():
        possible_ms = value * 1_000 // per_second
        if per_second != own and earliest_ms <= possible_ms <= latest_ms:
            declared = next(each for each, per in _PER_SECOND.items() if per == own)
            return f": {value} looks like {unit}, but {what} is in {declared}"
    return ""
