"""Values that mean the same wherever users write them: ids and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from reprlib import repr as shortened

from millrace.schemas import RecordError, RejectReason

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_NANOSECONDS = 10**9
_NANOSECONDS_PER_MS = 10**6
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_FRACTION = re.compile(
    r"(?:(?<=[^+\d-]\d\d:\d\d:\d\d)|(?<=[^+\d-]\d{6}))[.,](\d+)(?=$|[Zz+-])", re.ASCII
)


def identity(value: object, what: str) -> str:
    """Return an id as text.

    Parameters
    ----------
    what
        Where it is, for people.

    Raises
    ------
    RecordError
        It is missing or empty, or neither text nor a whole number.

    Examples
    --------
    >>> identity(17, "field 'event_id'"), identity("a-17", "the message key")
    ('17', 'a-17')
    """
    if value is None or value == "":
        raise RecordError(RejectReason.MISSING_ID, f"{what} must be an id; got {value!r}")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise RecordError(
            RejectReason.ILL_TYPED_FIELD,
            f"{what} must be text or a whole number; got {shortened(value)}",
        )
    return str(value)


def key_of(value: object) -> str | None:
    """Return a key as text; None where there is none.

    Raises
    ------
    RecordError
        It is of another kind, so that it is written in several ways: no label would find its event.

    Examples
    --------
    >>> key_of(17), key_of("c-7"), key_of(True), key_of(None)
    ('17', 'c-7', 'True', None)
    """
    if value is None or isinstance(value, (str, int)):
        return None if value is None else str(value)
    raise RecordError(
        RejectReason.ILL_TYPED_FIELD,
        f"a key must be text, a whole number or a boolean; got {shortened(value)}",
    )


def number_of(field: str, is_fractional: bool, text: str) -> int | float:
    """Return a number that is written as text, as JSON would write it.

    Parameters
    ----------
    is_fractional
        Whether it may have a fraction.

    Raises
    ------
    RecordError
        It is none.

    Examples
    --------
    >>> number_of("amount", True, "12.50"), number_of("count", False, " 3 ")
    (12.5, 3)
    """
    digits = text.strip()
    if is_fractional and _NUMBER.fullmatch(digits):
        return float(digits)
    if not is_fractional and _WHOLE.fullmatch(digits):
        return int(digits)
    kind = "a number" if is_fractional else "a whole number"
    raise RecordError(
        RejectReason.ILL_TYPED_FIELD, f"field {field!r} must be {kind}; got {shortened(text)}"
    )


def time_of(value: object) -> object:
    """Return a time as it is; one in digits, as headers have it, as a number.

    Examples
    --------
    >>> time_of("1700000000000"), time_of("2026-01-01T00:00:00Z")
    (1700000000000, '2026-01-01T00:00:00Z')
    """
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value


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
    return iso_to_units(text, 1)


def iso_to_units(text: str, units_per_ms: int) -> int:
    """Return a time in units since the Unix epoch; what is smaller than a unit is cut off.

    Examples
    --------
    >>> iso_to_units("1970-01-01T00:00:01.123456789Z", 1_000_000)
    1123456789
    >>> iso_to_units("1969-12-31T23:59:59,9999999", 1_000)
    -1
    """
    fraction = _FRACTION.search(text)
    digits = fraction[1] if fraction else ""
    try:
        time = datetime.fromisoformat(_whole_seconds(text).upper())  # RFC 3339 allows t and z
        seconds = ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _SECOND
    except (ValueError, OverflowError):
        raise RecordError(
            RejectReason.TIMESTAMP_OUT_OF_RANGE,
            f"a time must be in ISO 8601; got {shortened(text)}",
        ) from None
    nanoseconds = int(f"{digits:0<9.9}") if digits else 0
    return (seconds * _NANOSECONDS + nanoseconds) * units_per_ms // _NANOSECONDS_PER_MS


def _whole_seconds(text: str) -> str:
    """Return a time without its fraction of a second; one of a minute is none that Python knows."""
    whole = _FRACTION.sub("", text, count=1)
    if "." in whole or "," in whole:
        raise ValueError
    return whole
