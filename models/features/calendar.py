"""Parts of an event's time: the hour, the day of the week and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from millrace.models.features.base import Feature, StatelessFeature
from millrace.models.parameters import named, one_of, require, text
from millrace.models.user_code import shown
from millrace.schemas import DefinitionError, EventSchema
from millrace.schemas.records import Event, Features

_PARTS: Mapping[str, Callable[[datetime], int | bool]] = {
    "hour": lambda time: time.hour,
    "day_of_week": lambda time: time.weekday(),
    "day_of_month": lambda time: time.day,
    "month": lambda time: time.month,
    "is_weekend": lambda time: time.weekday() >= 5,
}


@named
def calendar(*parts: str, timezone: str = "UTC", name: str | None = None) -> Feature:
    """Return parts of the event's time.

    Parameters
    ----------
    parts
        Of `hour` (0 to 23), `day_of_week` (Monday is 0), `day_of_month`, `month`, `is_weekend`.
    timezone
        IANA name, for example `Europe/Zurich`.
    name
        Goes before the parts in the features' names, which are then `<name>_<part>`: a pipeline
        may have the hour of two places, and a changed time zone needs a new name.

    Examples
    --------
    >>> calendar("hour", "is_weekend", timezone="Asia/Tokyo").names
    ('hour', 'is_weekend')
    >>> calendar("hour", timezone="Asia/Tokyo", name="tokyo").names
    ('tokyo_hour',)
    """
    must = f"calendar(): parts must be one or more of {[*_PARTS]}"
    require(bool(parts), must, parts)
    for part in parts:
        one_of(must, part, _PARTS)
    if name is not None:
        text("calendar(): name", name)
    return _Calendar(parts, _timezone(timezone), name)


@dataclass(frozen=True)
class _Calendar(StatelessFeature):
    parts: tuple[str, ...]
    timezone: tzinfo
    name: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        before = "" if self.name is None else f"{self.name}_"
        return tuple(f"{before}{part}" for part in self.parts)

    def alone(self, name: str) -> Feature:
        return replace(self, parts=(self._parts[name],))

    @property
    def reads(self) -> object:
        return ()

    @cached_property
    def _parts(self) -> Mapping[str, str]:
        """Feature to part."""
        return dict(zip(self.names, self.parts, strict=True))

    def check(self, schema: EventSchema) -> None:
        """Any schema will do: every event has a time."""

    def extract(self, event: Event) -> Features:
        time = datetime.fromtimestamp(event["event_time_ms"] // 1000, self.timezone)
        return {name: _PARTS[part](time) for name, part in self._parts.items()}


def _timezone(name: str) -> tzinfo:
    if isinstance(name, str) and name == "UTC":  # needs no time zone database
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, TypeError, ValueError, OSError):
        raise DefinitionError(
            "calendar(): timezone must be the IANA name of a time zone, for example"
            f" 'Europe/Zurich'; got {shown(name)}"
        ) from None
