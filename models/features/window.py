"""Windows of event time: the state behind the rolling features.

`models.features` keeps one window for each feature and group in an agent's keyed state. A window
holds what it needs and no more, knows nothing of a clock, and sums exactly, so that replaying a
log gives the same features to the last digit.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence


class Window:
    """The newest values of one group, in the order of their event times.

    Events may come out of order: each is placed by its time, and sees only what is not later
    than itself. Values of two window lengths are kept, so that an event which is up to one
    window late still sees its own past in full.

    Parameters
    ----------
    span_ms
        Length in milliseconds: at time t the window is (t - span_ms, t].
    max_events
        How many values are held, the newest by event time. More than that in one window are
        not aggregated: this is what bounds the state of a busy group.

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

    __slots__ = ("_times_ms", "_values", "max_events", "span_ms")

    def __init__(self, span_ms: int, max_events: int = 256) -> None:
        self.span_ms = span_ms
        self.max_events = max_events
        self._times_ms: list[int] = []
        self._values: list[float] = []

    def __len__(self) -> int:
        return len(self._values)

    @property
    def newest_ms(self) -> int | None:
        """The latest event time that is held, in milliseconds; None while there is nothing."""
        return self._times_ms[-1] if self._times_ms else None

    def add(self, time_ms: int, value: float) -> list[float]:
        """Take in a value and return those in (time_ms - span_ms, time_ms], itself included.

        Of equal times, the one that was added later counts as the newer.
        """
        place = bisect_right(self._times_ms, time_ms)
        self._times_ms.insert(place, time_ms)
        self._values.insert(place, value)
        seen = self.values(time_ms)
        self._forget()
        return seen

    def values(self, time_ms: int) -> list[float]:
        """Return the values in (time_ms - span_ms, time_ms], oldest first."""
        end = bisect_right(self._times_ms, time_ms)
        start = bisect_right(self._times_ms, time_ms - self.span_ms)
        return self._values[max(start, end - self.max_events) : end]

    def _forget(self) -> None:
        old = bisect_right(self._times_ms, self._times_ms[-1] - 2 * self.span_ms)
        surplus = max(old, len(self._times_ms) - self.max_events)
        if surplus > 0:
            del self._times_ms[:surplus]
            del self._values[:surplus]


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
