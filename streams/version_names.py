"""Names of archived versions: the time in UTC, and, of those that a command asked for, which one.

They are in the order of time, and say nothing but letters, digits and hyphens: so they can be said
aloud, and are file names everywhere.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

_TIME = "%Y-%m-%dT%H%MZ"
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999


def version_name(time_ms: int, why: str = "") -> str:
    """Return the name of a version.

    Parameters
    ----------
    time_ms
        Milliseconds since the Unix epoch.
    why
        What asked for it; empty: its time has come.

    Examples
    --------
    >>> version_name(1_795_712_280_000), version_name(1_795_712_280_000, "snapshot-7")
    ('2026-11-26T1658Z', '2026-11-26T1658Z-snapshot-7')
    """
    time = datetime.fromtimestamp(min(max(time_ms, 0), _LATEST_MS) / 1000, UTC)
    return f"{time:{_TIME}}" + (f"-{why}" if why else "")


def time_of(version: str) -> datetime | None:
    """Return the time of a version that is there since its time had come; None of any other.

    Examples
    --------
    >>> str(time_of("2026-11-26T1658Z")), time_of("2026-11-26T1658Z-snapshot-7")
    ('2026-11-26 16:58:00+00:00', None)
    """
    with suppress(ValueError):
        return datetime.strptime(version, _TIME).replace(tzinfo=UTC)
    return None
