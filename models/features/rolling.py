"""Aggregates over the recent events of a group, kept in windows of event time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial
from hashlib import sha256
from typing import Any

from millrace.models.features.base import (
    Entry,
    Extract,
    Feature,
    Store,
    Stores,
    check_field,
)
from millrace.models.features.window import AGGREGATES, Window, aggregate
from millrace.models.parameters import duration, named, one_of, require, text, whole_number
from millrace.schemas import EventSchema
from millrace.schemas.paths import getter
from millrace.schemas.records import Event, Features, Fields

WINDOWS = Store[Window]("windows")
"""Of all rolling features: one window for each feature and group."""

CUT = Store[int]("cut")
"""First name of a rolling feature to how many events it gave aggregates that lack some values."""

_LONGEST_GROUP = 1_024
_GROUP = "|"  # between a feature's name and its group, in the key of a window
_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_NUMERIC = frozenset({"boolean", "int", "long", "float", "double", "null"})
_MOST_EVENTS = 1_000_000


@named
def rolling(
    field: str,
    *aggregates: str,
    window: timedelta,
    by: str | None = None,
    max_events: int = 256,
    name: str | None = None,
) -> Feature:
    """Return aggregates of a field over the recent events of a group, this one included.

    Over (t - window, t] in event time, where t is the event's own: a late event is placed where
    it belongs, and never sees what happened after it. An event without a value (or with NaN)
    does not enter the window, and still gets the aggregates of the others.

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
        The most values of a window that are aggregated, the newest; each group holds twice as
        many. Where a window has more, `millrace_windows_cut` counts the events, and there is an
        alert, once.
    name
        Stands for `field` in the features' names, which are `<field>_<aggregate>_<window>`.

    Examples
    --------
    >>> hourly = rolling("amount", "count", "mean", window=timedelta(hours=1))
    >>> hourly.names
    ('amount_count_1h', 'amount_mean_1h')
    >>> extract = hourly.bind(stores=lambda store: {})
    >>> for minute, amount in enumerate([10.0, 30.0]):
    ...     time_ms, values = minute * 60_000, {"amount": amount}
    ...     print(extract(Event(event_id="1", key="me", event_time_ms=time_ms, fields=values)))
    {'amount_count_1h': 1, 'amount_mean_1h': 10.0}
    {'amount_count_1h': 2, 'amount_mean_1h': 20.0}
    """
    text("rolling(): field", field)
    where = f"rolling({field!r})"
    _check_aggregates(where, aggregates)
    duration(f"{where}: window", window, least=timedelta(milliseconds=1))
    span_ms, rest = divmod(window, timedelta(milliseconds=1))
    require(not rest, f"{where}: window must be in whole milliseconds", window)
    whole_number(f"{where}: max_events", max_events, most=_MOST_EVENTS)
    for parameter, value in (("by", by), ("name", name)):
        if value is not None:
            text(f"{where}: {parameter}", value)
    stem, length = name or field, _length(span_ms)
    named = {f"{stem}_{each}_{length}": each for each in aggregates}
    return _Rolling(field, named, span_ms, by, max_events)


@dataclass(frozen=True)
class _Rolling(Feature):
    field: str
    aggregates: Mapping[str, str]  # feature to aggregate
    span_ms: int
    by: str | None
    max_events: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.aggregates)

    def alone(self, name: str) -> Feature:
        return replace(self, aggregates={name: self.aggregates[name]})

    @property
    def reads(self) -> object:
        return self.field, self.by

    def check(self, schema: EventSchema) -> None:
        where = f"rolling({self.field!r})"
        check_field(f"{where}: field", self.field, schema)
        kinds = schema.types_of(self.field)
        require(set(kinds) <= _NUMERIC, f"{where}: field must be one of numbers or booleans", kinds)
        if self.by is not None:
            check_field(f"{where}: by", self.by, schema)

    def bind(self, stores: Stores) -> Extract:
        return partial(self._extract, stores(WINDOWS), stores(CUT))

    def _extract(
        self, windows: MutableMapping[str, Window], cut: MutableMapping[str, int], event: Event
    ) -> Features:
        key, time_ms = self._key(event), event["event_time_ms"]
        window = windows.get(key)
        if window is None:
            window = Window(self.span_ms, self.max_events)
        value = self._value(event["fields"])
        if value is None or not math.isfinite(value):
            values = window.values(time_ms)
        else:
            values = window.add(time_ms, float(value))
            windows[key] = window
        if window.is_cut(time_ms):
            feature = next(iter(self.aggregates))
            cut[feature] = cut.get(feature, 0) + 1
        found = {name: aggregate(each, values) for name, each in self.aggregates.items()}
        return {name: result for name, result in found.items() if result is not None}

    @cached_property
    def _value(self) -> Callable[[Fields], Any]:
        return getter(self.field)

    @cached_property
    def _group(self) -> Callable[[Fields], Any] | None:
        return None if self.by is None else getter(self.by)

    def _key(self, event: Event) -> str:
        group = event["key"] if self._group is None else self._group(event["fields"])
        feature = next(iter(self.aggregates))  # a name is given once in a pipeline
        return feature if group is None else f"{feature}{_GROUP}{_short(str(group))}"


def remove_old(windows: MutableMapping[str, Entry], time_ms: int) -> None:
    """Remove the windows whose values are all too old at this time."""
    old = [
        key for key, each in windows.items() if isinstance(each, Window) and each.is_over(time_ms)
    ]
    for key in old:
        del windows[key]


def inherit_windows(
    entries: MutableMapping[str, Entry],
    before: Sequence[Feature],
    now: Sequence[Feature],
    kept: Collection[str],
) -> None:
    """Let windows, or what else is kept by rolling features, go on under other features.

    A window is known by the first of the names that it gives. It stays as long as one of its names
    is what it was, under what is the first of them then.

    Parameters
    ----------
    entries
        By feature, or feature and group.
    before, now
        The features of both definitions.
    kept
        The names that are what they were.
    """
    was = {name: each.names[0] for each in before for name in each.names}
    heirs: defaultdict[str, list[str]] = defaultdict(list)
    for each in now:
        former = dict.fromkeys(was[name] for name in each.names if name in kept)
        for first in [*former][:1] if isinstance(each, _Rolling) else []:
            heirs[first].append(each.names[0])
    of_rolling = {each.names[0] for each in before if isinstance(each, _Rolling)}
    if all(heirs[first] == [first] for first in of_rolling):
        return
    moved = {key: heirs[key.partition(_GROUP)[0]] for key in entries}
    for key, firsts in moved.items():
        first, mark, group = key.partition(_GROUP)
        if firsts == [first]:
            continue
        entry = entries[key]
        del entries[key]
        for heir in firsts:
            entries[f"{heir}{mark}{group}"] = deepcopy(entry) if firsts[1:] else entry


def _short(group: str) -> str:
    """Return the name of a group, or what stands for it where it is long."""
    if len(group) <= _LONGEST_GROUP:
        return group
    return f"{group[:_LONGEST_GROUP]}…{sha256(group.encode()).hexdigest()}"


def _length(span_ms: int) -> str:
    unit = next(unit for unit, size_ms in _UNITS_MS.items() if span_ms % size_ms == 0)
    return f"{span_ms // _UNITS_MS[unit]}{unit}"


def _check_aggregates(where: str, aggregates: tuple[str, ...]) -> None:
    known = [*AGGREGATES]
    must = f"{where}: aggregates must be one or more of {known}, each once"
    for each in aggregates:
        one_of(must, each, known)
    require(0 < len(aggregates) == len({*aggregates}), must, aggregates)
