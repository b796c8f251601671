"""Windows of event time: the state behind the rolling features.

`models.features` keeps one window for each feature and group in an agent's keyed state. A window
holds what it needs and no more, knows nothing of a clock, and sums exactly, so that replaying a
log gives the same features to the last digit.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from millrace.models.sealed import Fields

_EVENTS = 8  # that must have reached a time before what is older is forgotten


class Window:
    """The newest values of one group, in the order of their event times.

    Events may come out of order: each is placed by its time, and sees only what is not later
    than itself. Values of two window lengths are kept, so that an event which is up to one
    window late still sees its own past in full. Time goes by the eighth newest event: a few that
    are stamped in the future make no other one forgotten.

    Parameters
    ----------
    span_ms
        Length in milliseconds: at time t the window is (t - span_ms, t].
    max_events
        How many values of one window are aggregated, the newest by event time. Twice as many are
        held, and one: this is what bounds the state of a busy group.

    Examples
    --------
    >>> window = Window(span_ms=60_000)
    >>> window.add(0, 5.0)
    [5.0]
    >>> window.add(50_000, 7.0)
    [5.0, 7.0]
    >>> window.add(30_000, 6.0)  # late: placed before the 7, which it does not see
    [5.0, 6.0]
    >>> window.values(60_000)  # the first value is a full minute old
    [6.0, 7.0]
    """

    __slots__ = ("_forgotten_ms", "_times_ms", "_values", "max_events", "span_ms")

    def __init__(self, span_ms: int, max_events: int = 256) -> None:
        self.span_ms = span_ms
        self.max_events = max_events
        self._times_ms: list[int] = []
        self._values: list[float] = []
        self._forgotten_ms: int | None = None

    def __len__(self) -> int:
        return len(self._values)

    def __setstate__(self, state: tuple[None, Mapping[str, Any]]) -> None:
        self._forgotten_ms = None  # release 0.1 did not know it
        for name, value in state[1].items():
            setattr(self, name, value)

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {
            "span_ms": self.span_ms,
            "max_events": self.max_events,
            "times_ms": self._times_ms,
            "values": self._values,
            "forgotten_ms": self._forgotten_ms,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Window:
        """Return the window that was saved."""
        window = cls(fields["span_ms"], fields["max_events"])
        window._times_ms, window._values = fields["times_ms"], fields["values"]
        window._forgotten_ms = fields["forgotten_ms"]
        return window

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes: 72 bytes a value."""
        return 72 * len(self._values)

    @property
    def newest_ms(self) -> int | None:
        """The latest event time that is held, in milliseconds; None while there is nothing."""
        return self._times_ms[-1] if self._times_ms else None

    def is_over(self, time_ms: int) -> bool:
        """Whether, at this time, an event that is up to one window late would see no value."""
        newest_ms = self.newest_ms
        return newest_ms is None or newest_ms <= time_ms - 2 * self.span_ms

    def add(self, time_ms: int, value: float) -> list[float]:
        """Take in a value and return those in (time_ms - span_ms, time_ms], itself included.

        Of equal times, the one that was added later counts as the newer.
        """
        self._forget()
        place = bisect_right(self._times_ms, time_ms)
        self._times_ms.insert(place, time_ms)
        self._values.insert(place, value)
        return self.values(time_ms)

    def values(self, time_ms: int) -> list[float]:
        """Return the values in (time_ms - span_ms, time_ms], oldest first."""
        start, end = self._between(time_ms)
        return self._values[max(start, end - self.max_events) : end]

    def is_cut(self, time_ms: int) -> bool:
        """Whether `values` lacks some of the window, which are too many or came too long ago."""
        start, end = self._between(time_ms)
        if end - start > self.max_events:
            return True
        return self._forgotten_ms is not None and self._forgotten_ms > time_ms - self.span_ms

    def _between(self, time_ms: int) -> tuple[int, int]:
        start = bisect_right(self._times_ms, time_ms - self.span_ms)
        return start, bisect_right(self._times_ms, time_ms)

    def _forget(self) -> None:
        """Make room, when the next value comes: until then, what is cut off can be told."""
        times_ms = self._times_ms
        passed_ms = times_ms[-_EVENTS] if len(times_ms) >= _EVENTS else None
        old = 0 if passed_ms is None else bisect_right(times_ms, passed_ms - 2 * self.span_ms)
        surplus = max(old, len(times_ms) - 2 * self.max_events)
        if surplus > 0:
            forgotten_ms = times_ms[surplus - 1]
            self._forgotten_ms = max(self._forgotten_ms or forgotten_ms, forgotten_ms)
            del times_ms[:surplus], self._values[:surplus]


def aggregate(name: str, values: Sequence[float]) -> float | int | None:
    """Return one of `AGGREGATES` of the values.

    Returns
    -------
    float or int or None
        Absent (None) where it is not defined, as the mean of nothing, or beyond what a float
        can hold.

    Examples
    --------
    >>> aggregate("sum", [0.1] * 10)  # rounded once, not ten times
    1.0
    >>> aggregate("std", [1.0, 3.0])
    1.4142135623730951
    >>> aggregate("mean", []) is None
    True
    """
    try:
        return AGGREGATES[name](values)
    except OverflowError:
        return None


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _std(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


AGGREGATES: Mapping[str, Callable[[Sequence[float]], float | int | None]] = {
    "count": len,
    "sum": math.fsum,
    "mean": _mean,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "std": _std,
}
"""Name to function. `std` is the sample standard deviation, 0.0 below two values."""
