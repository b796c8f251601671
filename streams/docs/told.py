"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from millrace.models.selection.evidence import Evidence
from millrace.streams.tools.evaluations import ALPHA


def as_utc(time_ms: int) -> str:
    """Return a time as people read it; any number is one.

    Examples
    --------
    >>> as_utc(1_700_000_000_000), as_utc(10**18)
    ('2023-11-14 22:13 UTC', '1000000000000000000 ms')
    """
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"


def counted(number: float, what: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> counted(1, "point"), counted(2.5, "point"), counted(1_000, "event")
    ('1 point', '2.5 points', '1,000 events')
    """
    return f"{number:,g} {what}{'' if number == 1 else 's'}"


def points(evidence: Evidence) -> str:
    """Return a mean difference with its interval, in points."""
    if not evidence.n:
        return "-"
    lower, upper = evidence.interval(ALPHA)
    return f"{100 * evidence.mean:+.1f} ({100 * lower:+.1f} to {100 * upper:+.1f})"


def share(part: int, whole: int) -> str:
    """Return a part of a whole in percent: 100 is all of it, and 0 nothing.

    Examples
    --------
    >>> share(1, 3), share(3, 3), share(1, 10_000), share(1_384, 1_385)
    ('33 %', '100 %', '0.01 %', '99.928 %')
    """
    percent = 100 * part / whole
    if percent > 99 and part < whole:
        return f"{100 - float(f'{100 - percent:.2g}'):.12g} %"
    return f"{percent:.0f} %" if percent >= 1 or not part else f"{percent:.2g} %"
