"""Which archived versions are kept: many of late, few of long ago.

`24h,31d,12mo` keeps the first version of each of the last 24 hours, 31 days and 12 months that have
one. The shortest of these periods is how often a version is written. Periods are those of the
calendar, in UTC, so that all workers name and keep the same versions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from millrace.schemas import SettingsError

_PERIODS: Mapping[str, Callable[[datetime], datetime]] = {
    "min": lambda time: time.replace(second=0, microsecond=0),
    "h": lambda time: time.replace(minute=0, second=0, microsecond=0),
    "d": lambda time: time.replace(hour=0, minute=0, second=0, microsecond=0),
    "mo": lambda time: time.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
    "y": lambda time: time.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0),
}
"""Unit to the beginning of the period that a time is in, shortest first."""

_TIER = re.compile(r"([1-9][0-9]{0,5})(min|h|d|mo|y)")


class Tier(NamedTuple):
    """So many periods of a unit, from each of which one version is kept."""

    periods: int
    unit: str


def parse_retention(text: str) -> tuple[Tier, ...]:
    """Return which versions a setting keeps, the shortest periods first.

    Raises
    ------
    SettingsError
        It says something else.

    Examples
    --------
    >>> parse_retention("31d, 24h")
    (Tier(periods=24, unit='h'), Tier(periods=31, unit='d'))
    """
    found = [_TIER.fullmatch(each.strip()) for each in text.split(",")]
    tiers = {each[2]: Tier(int(each[1]), each[2]) for each in found if each is not None}
    if len(tiers) < len(found):
        raise SettingsError(
            "archive_keep must be how many periods keep a version, of each unit once, for example"
            f" 24h,31d,12mo (units: {', '.join(_PERIODS)}); got {text!r}"
        )
    return tuple(tiers[unit] for unit in _PERIODS if unit in tiers)


def period(tiers: Iterable[Tier], time: datetime) -> datetime:
    """Return when the shortest period began that a time is in.

    Examples
    --------
    >>> str(period(parse_retention("24h,31d"), datetime(2026, 11, 26, 16, 58)))
    '2026-11-26 16:00:00'
    """
    shortest, *_ = tiers
    return _PERIODS[shortest.unit](time)


def kept(tiers: Iterable[Tier], times: Iterable[datetime]) -> set[datetime]:
    """Return the times of the versions that are kept.

    The same ones are kept whether versions are removed one by one as others come, or all at the
    end. Where none has come for long, none is removed.

    Examples
    --------
    >>> hours = [datetime(2026, 11, day, hour) for day in (1, 2, 3) for hour in range(24)]
    >>> [f"{each:%d %H}" for each in sorted(kept(parse_retention("2h,2d"), hours))]
    ['02 00', '03 00', '03 22', '03 23']
    """
    in_order = sorted(times)
    found: set[datetime] = set()
    for periods, unit in tiers:
        first: dict[datetime, datetime] = {}
        for each in in_order:
            first.setdefault(_PERIODS[unit](each), each)
        found |= {*[*first.values()][-periods:]}
    return found
