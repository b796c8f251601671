"""Metrics: what Prometheus sees. Names and units here are an interface, and do not change.

Counters and histograms are written once a batch. What a task's state already knows (prequential
metrics, waiting events) is read from it when Prometheus asks, and costs nothing in between.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from millrace.streams.operators.base import Tally
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.topology.task import Task

LATENCY_BUCKETS_SECONDS = (
    *(0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1),
    *(0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0),
)
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class LatencyHistogram(Collector):
    """A histogram that takes a batch of values at a time.

    `prometheus_client.Histogram` takes a lock and walks its buckets for every value, which at
    one value per event would cost as much as a small model.
    """

    def __init__(self, name: str, documentation: str, labels: dict[str, str]) -> None:
        self._family = (name, documentation)
        self._labels = labels
        self._counts = [0] * (len(LATENCY_BUCKETS_SECONDS) + 1)
        self._sum_seconds = 0.0

    def observe(self, seconds: Iterable[float]) -> None:
        """Add values."""
        for value, count in Counter(seconds).items():  # to the millisecond, and so often equal
            self._counts[bisect_left(LATENCY_BUCKETS_SECONDS, value)] += count
            self._sum_seconds += value * count

    def collect(self) -> Iterator[Metric]:
        """Return the histogram as Prometheus wants it: cumulative buckets."""
        family = HistogramMetricFamily(*self._family, labels=[*self._labels])
        total, buckets = 0, []
        bounds = [*(str(each) for each in LATENCY_BUCKETS_SECONDS), "+Inf"]
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([*self._labels.values()], buckets, self._sum_seconds)
        yield family


class TaskCollector(Collector):
    """Reads, when asked, what the state of every running task knows."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self.tasks: dict[tuple[str, int], Task] = {}

    def collect(self) -> Iterator[Metric]:
        """Return the prequential metrics, the pending entries and the model versions."""
        quality = GaugeMetricFamily(
            "millrace_prequential_metric",
            "Prequential metric of a candidate or baseline, in the metric's own unit.",
            labels=["pipeline", "partition", "candidate", "metric", "window"],
        )
        scored = GaugeMetricFamily(
            "millrace_prequential_examples",
            "Examples that the cumulative prequential metrics rest on.",
            labels=["pipeline", "partition", "candidate"],
        )
        pending = GaugeMetricFamily(
            "millrace_pending",
            "Events that wait for their labels (event) and labels for their events (label).",
            labels=["pipeline", "partition", "kind"],
        )
        version = GaugeMetricFamily(
            "millrace_model_version",
            "Examples learned from: the newest among the partition's models.",
            labels=["pipeline", "partition"],
        )
        held = GaugeMetricFamily(
            "millrace_models", "Model sets held.", labels=["pipeline", "partition"]
        )
        for (_, partition), task in sorted(self.tasks.items()):
            where = [self._pipeline, str(partition)]
            for operator in task.operators:
                if isinstance(operator, PredictionOperator):
                    pending.add_metric([*where, "event"], len(operator.waiting))
                    pending.add_metric([*where, "label"], len(operator.early))
                if isinstance(operator, LearningOperator):
                    versions = [each.version for each in operator.stores["models"].values()]
                    version.add_metric(where, max(versions, default=0))
                    held.add_metric(where, len(versions))
                    _add_quality(quality, scored, where, operator)
        yield from (quality, scored, pending, version, held)


def _add_quality(
    quality: GaugeMetricFamily,
    scored: GaugeMetricFamily,
    where: list[str],
    operator: LearningOperator,
) -> None:
    evaluation = operator.evaluation
    if evaluation is None:
        return
    windows = {"cumulative": evaluation.cumulative(), "rolling": evaluation.rolling()}
    for window, by_candidate in windows.items():
        for candidate, metrics in by_candidate.items():
            for metric, value in metrics.items():
                quality.add_metric([*where, candidate, metric, window], value)
    for candidate, count in evaluation.examples.items():
        scored.add_metric([*where, candidate], count)


class Metrics:
    """Every metric of one worker, in a registry of its own.

    Parameters
    ----------
    pipeline
        The pipeline's name: a label on every metric.
    """

    def __init__(self, pipeline: str) -> None:
        self.registry = CollectorRegistry()
        self._pipeline = pipeline
        self._tasks = TaskCollector(pipeline)
        self.registry.register(self._tasks)
        self._tallied = {
            "received": self._counter("records_received", "Records read, by kind.", "kind"),
            "rejected_event": self._counter("events_rejected", "Events in rejects.", "reason"),
            "rejected_label": self._counter("labels_rejected", "Labels in rejects.", "reason"),
            "label": self._counter("labels", "Labels, by what became of them.", "fate"),
            "expired": self._counter("events_expired", "Events whose label did not come.", "cause"),
            "learned": self._counter("examples_learned", "Examples learned from.", "model"),
        }
        self._predictions = self._counter("predictions", "Predictions made.", "model")
        self._alerts = self._counter("alerts", "Drift alerts.", "detector", "source")
        self.latency = LatencyHistogram(
            "millrace_end_to_end_latency_seconds",
            "From the event's Kafka timestamp to its prediction.",
            {"pipeline": pipeline},
        )
        self.registry.register(self.latency)
        self.batch_seconds = self._histogram(
            "agent_batch_seconds", "To fold and commit one batch.", LATENCY_BUCKETS_SECONDS
        )
        self.batch_records = self._histogram(
            "agent_batch_records", "Records in one batch.", _BATCH_BUCKETS
        )
        self.lag_records = self._gauge(
            "consumer_lag_records", "Records not yet read.", "agent", "topic", "partition"
        )
        self.up = self._gauge("agent_up", "1 while an agent has its partitions.", "agent")
        self.skipped = self._counter(
            "records_skipped", "Expired records done without (accept_gaps).", "agent", "topic"
        )
        self.broker_errors = self._counter(
            "broker_errors", "Errors of the broker that were tried again.", "agent", "error"
        )
        self.restarts = self._counter("agent_restarts", "After an error.", "agent")
        self.model_bytes = self._gauge("model_size_bytes", "The last snapshot.", "partition")
        self.flush_timestamp = self._gauge(
            "snapshot_timestamp_seconds", "When state was last saved; Unix time.", "agent"
        )
        self.restore_seconds = self._gauge("restore_seconds", "To read state back.", "agent")

    def watch(self, agent: str, partition: int, task: Task) -> None:
        """Show what a task knows, until it is forgotten."""
        self._tasks.tasks[agent, partition] = task

    def forget(self, agent: str) -> None:
        """Show no more of an agent whose partitions are gone."""
        self.up.labels(agent).set(0)
        self._tasks.tasks = {
            where: task for where, task in self._tasks.tasks.items() if where[0] != agent
        }
        self.lag_records.forget(agent)

    def count(self, tally: Tally) -> None:
        """Add what operators have tallied."""
        for (what, which), number in tally.items():
            self._tallied[what].labels(which).inc(number)

    def count_outputs(self, predictions: Counter[str], alerts: Counter[tuple[str, str]]) -> None:
        """Add the predictions by model, and the alerts by detector and source."""
        for model, number in predictions.items():
            self._predictions.labels(model).inc(number)
        for (detector, source), number in alerts.items():
            self._alerts.labels(detector, source).inc(number)

    def render(self) -> bytes:
        """Return the exposition that Prometheus scrapes."""
        return generate_latest(self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> _Metric:
        return self._made(PrometheusCounter, name, documentation, labels)

    def _gauge(self, name: str, documentation: str, *labels: str) -> _Metric:
        return self._made(Gauge, name, documentation, labels)

    def _histogram(self, name: str, documentation: str, buckets: Iterable[float]) -> _Metric:
        return self._made(Histogram, name, documentation, ("agent",), buckets=tuple(buckets))

    def _made(
        self, kind: Any, name: str, documentation: str, labels: Iterable[str], **more: Any
    ) -> _Metric:
        names = ["pipeline", *labels]
        made = kind(f"millrace_{name}", documentation, names, registry=self.registry, **more)
        return _Metric(made, self._pipeline, names[-1] if len(names) == 1 else names[1])


class _Metric:
    """A metric that already knows its pipeline."""

    def __init__(self, metric: Any, pipeline: str, first_label: str) -> None:
        self._metric = metric
        self._pipeline = pipeline
        self._first_label = first_label

    def labels(self, *values: object) -> Any:
        return self._metric.labels(self._pipeline, *values)

    def forget(self, first_label: str) -> None:
        """Take back every series whose first label, after the pipeline, is this one."""
        self._metric.remove_by_labels({self._first_label: first_label})
