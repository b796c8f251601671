"""What a replay has shown: the worker's own numbers, put together from its `/metrics`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from millrace.models.candidates.baselines import baselines
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.streams.observability.scraping import Samples
from millrace.streams.settings import Settings

Report: TypeAlias = dict[str, Any]

_LATENCY = "millrace_end_to_end_latency_seconds_bucket"
_QUALITY = "millrace_prequential_metric"
_EXAMPLES = "millrace_prequential_examples"
_TO_COMPARE = {
    Task.BINARY: ("accuracy", True),
    Task.MULTICLASS: ("accuracy", True),
    Task.REGRESSION: ("mae", False),
    Task.ANOMALY: ("roc_auc", True),
}


def make_report(
    pipeline: Pipeline, settings: Settings, samples: Samples, *, events: int, seconds: float
) -> Report:
    """Return the report, ready to be written as JSON.

    Parameters
    ----------
    pipeline, settings
        What was run.
    samples
        The worker's metrics at the end.
    events
        How many were produced.
    seconds
        From the first event produced to the last label learned.
    """
    partitions = samples.by("partition", _EXAMPLES)
    measured = [partition for partition, examples in partitions.items() if examples]
    return {
        "pipeline": pipeline.name,
        "task": str(pipeline.task),
        "model": pipeline.champion,
        "scope": str(pipeline.scope),
        "chain": settings.chain,
        "events": events,
        "predictions": int(samples.total("millrace_predictions_total")),
        "rejected": int(samples.total("millrace_events_rejected_total")),
        "labels": int(samples.total("millrace_records_received_total", kind="label")),
        "learned": int(samples.total("millrace_examples_learned_total")),
        "alerts": int(samples.total("millrace_alerts_total")),
        "metrics": combined_metrics(samples),
        "metrics_combined_from_partitions": len(measured),
        "throughput_events_per_second": events / seconds if seconds else None,
        "seconds": seconds,
        "latency_seconds": {
            name: quantile(samples, share) for name, share in (("p50", 0.5), ("p99", 0.99))
        },
        "rejects": {
            "event": _counts(samples.by("reason", "millrace_events_rejected_total")),
            "label": _counts(samples.by("reason", "millrace_labels_rejected_total")),
        },
        "labels_by_fate": _counts(samples.by("fate", "millrace_labels_total")),
        "alerts_by_source": _counts(samples.by("source", "millrace_alerts_total")),
    }


def combined_metrics(samples: Samples) -> dict[str, dict[str, float | None]]:
    """Return candidate to metric to value, over all examples; one that never spoke has no metric.

    Several partitions are averaged by their examples: exact for what is a mean over examples
    (accuracy, MAE, log loss; RMSE by way of its square), an approximation for the rest.
    """
    parts: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for labels, value in samples.select(_QUALITY, window="cumulative"):
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

    None before the first prediction; the last finite bound where it lies beyond that.
    """
    counts = {float(bound): count for bound, count in samples.by("le", _LATENCY).items()}
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
    """Say which baseline the champion does not beat, and by what metric; None if it beats all.

    The metric is the task's first, or the pipeline's own first where it has its own.
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
