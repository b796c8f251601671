"""Values that mean the same wherever users write them: ids and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from millrace.schemas import RecordError, RejectReason

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def identity(value: object, field: str) -> str:
    """Return an id as text.

    Raises
    ------
    RecordError
        It is missing or empty, or neither text nor a whole number.

    Examples
    --------
    >>> identity(17, "event_id"), identity("a-17", "event_id")
    ('17', 'a-17')
    """
    if value is None or value == "":
        raise RecordError(RejectReason.MISSING_ID, f"field {field!r} must be an id; got {value!r}")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise RecordError(
            RejectReason.ILL_TYPED_FIELD,
            f"field {field!r} must be text or a whole number; got {value!r}",
        )
    return str(value)


def iso_to_ms(text: str) -> int:
    """Return milliseconds since the Unix epoch; a time without a zone is in UTC.

    Raises
    ------
    RecordError
        The text is no time.

    Examples
    --------
    >>> iso_to_ms("1970-01-01T00:00:01"), iso_to_ms("1970-01-01T01:00:00+01:00")
    (1000, 0)
    """
    try:
        time = datetime.fromisoformat(text)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise RecordError(
            RejectReason.TIMESTAMP_OUT_OF_RANGE, f"a time must be in ISO 8601; got {text!r}"
        ) from None
