"""Offsets as they were over time, in bounded memory: what rates and lag in seconds follow from."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import NamedTuple, TypeAlias

from millrace.streams.kafka.protocols import Place
from millrace.streams.topology.names import short_name

MOST_SAMPLES = 1_860
"""Samples that are kept: an hour of one every two seconds, and an hour before by minutes."""

_MOST_ENDS = 200_000  # offsets of partitions that are kept
_RATE_SECONDS = 10.0
_LEAST_SECONDS = 0.5
_AT_LEAST = 0.95  # of the distance between two that are shown

Offsets: TypeAlias = Mapping[Place, int]
"""Of each partition: the offset behind its last record."""


class Sample(NamedTuple):
    """What the broker said at one time.

    Attributes
    ----------
    at
        Seconds since the Unix epoch.
    totals
        Topic to the sum of the offsets behind the last records of its partitions.
    lags
        Agent to records that it has not read yet; none of the past.
    """

    at: float
    totals: Mapping[str, int]
    lags: Mapping[str, int]

    def rate_since(self, before: Sample, topic: str) -> float:
        """Return how many records a second have come to a topic since another sample."""
        total = self.totals.get(topic, 0)
        records = total - before.totals.get(topic, total)  # it was not looked at before
        return round(max(records, 0) / max(self.at - before.at, _LEAST_SECONDS), 2)


class Ends:
    """Where partitions ended at some times, oldest first."""

    def __init__(self, known: Sequence[tuple[float, Offsets]]) -> None:
        self._known = known

    @property
    def newest(self) -> Offsets:
        """The last that is known; empty where there is none."""
        return self._known[-1][1] if self._known else {}

    def seconds_since(self, place: Place, offset: int) -> float:
        """Return for how long a partition has had a record at an offset, as far as is known.

        Between two samples, records are taken to have come evenly.
        """
        now = self._known[-1][0]
        ends = [each.get(place, 0) for _, each in self._known]
        behind = bisect_right(ends, offset)  # the first sample that had it
        if behind == 0:
            return now - self._known[0][0]
        if behind == len(ends):
            return 0.0
        before, after = self._known[behind - 1][0], self._known[behind][0]
        share = (offset - ends[behind - 1]) / max(ends[behind] - ends[behind - 1], 1)
        return now - (before + share * (after - before))


class Samples:
    """Samples, the newest of them; one thread adds them, others look.

    Examples
    --------
    >>> samples = Samples()
    >>> for at, end in ((0.0, 0), (2.0, 10), (4.0, 30)):
    ...     samples.add(at, {("events", 0): end}, {})
    >>> samples.rate("events"), samples.ends.seconds_since(("events", 0), 20)
    (7.5, 1.0)
    """

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=MOST_SAMPLES)
        self._ends: deque[tuple[float, Offsets]] = deque()
        self._lock = Lock()

    def add(self, at: float, ends: Offsets, lags: Mapping[str, int], prefix: str = "") -> None:
        """Take a sample: each topic's is kept for as long as is shown, each partition's less long.

        Parameters
        ----------
        prefix
            What the names of topics begin with.
        """
        totals: Counter[str] = Counter()
        for (topic, _), end in ends.items():
            totals[short_name(prefix, topic)] += end
        with self._lock:
            self._samples.append(Sample(at, totals, lags))
            self._ends.append((at, ends))
            while len(self._ends) > max(_MOST_ENDS // max(len(ends), 1), 2):
                self._ends.popleft()

    @property
    def ends(self) -> Ends:
        """Where partitions ended."""
        with self._lock:
            return Ends([*self._ends])

    def rate(self, topic: str) -> float | None:
        """Return how many records a second have come to a topic lately; None if not known."""
        with self._lock:
            samples = [*self._samples]
        if len(samples) < 2:
            return None
        *before, last = samples
        since = last.at - _RATE_SECONDS
        recent = (each for each in before if each.at >= since and topic in each.totals)
        return last.rate_since(next(recent, before[-1]), topic)

    def shown(self, most: int) -> list[Sample]:
        """Return about so many, at even distances in time, the last one among them.

        Examples
        --------
        >>> samples = Samples()
        >>> for at in range(8):
        ...     samples.add(at, {}, {})
        >>> [each.at for each in samples.shown(4)]
        [1, 4, 7]
        """
        with self._lock:
            samples = [*self._samples]
        if len(samples) <= most:
            return samples
        step = (samples[-1].at - samples[0].at) / (most - 1)
        found: list[Sample] = []
        for each in reversed(samples):
            if not found or each.at <= found[-1].at - step * _AT_LEAST:
                found.append(each)
        return found[::-1]
