"""How long labels take, in event time, and how long it is enough to wait for them.

What is kept is how many labels took how long, to a power of two of a millisecond. The newest ten
thousand or so count, the older ones less and less.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

_DOUBLINGS = 64  # of a millisecond: how finely delays are remembered
_QUANTILE, _TIMES_DELAY = 0.95, 4
_MOST_LABELS = 10_000  # then each counts half
_SMALLEST = 2.0**-20  # of what is kept of a label: so all sums are exact, in whichever order


def no_delays() -> list[float]:
    """Return how many labels took less than 2^n milliseconds, before any has come."""
    return [0.0] * _DOUBLINGS


def doublings_of(delays_ms: Sequence[int]) -> list[int]:
    """Return the numbers of bits of delays; what is less than 0 counts as 0.

    Examples
    --------
    >>> doublings_of([-5, 0, 1, 1_000])
    [0, 0, 1, 10]
    """
    if max(delays_ms, default=0) <= 0:
        return [0] * len(delays_ms)
    return [each.bit_length() if each > 0 else 0 for each in delays_ms]


def note(delays: list[float], doublings: Sequence[int]) -> None:
    """Count labels that took so long; it is the same as to count one after the other.

    Examples
    --------
    >>> delays = no_delays()
    >>> note(delays, [0] * 9_000 + [10] * 1_002)
    >>> delays[0], delays[10]
    (4500.0, 501.5)
    """
    left = doublings
    while left:
        room = int(_MOST_LABELS - sum(delays)) + 1
        newest, left = left[:room], left[room:]
        for each in {*newest}:
            delays[min(each, _DOUBLINGS - 1)] += newest.count(each)
        if len(newest) == room:
            delays[:] = [round(each / 2 / _SMALLEST) * _SMALLEST for each in delays]


def enough_ms(delays: Sequence[float], longest_ms: int) -> int:
    """Return how long it is enough to wait: four times as long as 95 % of the labels took.

    Examples
    --------
    >>> delays = no_delays()
    >>> note(delays, doublings_of([700] * 95 + [86_400_000] * 5))
    >>> enough_ms(delays, longest_ms=10_000), enough_ms(delays, longest_ms=1_000)
    (4096, 1000)
    """
    labels = sum(delays)
    if not labels:
        return longest_ms
    reached = bisect_left([*accumulate(delays)], _QUANTILE * labels)
    return min(longest_ms, _TIMES_DELAY << reached)
