"""What Prometheus sees of a worker.

Counters and histograms are updated once per batch. What the state of a task shows (prequential
metrics, events that wait for labels) is read when Prometheus scrapes, and costs nothing in between.
Counts of what is known to be possible begin at 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.observability import names
from millrace.streams.observability.beginning import known_alerts
from millrace.streams.observability.few import OPEN_LABELS, FewValues
from millrace.streams.observability.latency import LATENCY_BUCKETS_SECONDS, LatencyHistogram
from millrace.streams.observability.names import MetricName
from millrace.streams.observability.published import Published
from millrace.streams.operators.base import Reading, Tally
from millrace.streams.topology.task import Task

M = TypeVar("M", bound=MetricWrapperBase)

_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


class TaskCollector(Collector):
    """Collects what the state of every running task shows, at each scrape."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._few = {
            (name, each): FewValues(each)
            for name, metric in names.READINGS.items()
            for each in OPEN_LABELS & {*metric.labels}
        }
        self.tasks: dict[tuple[str, int], Task] = {}

    def collect(self) -> Iterator[Metric]:
        """Return the gauges of all operators."""
        families = {
            name: GaugeMetricFamily(
                str(each), each.documentation, labels=["pipeline", *each.labels]
            )
            for name, each in names.READINGS.items()
        }
        shown: dict[tuple[str, ...], float] = {}
        for (_, partition), task in sorted(self.tasks.items()):
            for operator in task.operators:
                for reading in operator.readings():
                    series = (reading.metric, str(partition), *self._labels(reading))
                    shown[series] = shown.get(series, 0.0) + reading.value
        for (metric, *labels), value in shown.items():
            families[metric].add_metric([self._pipeline, *labels], value)
        yield from families.values()

    def _labels(self, reading: Reading) -> Iterator[str]:
        """Yield the labels under which a reading is shown."""
        of_reading = names.READINGS[reading.metric].labels[1:]  # not of the partition
        for label, value in zip(of_reading, reading.labels, strict=True):
            few = self._few.get((reading.metric, label))
            yield value if few is None else few(value)


class _Registry(prometheus.CollectorRegistry):
    """Metrics without the times at which they were made, a series more for each counter."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
            yield metric


class Metrics:
    """Every metric of one worker, in a registry of its own.

    Parameters
    ----------
    pipeline
        The pipeline's name: a label on every metric.
    """

    def __init__(self, pipeline: str) -> None:
        self.registry = _Registry()
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
        self._sources = FewValues("source")
        self.workers_expected = self._gauge(names.WORKERS_EXPECTED)
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

    def begin(self, agent: str, reads: Iterable[str], keeps: Iterable[str]) -> None:
        """Let what is counted of an agent begin at 0.

        Parameters
        ----------
        agent
            Its name.
        reads, keeps
            Topics, without prefix: its inputs, and those of its state.
        """
        for each in (self.restarts, self.state_refused, self.state_lost):
            each.labels(agent)
        for histogram in (self.batch_seconds, self.batch_records, self.save_pause_seconds):
            histogram.labels(agent)
        for error in names.COMMON_ERRORS:
            self.broker_errors.labels(agent, error)
        for topic in reads:
            self.skipped.labels(agent, topic)
            for cause in names.GAP_CAUSES:
                self.gaps.labels(agent, topic, cause)
        for topic in keeps:
            self.state_skipped.labels(agent, topic)

    def watch(self, agent: str, partition: int, task: Task) -> None:
        """Show the state of a task until `forget`."""
        self._tasks.tasks[agent, partition] = task
        self._begin_models(task.operators[0].pipeline)

    def _begin_models(self, pipeline: Pipeline) -> None:
        """Let what a definition's models can lead to begin at 0."""
        by_model = (self._predictions, self._tallied["learned"], self._tallied["failed"])
        for model in pipeline.models:
            for each in by_model:
                each.labels(model)
        for detector, source in known_alerts(pipeline):
            self._alerts.labels(detector, self._sources(source))

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
        for (detector, source), number in published.alerts.items():
            self._alerts.labels(detector, self._sources(source)).inc(number)

    def render(self) -> bytes:
        """Return the exposition that Prometheus scrapes."""
        return prometheus.generate_latest(self.registry)

    def _counter(self, name: MetricName) -> _Labelled[prometheus.Counter]:
        metric = prometheus.Counter(
            str(name), name.documentation, ["pipeline", *name.labels], registry=self.registry
        )
        counter = _Labelled(metric, self._pipeline)
        for values in name.begins:
            counter.labels(*values)
        return counter

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
