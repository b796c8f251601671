"""What Prometheus sees of a worker.

Counters and histograms are updated once per batch. What the state of a task shows (prequential
metrics, events that wait for labels) is read when Prometheus scrapes, and costs nothing in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from millrace.streams.observability import names
from millrace.streams.observability.latency import LATENCY_BUCKETS_SECONDS, LatencyHistogram
from millrace.streams.observability.names import MetricName
from millrace.streams.observability.published import Published
from millrace.streams.operators.base import Tally
from millrace.streams.topology.task import Task

M = TypeVar("M", bound=MetricWrapperBase)

_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


class TaskCollector(Collector):
    """Collects what the state of every running task shows, at each scrape."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self.tasks: dict[tuple[str, int], Task] = {}

    def collect(self) -> Iterator[Metric]:
        """Return the gauges of all operators."""
        families = {
            name: GaugeMetricFamily(
                str(each), each.documentation, labels=["pipeline", *each.labels]
            )
            for name, each in names.READINGS.items()
        }
        for (_, partition), task in sorted(self.tasks.items()):
            for operator in task.operators:
                for metric, labels, value in operator.readings():
                    families[metric].add_metric([self._pipeline, str(partition), *labels], value)
        yield from families.values()


class Metrics:
    """Every metric of one worker, in a registry of its own.

    Parameters
    ----------
    pipeline
        The pipeline's name: a label on every metric.
    """

    def __init__(self, pipeline: str) -> None:
        self.registry = prometheus.CollectorRegistry()
        self._pipeline = pipeline
        self._tasks = TaskCollector(pipeline)
        self.registry.register(self._tasks)
        latency = names.LATENCY
        self.latency = LatencyHistogram(str(latency), latency.documentation, {"pipeline": pipeline})
        self.registry.register(self.latency)
        self._tallied = {what: self._counter(name) for what, name in names.TALLIED.items()}
        self._predictions = self._counter(names.PREDICTIONS)
        self._outcomes = self._counter(names.OUTCOMES)
        self._alerts = self._counter(names.ALERTS)
        self.batch_seconds = self._histogram(names.AGENT_BATCH_SECONDS, LATENCY_BUCKETS_SECONDS)
        self.save_pause_seconds = self._histogram(names.SAVE_PAUSE_SECONDS, LATENCY_BUCKETS_SECONDS)
        self.batch_records = self._histogram(names.AGENT_BATCH_RECORDS, _BATCH_BUCKETS)
        self.lag_records = self._gauge(names.CONSUMER_LAG_RECORDS)
        self.up = self._gauge(names.AGENT_UP)
        self.skipped = self._counter(names.RECORDS_SKIPPED)
        self.gaps = self._counter(names.GAPS_ACCEPTED)
        self.broker_errors = self._counter(names.BROKER_ERRORS)
        self.restarts = self._counter(names.AGENT_RESTARTS)
        self.state_refused = self._counter(names.STATE_REFUSED)
        self.state_lost = self._counter(names.STATE_LOST)
        self.state_skipped = self._counter(names.STATE_SKIPPED)
        self.model_bytes = self._gauge(names.MODEL_SIZE_BYTES)
        self.flush_timestamp = self._gauge(names.SNAPSHOT_TIMESTAMP_SECONDS)
        self.archive_timestamp = self._gauge(names.ARCHIVE_TIMESTAMP_SECONDS)
        self.archive_failures = self._counter(names.ARCHIVE_FAILURES)
        self.restore_seconds = self._gauge(names.RESTORE_SECONDS)

    def watch(self, agent: str, partition: int, task: Task) -> None:
        """Show the state of a task until `forget`."""
        self._tasks.tasks[agent, partition] = task

    def forget(self, agent: str) -> None:
        """Remove what is shown of an agent's partitions: they are revoked."""
        self.up.labels(agent).set(0)
        self._tasks.tasks = {
            where: task for where, task in self._tasks.tasks.items() if where[0] != agent
        }
        self.lag_records.remove_by_labels({"agent": agent})

    def count(self, tally: Tally) -> None:
        """Add what operators counted."""
        for (what, *which), number in tally.items():
            self._tallied[what].labels(*which).inc(number)

    def count_published(self, published: Published, now_ms: float) -> None:
        """Count predictions, outcomes and alerts that became visible at `now_ms`."""
        times_ms = published.event_times_ms.items()
        self.latency.observe(((now_ms - each) / 1000, count) for each, count in times_ms)
        for model, number in published.predictions.items():
            self._predictions.labels(model).inc(number)
        for fate, number in published.outcomes.items():
            self._outcomes.labels(fate).inc(number)
        for alert, number in published.alerts.items():
            self._alerts.labels(*alert).inc(number)

    def render(self) -> bytes:
        """Return the exposition that Prometheus scrapes."""
        return prometheus.generate_latest(self.registry)

    def _counter(self, name: MetricName) -> _Labelled[prometheus.Counter]:
        metric = prometheus.Counter(
            str(name), name.documentation, ["pipeline", *name.labels], registry=self.registry
        )
        return _Labelled(metric, self._pipeline)

    def _gauge(self, name: MetricName) -> _Labelled[prometheus.Gauge]:
        metric = prometheus.Gauge(
            str(name), name.documentation, ["pipeline", *name.labels], registry=self.registry
        )
        return _Labelled(metric, self._pipeline)

    def _histogram(
        self, name: MetricName, buckets: tuple[float, ...]
    ) -> _Labelled[prometheus.Histogram]:
        labels = ["pipeline", *name.labels]
        metric = prometheus.Histogram(
            str(name), name.documentation, labels, registry=self.registry, buckets=buckets
        )
        return _Labelled(metric, self._pipeline)


class _Labelled(Generic[M]):
    """A metric whose label `pipeline` is set."""

    def __init__(self, metric: M, pipeline: str) -> None:
        self._metric = metric
        self._pipeline = pipeline

    def labels(self, *values: object) -> M:
        found: M = self._metric.labels(self._pipeline, *values)
        return found

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        """Remove every series with these labels."""
        self._metric.remove_by_labels(labels)
