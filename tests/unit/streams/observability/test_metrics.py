"""What Prometheus sees: names, labels and values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from millrace.schemas import RejectReason
from millrace.streams.observability.latency import LATENCY_BUCKETS_SECONDS, LatencyHistogram
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import (
    AlertRecord,
    OutcomeRecord,
    PredictionRecord,
    reject,
)
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.chain import parse_chain
from millrace.streams.topology.factory import TaskFactory

Make = Callable[..., Any]
NOW_MS = 1_700_000_000_000


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Parse the exposition; every sample must be there once."""
    found: dict[Any, float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            where = sample.name, frozenset(sample.labels.items())
            assert where not in found
            found[where] = sample.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset({"pipeline": "p", **labels}.items())))


seconds = st.floats(min_value=-1, max_value=1e4) | st.sampled_from(LATENCY_BUCKETS_SECONDS)


@settings(max_examples=50, deadline=None)
@given(batches=st.lists(st.lists(seconds, max_size=20), max_size=5))
def test_latency_histogram_is_prometheus_own(batches: list[list[float]]) -> None:
    """In batches or one by one, buckets, count and sum are those of `prometheus_client`."""
    theirs = Histogram(
        "x_seconds",
        "x",
        ["pipeline"],
        buckets=LATENCY_BUCKETS_SECONDS,
        registry=CollectorRegistry(),
    )
    ours = LatencyHistogram("x_seconds", "x", {"pipeline": "p"})
    for batch in batches:
        ours.observe(batch)
        for each in batch:
            theirs.labels("p").observe(each)
    theirs.labels("p")
    (our_family,), (their_family,) = ours.collect(), theirs.collect()
    expected = [each for each in their_family.samples if not each.name.endswith("_created")]
    assert [(each.name, each.labels) for each in our_family.samples] == [
        (each.name, each.labels) for each in expected
    ]
    for our_sample, their_sample in zip(our_family.samples, expected, strict=True):
        assert math.isclose(our_sample.value, their_sample.value, rel_tol=1e-9, abs_tol=1e-9)


def test_renders_from_the_start() -> None:
    """Before the first record the exposition is there and parses."""
    metrics = Metrics("p")
    assert value(metrics, "millrace_end_to_end_latency_seconds_count") == 0
    assert not [name for name, _ in samples(metrics) if not name.startswith("millrace_")]


def test_tallies_become_counters() -> None:
    """What operators tally is counted under its name, kind and reason, and adds up."""
    metrics = Metrics("p")
    for _ in range(2):
        metrics.count(
            Counter(
                {
                    ("received", "event"): 3,
                    ("received", "label"): 1,
                    ("rejected_event", "malformed"): 2,
                    ("rejected_label", "orphan_label"): 1,
                    ("label", "joined"): 5,
                    ("expired", "ttl"): 4,
                    ("learned", "own"): 6,
                }
            )
        )
    for name, labels, total in (
        ("records_received", {"kind": "event"}, 6),
        ("records_received", {"kind": "label"}, 2),
        ("events_rejected", {"reason": "malformed"}, 4),
        ("labels_rejected", {"reason": "orphan_label"}, 2),
        ("labels", {"fate": "joined"}, 10),
        ("events_expired", {"cause": "ttl"}, 8),
        ("examples_learned", {"model": "own"}, 12),
    ):
        assert value(metrics, f"millrace_{name}_total", **labels) == total


def test_outputs_are_counted(make_origin: Make) -> None:
    """Predictions count by model, outcomes by fate, alerts by detector and source."""
    metrics = Metrics("p")
    origin = make_origin(timestamp_ms=NOW_MS)
    metrics.count_published(
        [
            *(PredictionRecord({"model": "own"}, origin) for _ in range(3)),  # type: ignore[typeddict-item]
            OutcomeRecord({"fate": "joined"}, origin),  # type: ignore[typeddict-item]
            AlertRecord({"detector": "ADWIN", "source": "loss:own"}, origin),  # type: ignore[typeddict-item]
            reject(origin, RejectReason.EMPTY, "why"),
        ],
        now_ms=NOW_MS + 20,
    )
    assert value(metrics, "millrace_outcomes_total", fate="joined") == 1
    assert value(metrics, "millrace_end_to_end_latency_seconds_sum") == 0.06
    assert value(metrics, "millrace_end_to_end_latency_seconds_bucket", le="0.02") == 3
    assert value(metrics, "millrace_end_to_end_latency_seconds_bucket", le="0.015") == 0
    assert value(metrics, "millrace_predictions_total", model="own") == 3
    alerts = value(metrics, "millrace_alerts_total", detector="ADWIN", source="loss:own")
    assert alerts == 1


@pytest.fixture
def run(make_pipeline: Make, make_vector: Make, make_label: Make) -> Callable[[Metrics], None]:
    """Run prediction and learning over a few records, and show them to the metrics."""

    def start(metrics: Metrics) -> None:
        agent = parse_chain("default")[2]
        factory = TaskFactory(
            make_pipeline(),
            agent,
            1,
            1_000,
            lambda _: None,
            lambda _: None,
            lambda: 0,  # type: ignore[arg-type,return-value]
        )
        task = factory.make()
        metrics.watch(agent.name, 3, task)
        records = [make_vector(f"e{i}", a=1.0) for i in range(4)]
        records += [make_label("e0", True), make_label("e1", False), make_label("x", True)]
        task.run(Slice(records))
        metrics.count(task.take_tally())

    return start


def test_state_is_read_when_asked(run: Callable[[Metrics], None]) -> None:
    """Quality, pending entries and versions are those of the running tasks, by partition."""
    metrics = Metrics("p")
    run(metrics)
    where = {"partition": "3"}
    assert value(metrics, "millrace_pending", kind="event", **where) == 2
    assert value(metrics, "millrace_pending", kind="label", **where) == 1
    assert value(metrics, "millrace_model_version", **where) == 2
    assert value(metrics, "millrace_models", **where) == 1
    assert value(metrics, "millrace_prequential_examples", candidate="own", **where) == 2
    quality = {"candidate": "own", "metric": "accuracy", **where}
    assert value(metrics, "millrace_prequential_metric", window="cumulative", **quality) == 0.5
    assert value(metrics, "millrace_prequential_metric", window="rolling", **quality) == 0.5
    assert value(metrics, "millrace_labels_total", fate="early") == 1
    metrics.forget("prediction-learning")
    assert value(metrics, "millrace_pending", kind="event", **where) is None


def test_pipelines_do_not_share(run: Callable[[Metrics], None]) -> None:
    """Each worker has a registry of its own."""
    first, second = Metrics("p"), Metrics("p")
    run(first)
    assert value(second, "millrace_model_version", partition="3") is None
