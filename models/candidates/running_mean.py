"""The running mean of River, taken on over several values at once.

Baselines and metrics rest on it. River's `Mean.update_many` gives another mean in the last digits,
and one that depends on where values are cut.
"""

from __future__ import annotations

from collections.abc import Iterable

from river import stats


def means(mean: stats.Mean, values: Iterable[float]) -> list[float]:
    """Update a mean with values, and return what it was before the first and after each.

    Equivalent to `mean.update` with one value after the other, to the last digit.

    Examples
    --------
    >>> means(stats.Mean(), [1.0, 2.0, 6.0])
    [0.0, 1.0, 1.5, 3.0]
    """
    n, now = mean.n, mean._mean
    found = [now]
    for value in values:
        n += 1.0
        now += (1.0 / n) * (value - now)
        found.append(now)
    mean.n, mean._mean = n, now
    return found
