"""A histogram that takes a batch of values at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

LATENCY_BUCKETS_SECONDS = (
    *(0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1),
    *(0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0),
)


class LatencyHistogram(Collector):
    """Counts latencies in buckets.

    `prometheus_client.Histogram` takes a lock and searches its buckets for every value. With one
    value per event that would cost as much as a small model.

    Parameters
    ----------
    name, documentation
        Of the metric.
    labels
        Name to value.
    """

    def __init__(self, name: str, documentation: str, labels: dict[str, str]) -> None:
        self._family = (name, documentation)
        self._labels = labels
        self._counts = [0] * (len(LATENCY_BUCKETS_SECONDS) + 1)
        self._sum_seconds = 0.0

    def observe(self, latencies: Iterable[tuple[float, int]]) -> None:
        """Add latencies: seconds, and how many there are of them."""
        for value, count in latencies:
            self._counts[bisect_left(LATENCY_BUCKETS_SECONDS, value)] += count
            self._sum_seconds += value * count

    def collect(self) -> Iterator[Metric]:
        """Return the histogram with cumulative buckets, as Prometheus expects it."""
        family = HistogramMetricFamily(*self._family, labels=[*self._labels])
        total, buckets = 0, []
        bounds = [*(str(each) for each in LATENCY_BUCKETS_SECONDS), "+Inf"]
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([*self._labels.values()], buckets, self._sum_seconds)
        yield family
