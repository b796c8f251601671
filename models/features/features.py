"""Features: what a model sees of an event.

`Pipeline.features` holds what the factories here return. The feature operator asks each of them
for its part of the feature vector, at the event's place in the log. All are pure but `rolling`,
which keeps windows in the agent's keyed state. A value that is null or not defined is absent
from the vector: River models treat a missing key as a missing feature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from millrace.models.features.window import AGGREGATES, Window, aggregate
from millrace.schemas import DefinitionError, EventSchema, RecordError, RejectReason
from millrace.schemas.records import Event, Features

FeatureValue = bool | int | float | str

_PARTS: Mapping[str, Callable[[datetime], int | bool]] = {
    "hour": lambda time: time.hour,
    "day_of_week": lambda time: time.weekday(),
    "day_of_month": lambda time: time.day,
    "month": lambda time: time.month,
    "is_weekend": lambda time: time.weekday() >= 5,
}
_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_NUMERIC = frozenset({"boolean", "int", "long", "float", "double", "null"})


class Feature(Protocol):
    """One entry of `Pipeline.features`: gives one or more of the features of a vector.

    Examples
    --------
    >>> feature: Feature = fields("amount", "country")
    >>> values = {"amount": 9, "country": None}
    >>> event = Event(event_id="1", key=None, event_time_ms=0, fields=values)
    >>> feature.names, feature.extract(event, windows={})
    (('amount', 'country'), {'amount': 9})
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The features that it gives, in order."""

    def check(self, schema: EventSchema) -> None:
        """Refuse a schema that it cannot be computed from.

        Raises
        ------
        DefinitionError
            Naming the field and the fix.
        """

    def extract(self, event: Event, windows: MutableMapping[str, Window]) -> Features:
        """Return its part of the feature vector of an event, as that is in `clean`.

        `windows` is keyed state: what changes is assigned anew, which is how the state knows.

        Raises
        ------
        RecordError
            The features of this event cannot be computed.
        """


def fields(*names: str) -> Feature:
    """Return fields of the event as they are.

    Examples
    --------
    >>> fields("age", "income").names
    ('age', 'income')
    """
    _require(len(names) > 0, "fields() requires at least one field name", names)
    return _Fields(names)


def derived(name: str, function: Callable[[Mapping[str, Any]], FeatureValue | None]) -> Feature:
    """Return a feature computed from the event's fields by a pure function.

    `function` gets the fields by name, null as None. It returns a boolean, a finite number or
    text, or None where the feature is missing, and depends on nothing else.

    Examples
    --------
    >>> debt_ratio = derived("debt_ratio", lambda fields: fields["debt"] / fields["income"])
    >>> debt_ratio.names
    ('debt_ratio',)
    """
    _require(isinstance(name, str) and name != "", "derived() requires a name", name)
    _require(callable(function), f"derived({name!r}) requires a function of the fields", function)
    return _Derived(name, function)


def calendar(*parts: str, timezone: str = "UTC") -> Feature:
    """Return parts of the event's time.

    Parameters
    ----------
    parts
        Of `hour` (0 to 23), `day_of_week` (Monday is 0), `day_of_month`, `month`, `is_weekend`.
    timezone
        IANA name, for example `Europe/Zurich`.

    Examples
    --------
    >>> calendar("hour", "is_weekend", timezone="Asia/Tokyo").names
    ('hour', 'is_weekend')
    """
    known = bool(parts) and _PARTS.keys() >= set(parts)
    _require(known, f"calendar() requires parts of {[*_PARTS]}", parts)
    return _Calendar(parts, _timezone(timezone))


def rolling(
    field: str,
    *aggregates: str,
    window: timedelta,
    by: str | None = None,
    max_events: int = 256,
    name: str | None = None,
) -> Feature:
    """Return aggregates of a field over the recent events of a group, this one included.

    Over (t - window, t] in event time, where t is the event's own: an event that comes late is
    placed where it belongs and never sees what happened after it. An event without a value (or
    with NaN) does not enter the window, and still gets the aggregates of the others.

    Parameters
    ----------
    field
        A number or a boolean (counted as 0 and 1).
    aggregates
        Of `count`, `sum`, `mean`, `min`, `max`, `std` (of a sample; 0.0 below two values).
    window
        Its length, in whole milliseconds.
    by
        Field whose value is the group; by default the event's key. The events of a group that
        are spread over partitions are not seen together. Nulls are one group.
    max_events
        Values held per group, the newest, and so the most that are aggregated.
    name
        Stands for `field` in the features' names, which are `<field>_<aggregate>_<window>`.

    Examples
    --------
    >>> hourly = rolling("amount", "count", "mean", window=timedelta(hours=1))
    >>> hourly.names
    ('amount_count_1h', 'amount_mean_1h')
    >>> windows: dict[str, Window] = {}
    >>> for minute, amount in enumerate([10.0, 30.0]):
    ...     values = {"amount": amount}
    ...     event = Event(event_id="1", key="me", event_time_ms=minute * 60_000, fields=values)
    ...     print(hourly.extract(event, windows))
    {'amount_count_1h': 1, 'amount_mean_1h': 10.0}
    {'amount_count_1h': 2, 'amount_mean_1h': 20.0}
    """
    where = f"rolling({field!r})"
    known = bool(aggregates) and AGGREGATES.keys() >= set(aggregates)
    _require(known, f"{where} requires aggregates of {[*AGGREGATES]}", aggregates)
    span_ms, rest = divmod(window, timedelta(milliseconds=1))
    _require(span_ms > 0 and not rest, f"{where} requires a window of whole milliseconds", window)
    _require(max_events > 0, f"{where} requires max_events above 0", max_events)
    stem, length = name or field, _length(span_ms)
    labels = tuple(f"{stem}_{each}_{length}" for each in aggregates)
    return _Rolling(field, dict(zip(labels, aggregates, strict=True)), span_ms, by, max_events)


@dataclass(frozen=True)
class _Fields:
    names: tuple[str, ...]

    def check(self, schema: EventSchema) -> None:
        for name in self.names:
            _check_field("fields()", name, schema)

    def extract(self, event: Event, windows: MutableMapping[str, Window]) -> Features:  # noqa: ARG002 - has no state
        values = event["fields"]
        return {name: value for name in self.names if (value := values[name]) is not None}


@dataclass(frozen=True)
class _Derived:
    name: str
    function: Callable[[Mapping[str, Any]], FeatureValue | None]

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def check(self, schema: EventSchema) -> None:
        """Any schema will do: what the function reads, only the function knows."""

    def extract(self, event: Event, windows: MutableMapping[str, Window]) -> Features:  # noqa: ARG002 - has no state
        try:
            value = self.function(event["fields"])
        except Exception as error:  # the user's code raises whatever the event leads it into
            raise self._failed("a function that does not raise", error) from error
        if value is None:
            return {}
        if getattr(value, "ndim", None) == 0:  # a scalar of NumPy
            value = value.item()  # type: ignore[union-attr]
        if not isinstance(value, (bool, int, float, str)):
            raise self._failed("a boolean, a number, text or None", value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._failed("a finite number", value)
        return {self.name: value}

    def _failed(self, wanted: str, got: object) -> RecordError:
        return RecordError(
            RejectReason.FEATURE_ERROR, f"derived({self.name!r}) requires {wanted}; got {got!r}"
        )


@dataclass(frozen=True)
class _Calendar:
    names: tuple[str, ...]
    timezone: tzinfo

    def check(self, schema: EventSchema) -> None:
        """Any schema will do: every event has a time."""

    def extract(self, event: Event, windows: MutableMapping[str, Window]) -> Features:  # noqa: ARG002 - has no state
        time = datetime.fromtimestamp(event["event_time_ms"] // 1000, self.timezone)
        return {part: _PARTS[part](time) for part in self.names}


@dataclass(frozen=True)
class _Rolling:
    field: str
    aggregates: Mapping[str, str]  # feature to aggregate
    span_ms: int
    by: str | None
    max_events: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.aggregates)

    def check(self, schema: EventSchema) -> None:
        where = f"rolling({self.field!r})"
        _check_field(where, self.field, schema)
        kinds = schema.types_of(self.field)
        _require(set(kinds) <= _NUMERIC, f"{where} requires a field of numbers", kinds)
        if self.by is not None:
            _check_field(f"{where} by", self.by, schema)

    def extract(self, event: Event, windows: MutableMapping[str, Window]) -> Features:
        key, time_ms = self._key(event), event["event_time_ms"]
        window = windows.get(key)
        if window is None:
            window = Window(self.span_ms, self.max_events)
        value = event["fields"][self.field]
        if value is None or not math.isfinite(value):
            values = window.values(time_ms)
        else:
            values = window.add(time_ms, float(value))
            windows[key] = window
        found = {name: aggregate(each, values) for name, each in self.aggregates.items()}
        return {name: result for name, result in found.items() if result is not None}

    def _key(self, event: Event) -> str:
        group = event["key"] if self.by is None else event["fields"][self.by]
        feature = next(iter(self.aggregates))  # a name is given once in a pipeline
        return feature if group is None else f"{feature}|{group}"


def _timezone(name: str) -> tzinfo:
    if name == "UTC":  # needs no time zone database
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DefinitionError(
            f"calendar() requires an IANA time zone, for example 'Europe/Zurich'; got {name!r}"
        ) from None


def _length(span_ms: int) -> str:
    unit = next(unit for unit, size_ms in _UNITS_MS.items() if span_ms % size_ms == 0)
    return f"{span_ms // _UNITS_MS[unit]}{unit}"


def _check_field(where: str, name: str, schema: EventSchema) -> None:
    known = schema.field_names
    _require(name in known, f"{where} requires fields of the schema {known}", name)
    _require(
        schema.is_primitive(name),
        f"{where} requires a number, a boolean or text in {name!r}; write derived() for the rest",
        schema.types_of(name),
    )


def _require(holds: bool, requirement: str, got: object) -> None:
    if not holds:
        raise DefinitionError(f"{requirement}; got {got!r}")
