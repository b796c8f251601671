"""What Prometheus sees: names, labels and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from millrace import Pipeline
from millrace.schemas import RejectReason
from millrace.streams.observability import names
from millrace.streams.observability.metrics import Metrics
from millrace.streams.observability.published import Published
from millrace.streams.operators import outcomes
from millrace.streams.operators.base import Reading
from millrace.streams.operators.drift import DriftOperator
from millrace.streams.operators.record import (
    AlertRecord,
    OutcomeRecord,
    PredictionRecord,
    reject,
)
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.chain import parse_chain
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task

Make = Callable[..., Any]
NOW_MS = 1_700_000_000_000


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Parse the exposition, in which every sample must be unique."""
    found: dict[Any, float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            where = sample.name, frozenset(sample.labels.items())
            assert where not in found
            found[where] = sample.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset({"pipeline": "p", **labels}.items())))


def test_renders_from_the_start() -> None:
    """Before the first record, the exposition is valid and has the prefix throughout."""
    metrics = Metrics("p")
    assert value(metrics, "millrace_end_to_end_latency_seconds_count") == 0
    assert not [name for name, _ in samples(metrics) if not name.startswith("millrace_")]


def test_tallies_become_counters() -> None:
    """What operators tally is added up under its name, kind and reason."""
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
    """Predictions are counted by model, outcomes by fate, alerts by detector and source."""
    metrics = Metrics("p")
    origin = make_origin(timestamp_ms=NOW_MS)
    metrics.count_published(
        Published(
            [
                *(PredictionRecord({"model": "own"}, origin) for _ in range(3)),  # type: ignore[typeddict-item]
                OutcomeRecord({"fate": "joined"}, origin),  # type: ignore[typeddict-item]
                AlertRecord({"detector": "ADWIN", "source": "loss:own"}, origin),  # type: ignore[typeddict-item]
                reject(origin, RejectReason.EMPTY, "why"),
            ]
        ),
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
    """Run prediction and learning over a few records, watched by the metrics."""

    def start(metrics: Metrics) -> None:
        agent = parse_chain("default")[2]
        factory = TaskFactory(
            make_pipeline(),
            agent,
            1,
            1_000,
        )
        task = factory.make()
        metrics.watch(agent.name, 3, task)
        records = [make_vector(f"e{i}", a=1.0) for i in range(4)]
        records += [make_label("e0", True), make_label("e1", False), make_label("x", True)]
        task.run(Slice(records))
        metrics.count(task.take_tally())

    return start


def test_state_is_read_at_each_scrape(run: Callable[[Metrics], None]) -> None:
    """Metrics, pending entries and versions are those of the running tasks, by partition."""
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


def test_an_agent_without_partitions_is_forgotten(run: Callable[[Metrics], None]) -> None:
    """Its state and its lag are no longer shown, and it is down; other agents stay."""
    metrics = Metrics("p")
    run(metrics)
    for agent in ("prediction-learning", "drift"):
        metrics.up.labels(agent).set(1)
        metrics.lag_records.labels(agent, "features", 3).set(5)
    metrics.forget("drift")
    assert value(metrics, "millrace_pending", kind="event", partition="3") == 2
    metrics.forget("prediction-learning")
    assert value(metrics, "millrace_pending", kind="event", partition="3") is None
    assert value(metrics, "millrace_agent_up", agent="drift") == 0
    assert not [name for name, _ in samples(metrics) if name == "millrace_consumer_lag_records"]


def test_an_agent_keeps_its_lag_when_another_is_forgotten() -> None:
    """The lag is removed by agent."""
    metrics = Metrics("p")
    for agent in ("feature", "drift"):
        metrics.lag_records.labels(agent, "clean", 0).set(5)
    metrics.forget("drift")
    lag = {"agent": "feature", "topic": "clean", "partition": "0"}
    assert value(metrics, "millrace_consumer_lag_records", **lag) == 5


def test_what_the_runtime_counts_has_its_name_and_labels() -> None:
    """Each is a metric of the reference page."""
    metrics = Metrics("p")
    metrics.batch_seconds.labels("drift").observe(0.25)
    metrics.save_pause_seconds.labels("drift").observe(0.04)
    metrics.batch_records.labels("drift").observe(7)
    metrics.up.labels("drift").set(1)
    metrics.restarts.labels("drift").inc()
    metrics.skipped.labels("drift", "clean").inc(3)
    metrics.broker_errors.labels("drift", "_TRANSPORT").inc()
    metrics.model_bytes.labels(2).set(1_000)
    metrics.flush_timestamp.labels("drift").set(5)
    metrics.restore_seconds.labels("drift").set(0.5)
    drift = {"agent": "drift"}
    for name, labels, expected in (
        ("agent_batch_seconds_sum", drift, 0.25),
        ("save_pause_seconds_sum", drift, 0.04),
        ("agent_batch_records_sum", drift, 7),
        ("agent_up", drift, 1),
        ("agent_restarts_total", drift, 1),
        ("records_skipped_total", {"topic": "clean", **drift}, 3),
        ("broker_errors_total", {"error": "_TRANSPORT", **drift}, 1),
        ("model_size_bytes", {"partition": "2"}, 1_000),
        ("snapshot_timestamp_seconds", drift, 5),
        ("restore_seconds", drift, 0.5),
    ):
        assert value(metrics, f"millrace_{name}", **labels) == expected, name
    assert value(metrics, "millrace_agent_batch_seconds_bucket", le="0.2", **drift) == 0
    assert value(metrics, "millrace_agent_batch_seconds_bucket", le="0.25", **drift) == 1
    assert value(metrics, "millrace_agent_batch_records_bucket", le="5.0", **drift) == 0
    assert value(metrics, "millrace_agent_batch_records_bucket", le="10.0", **drift) == 1


def test_what_is_known_begins_at_0(run: Callable[[Metrics], None]) -> None:
    """Reasons, fates, commands, what happens to agents, and what models can lead to."""
    metrics = Metrics("p")
    metrics.begin("drift", ["predictions"], ["state.drift"])
    run(metrics)
    for name, labels in (
        *(("events_rejected", {"reason": each.value}) for each in RejectReason),
        *(("labels_rejected", {"reason": each.value}) for each in RejectReason),
        ("outcomes", {"fate": "expired"}),
        ("labels", {"fate": "orphan"}),
        *(("events_expired", {"cause": each}) for each in ("ttl", "limit", "removed")),
        *(("rows_passed_over", {"says": each}) for each in ("changed", "gone", "nothing")),
        ("tombstones_ignored", {"kind": "label"}),
        ("commands", {"command": "promote", "result": "refused"}),
        ("commands", {"command": "unreadable", "result": "refused"}),
        ("internal_errors", {"operator": "learning"}),
        ("candidate_failures", {"candidate": "own"}),
        ("alerts", {"detector": "ADWIN", "source": "loss:own"}),
        ("alerts", {"detector": "ADWIN", "source": "prediction"}),
        ("alerts", {"detector": "validity", "source": "invalid:own"}),
        ("agent_restarts", {"agent": "drift"}),
        ("state_refused", {"agent": "drift"}),
        ("state_entries_lost", {"agent": "drift"}),
        ("state_records_skipped", {"agent": "drift", "topic": "state.drift"}),
        ("records_skipped", {"agent": "drift", "topic": "predictions"}),
        ("gaps_accepted", {"agent": "drift", "topic": "predictions", "cause": "recreated"}),
        ("broker_errors", {"agent": "drift", "error": "_TRANSPORT"}),
    ):
        assert value(metrics, f"millrace_{name}_total", **labels) == 0, (name, labels)
    assert value(metrics, "millrace_agent_batch_seconds_count", agent="drift") == 0


def test_causes_of_expiry_are_those_of_the_join() -> None:
    """Each cause that label_join counts begins at 0."""
    assert {each for (each,) in names.EVENTS_EXPIRED.begins} == {*outcomes._CAUSES.values()}


def test_no_series_says_when_a_counter_was_made(run: Callable[[Metrics], None]) -> None:
    """`_created` would double the series, and nobody asks for it."""
    metrics = Metrics("p")
    run(metrics)
    metrics.begin("drift", ["predictions"], ["state.drift"])
    assert not [name for name, _ in samples(metrics) if name.endswith("_created")]


def test_a_thousand_features_that_drift_are_few_series(make_origin: Make) -> None:
    """The first 50 have their own, the others are added up; losses have room all the same."""
    metrics, count = Metrics("p"), 1_000
    sources = [*(f"input:f{n}" for n in range(count)), "loss:own", "prediction"]
    for _ in range(2):
        alerts = [{"detector": "ADWIN", "source": each} for each in sources]
        origin = make_origin(timestamp_ms=NOW_MS)
        made = [AlertRecord(each, origin) for each in alerts]  # type: ignore[arg-type]
        metrics.count_published(Published(made), now_ms=NOW_MS)
    shown = {
        dict(where)["source"]: n
        for (name, where), n in samples(metrics).items()
        if name == "millrace_alerts_total"
    }
    assert len(shown) == 50 + 3
    assert shown["input:f0"] == shown["loss:own"] == shown["prediction"] == 2
    assert shown["input:other"] == 2 * (count - 50)
    assert sum(shown.values()) == 2 * len(sources)


class Crowded(DriftOperator):
    """Shows a reading for each of a thousand features."""

    def __init__(self, pipeline: Pipeline, metric: str) -> None:
        super().__init__(pipeline)
        self._metric = metric

    def readings(self) -> Iterable[Reading]:
        return [Reading(self._metric, (f"f{number}",), 1) for number in range(1_000)]


@pytest.mark.parametrize("metric", ["windows_cut", "windows_evicted", "drift_unwatched"])
def test_gauges_of_a_thousand_features_are_few_series(metric: str, make_pipeline: Make) -> None:
    """Of each partition: the first 50 features that are met, and the sum of the others."""
    metrics = Metrics("p")
    for partition in range(2):
        metrics.watch("drift", partition, Task([Crowded(make_pipeline(), metric)], lambda: 0))
    shown = [n for (name, _), n in samples(metrics).items() if name == f"millrace_{metric}"]
    assert len(shown) == 2 * (50 + 1)
    assert sum(shown) == 2 * 1_000


def test_pipelines_do_not_share(run: Callable[[Metrics], None]) -> None:
    """Each worker has its own registry."""
    first, second = Metrics("p"), Metrics("p")
    run(first)
    assert value(second, "millrace_model_version", partition="3") is None
