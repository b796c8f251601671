"""The result of a replay: the numbers of `/metrics` at its end, put together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypedDict

from millrace.models.candidates.baselines import baselines
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.served import Served
from millrace.streams.observability import names
from millrace.streams.observability.scraping import Samples


class Latency(TypedDict):
    """Quantiles in seconds; None without a worker or a prediction."""

    p50: float | None
    p99: float | None


class Report(TypedDict):
    """What `--report` writes as JSON.

    `chain` is the worker's, or `in memory`. `metrics` maps candidate to metric to value; `rejects`
    maps event and label to reason to count, and `first_rejects` reason to what was wrong with the
    first record that was rejected for it.
    """

    pipeline: str
    task: str
    model: str
    scope: str
    chain: str
    events: int
    predictions: int
    rejected: int
    labels: int
    learned: int
    alerts: int
    metrics: dict[str, dict[str, float | None]]
    metrics_combined_from_partitions: int
    throughput_events_per_second: float | None
    seconds: float
    latency_seconds: Latency
    rejects: dict[str, dict[str, int]]
    first_rejects: dict[str, str]
    labels_by_fate: dict[str, int]
    alerts_by_source: dict[str, int]
    served: Served


IN_MEMORY = "in memory"
"""In place of a chain, where no worker ran."""

_EXAMPLES = str(names.PREQUENTIAL_EXAMPLES)
_TO_COMPARE = {
    Task.BINARY: ("accuracy", True),
    Task.MULTICLASS: ("accuracy", True),
    Task.REGRESSION: ("mae", False),
    Task.ANOMALY: ("roc_auc", True),
}


def make_report(
    pipeline: Pipeline,
    samples: Samples,
    *,
    ran: str,
    events: int,
    seconds: float,
    first_rejects: dict[str, str],
    served: Served,
) -> Report:
    """Return the report.

    Parameters
    ----------
    pipeline
        What was run.
    samples
        The metrics at the end.
    ran
        The chain of the worker, or `in memory`.
    events
        How many were produced.
    seconds
        From the first event produced to the last label learned.
    first_rejects
        Reason to what was wrong with the first record that was rejected for it.
    served
        The loss as served, beside each candidate's.
    """
    partitions = samples.by("partition", _EXAMPLES)
    measured = [partition for partition, examples in partitions.items() if examples]
    return {
        "pipeline": pipeline.name,
        "task": str(pipeline.task),
        "model": pipeline.champion,
        "scope": str(pipeline.scope),
        "chain": ran,
        "events": events,
        "predictions": int(samples.total(names.PREDICTIONS.total)),
        "rejected": int(samples.total(names.EVENTS_REJECTED.total)),
        "labels": int(samples.total(names.RECORDS_RECEIVED.total, kind="label")),
        "learned": int(samples.total(names.EXAMPLES_LEARNED.total)),
        "alerts": int(samples.total(names.ALERTS.total)),
        "metrics": combined_metrics(samples),
        "metrics_combined_from_partitions": len(measured),
        "throughput_events_per_second": events / seconds if seconds else None,
        "seconds": seconds,
        "latency_seconds": {
            "p50": None if ran == IN_MEMORY else quantile(samples, 0.5),
            "p99": None if ran == IN_MEMORY else quantile(samples, 0.99),
        },
        "rejects": {
            "event": _counts(samples.by("reason", names.EVENTS_REJECTED.total)),
            "label": _counts(samples.by("reason", names.LABELS_REJECTED.total)),
        },
        "first_rejects": first_rejects,
        "labels_by_fate": _counts(samples.by("fate", names.LABELS.total)),
        "alerts_by_source": _counts(samples.by("source", names.ALERTS.total)),
        "served": served,
    }


def combined_metrics(samples: Samples) -> dict[str, dict[str, float | None]]:
    """Return candidate to metric to value, over all examples.

    Several partitions are averaged, weighted by their examples. That is exact for means over
    examples (accuracy, MAE, log loss; RMSE by its square), and an approximation for other metrics.
    """
    parts: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for labels, value in samples.select(str(names.PREQUENTIAL_METRIC), window="cumulative"):
        where = {name: labels[name] for name in ("partition", "candidate")}
        weight = samples.total(_EXAMPLES, **where)
        parts.setdefault((labels["candidate"], labels["metric"]), []).append((weight, value))
    combined: dict[str, dict[str, float | None]]
    combined = {labels["candidate"]: {} for labels, _ in samples.select(_EXAMPLES)}
    for (candidate, metric), weighted in parts.items():
        value = _average(weighted, squared=metric == "rmse")
        combined.setdefault(candidate, {})[metric] = value if math.isfinite(value) else None
    return combined


def quantile(samples: Samples, share: float) -> float | None:
    """Return a quantile of the latency in seconds, interpolated within its bucket.

    Beyond the last finite bound it is that bound; before the first prediction it is None.
    """
    counts = {
        float(bound): count for bound, count in samples.by("le", names.LATENCY.bucket).items()
    }
    total = counts.get(math.inf, 0.0)
    below, lower = 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if total and count >= share * total:
            if math.isinf(bound) or count == below:
                return lower
            return lower + (bound - lower) * (share * total - below) / (count - below)
        below, lower = count, bound
    return None


def beaten_by(report: Report, pipeline: Pipeline) -> str | None:
    """Say which baseline the champion does not beat, and by which metric; None if it beats all.

    The metric is the first of the pipeline's own, or else the task's.
    """
    metric, more_is_better = _TO_COMPARE[Task(pipeline.task)]
    if pipeline.metrics:
        metric, factory = next(iter(pipeline.metrics.items()))
        more_is_better = bool(factory().bigger_is_better)
    own = report["metrics"].get(pipeline.champion, {}).get(metric)
    for name in baselines(pipeline.task):
        theirs = report["metrics"].get(name, {}).get(metric)
        if own is None or theirs is None:
            continue
        if not (own > theirs if more_is_better else own < theirs):
            return (
                f"{pipeline.champion} does not beat the {name} baseline: {metric}"
                f" {own:.4f} against {theirs:.4f}"
            )
    return None


def _average(weighted: list[tuple[float, float]], squared: bool) -> float:
    if len(weighted) == 1:
        return weighted[0][1]
    total = math.fsum(weight for weight, _ in weighted)
    power = 2 if squared else 1
    mean = math.fsum(weight * value**power for weight, value in weighted) / (total or 1.0)
    return math.sqrt(mean) if squared else mean


def _counts(values: Mapping[str, float]) -> dict[str, int]:
    return {name: int(value) for name, value in sorted(values.items()) if value}
