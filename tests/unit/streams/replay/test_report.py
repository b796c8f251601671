"""The report puts the numbers of `/metrics` together."""

from __future__ import annotations

import json
import math

import pytest
from river import metrics

from millrace.models.selection.served import as_served
from millrace.streams.observability.scraping import Samples
from millrace.streams.replay.report import (
    IN_MEMORY,
    Report,
    beaten_by,
    combined_metrics,
    make_report,
    quantile,
)

BUCKET = "millrace_end_to_end_latency_seconds_bucket"

NOTHING = as_served([])


def _quality(partition, candidate, examples, **values):
    where = {"partition": partition, "candidate": candidate}
    yield "millrace_prequential_examples", where, float(examples)
    for metric, value in values.items():
        for window, shown in (("cumulative", value), ("rolling", -1.0)):
            labels = {**where, "metric": metric, "window": window}
            yield "millrace_prequential_metric", labels, shown


def _latency(**counts):
    return Samples([(BUCKET, {"le": bound}, float(count)) for bound, count in counts.items()])


def test_metrics_of_one_partition_are_passed_on_to_the_last_digit():
    """Nothing is averaged, so nothing is rounded, if one partition has all examples."""
    samples = Samples([*_quality("0", "tree", 3, accuracy=0.1 + 0.2, f1=1 / 3)])
    assert combined_metrics(samples) == {"tree": {"accuracy": 0.1 + 0.2, "f1": 1 / 3}}


def test_partitions_are_weighted_by_their_examples():
    """A mean of means is one over all examples; for RMSE, that of the squares."""
    samples = Samples(
        [
            *_quality("0", "tree", 10, accuracy=0.5, rmse=1.0),
            *_quality("1", "tree", 30, accuracy=0.9, rmse=3.0),
        ]
    )
    combined = combined_metrics(samples)["tree"]
    assert combined["accuracy"] == pytest.approx(0.8)
    assert combined["rmse"] == pytest.approx(math.sqrt((10 * 1 + 30 * 9) / 40))


def test_a_candidate_that_never_predicted_has_no_metrics():
    """But it is there: the champion is always a key."""
    samples = Samples([*_quality("0", "tree", 0), *_quality("0", "prior", 4, accuracy=0.5)])
    assert combined_metrics(samples) == {"tree": {}, "prior": {"accuracy": 0.5}}


def test_quantiles_are_interpolated_within_their_bucket():
    """Half of ten values, six of them in (0.1, 0.2]: the median is a sixth into that bucket."""
    samples = _latency(**{"0.1": 4, "0.2": 10, "+Inf": 10})
    assert quantile(samples, 0.5) == pytest.approx(0.1 + 0.1 / 6)
    assert quantile(samples, 0.2) == pytest.approx(0.05)


def test_quantiles_without_a_bound_stay_at_the_last_bound():
    """Beyond the buckets it is at least the last bound; without values there is none."""
    assert quantile(_latency(**{"0.1": 0, "+Inf": 4}), 0.5) == pytest.approx(0.1)
    assert quantile(Samples([]), 0.5) is None
    assert quantile(_latency(**{"0.1": 0, "+Inf": 0}), 0.5) is None


def test_the_report_counts_what_the_worker_counted(make_pipeline):
    """Every number is the worker's own, except the events and the time they took."""
    samples = Samples(
        [
            ("millrace_records_received_total", {"kind": "label"}, 4.0),
            ("millrace_predictions_total", {"model": "own"}, 5.0),
            ("millrace_events_rejected_total", {"reason": "malformed"}, 1.0),
            ("millrace_labels_rejected_total", {"reason": "late_label"}, 2.0),
            ("millrace_examples_learned_total", {"model": "own"}, 2.0),
            ("millrace_labels_total", {"fate": "joined"}, 2.0),
            ("millrace_alerts_total", {"source": "loss:own", "detector": "ADWIN"}, 3.0),
            *((BUCKET, {"le": le}, float(n)) for le, n in (("0.1", 8), ("1.0", 10), ("+Inf", 10))),
            *_quality("0", "own", 2, accuracy=float("nan")),
            *_quality("1", "own", 0),
        ]
    )
    made = make_report(
        make_pipeline(),
        samples,
        ran="default",
        events=6,
        seconds=2.0,
        first_rejects={"malformed": "why"},
        served=NOTHING,
    )
    assert made["latency_seconds"] == {
        "p50": pytest.approx(0.0625),
        "p99": pytest.approx(0.1 + 0.9 * 1.9 / 2),
    }
    expected = {
        "pipeline": "p",
        "task": "binary",
        "seconds": 2.0,
        "model": "own",
        "scope": "global",
        "chain": "default",
        "events": 6,
        "predictions": 5,
        "rejected": 1,
        "labels": 4,
        "learned": 2,
        "alerts": 3,
        "metrics": {"own": {"accuracy": None}},
        "metrics_combined_from_partitions": 1,
        "throughput_events_per_second": 3.0,
        "rejects": {"event": {"malformed": 1}, "label": {"late_label": 2}},
        "first_rejects": {"malformed": "why"},
        "labels_by_fate": {"joined": 2},
        "alerts_by_source": {"loss:own": 3},
        "served": NOTHING,
    }
    assert expected.items() <= made.items()
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert {*made} == Report.__required_keys__


def test_in_memory_there_is_no_latency(make_pipeline):
    """All rows are produced at one time. No time has no throughput."""
    samples = _latency(**{"0.1": 4, "+Inf": 4})
    made = make_report(
        make_pipeline(),
        samples,
        ran=IN_MEMORY,
        events=4,
        seconds=0.0,
        first_rejects={},
        served=NOTHING,
    )
    assert made["latency_seconds"] == {"p50": None, "p99": None}
    assert made["throughput_events_per_second"] is None
    assert made["metrics_combined_from_partitions"] == 0


@pytest.mark.parametrize(
    ("task", "own", "no_change", "is_beaten"),
    [
        ("binary", {"accuracy": 0.8}, {"accuracy": 0.9}, True),
        ("binary", {"accuracy": 0.9}, {"accuracy": 0.8}, False),
        ("binary", {"accuracy": 0.9}, {"accuracy": 0.9}, True),
        ("regression", {"mae": 2.0}, {"mae": 1.0}, True),
        ("regression", {"mae": 1.0}, {"mae": 2.0}, False),
        ("multiclass", {"accuracy": 0.8}, {"accuracy": 0.9}, True),
        ("anomaly", {"roc_auc": 0.8}, {"roc_auc": 0.9}, True),
        ("anomaly", {"roc_auc": 0.9}, {"roc_auc": 0.8}, False),
        ("binary", {}, {"accuracy": 0.8}, False),
        ("binary", {"accuracy": 0.8}, {}, False),
    ],
)
def test_a_champion_that_does_not_beat_a_baseline_is_named(
    make_pipeline, task, own, no_change, is_beaten
):
    """A model must be better than a baseline, not only as good; a smaller error is better."""
    said = beaten_by({"metrics": {"own": own, "no_change": no_change}}, make_pipeline(task))
    assert (said is not None and "no_change" in said) is is_beaten


def test_the_pipelines_own_metric_decides(make_pipeline):
    """If a pipeline has its own metrics, the first of them is compared."""
    pipeline = make_pipeline(metrics={"loss": metrics.LogLoss})
    report = {"metrics": {"own": {"loss": 0.2}, "no_change": {"loss": 0.1}}}
    assert "loss 0.2000 against 0.1000" in (beaten_by(report, pipeline) or "")
