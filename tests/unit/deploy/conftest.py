"""What a worker exposes, as Prometheus reads it, and the repository's files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from models.pipelines.loans import applications, pipeline
from streams.chaining import parse_chain
from streams.compose import TaskFactory
from streams.metrics import Metrics
from streams.operators.record import RAW, Origin, Record

_NOW_MS = 1_800_000_000_000


@pytest.fixture(scope="session")
def repository() -> Path:
    """Give the root of the repository."""
    return Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def compose(repository: Path) -> dict[str, Any]:
    """Give docker-compose.yml as parsed."""
    document: dict[str, Any] = yaml.safe_load((repository / "docker-compose.yml").read_text())
    return document


@pytest.fixture(scope="session")
def exposed() -> list[Metric]:
    """Give every family of metrics of a worker that has seen a little of everything."""
    metrics = Metrics(pipeline.name)
    _fold_a_few_loans(metrics)
    metrics.count_outputs({"hoeffding_tree": 3}, {("ADWIN", "loss:hoeffding_tree"): 1})  # type: ignore[arg-type]
    metrics.count({("expired", "ttl"): 1})  # type: ignore[arg-type]
    metrics.latency.observe([0.01])
    metrics.batch_seconds.labels("ingest").observe(0.1)
    metrics.batch_records.labels("ingest").observe(100)
    metrics.lag_records.labels("ingest", "events", 0).set(5)
    metrics.model_bytes.labels(0).set(1000)
    metrics.restarts.labels("ingest").inc()
    for gauge in (metrics.up, metrics.flush_timestamp, metrics.restore_seconds):
        gauge.labels("ingest").set(1)
    families = text_string_to_metric_families(metrics.render().decode())
    return [each for each in families if not each.name.endswith("_created")]


@pytest.fixture(scope="session")
def label_values(exposed: list[Metric]) -> Mapping[str, Mapping[str, set[str]]]:
    """Give name of a sample, suffix included, to its labels, each with the values seen."""
    values: dict[str, dict[str, set[str]]] = {}
    for family in exposed:
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault(sample.name, {}).setdefault(label, set()).add(value)
    return values


def _fold_a_few_loans(metrics: Metrics) -> None:
    """Pass valid and broken events and labels through all operators at once."""
    agent, no_schema = parse_chain("full")[0], _returning(None)
    factory = TaskFactory(pipeline, agent, 1, 10_000, no_schema, no_schema, _returning(_NOW_MS))
    task = metrics.collector.tasks[agent.name, 0] = factory.make()
    inputs = [("events", each) for each in applications(20)]
    inputs += [("events", {}), ("labels", {}), ("labels", {"event_id": "0", "label": True})]
    for offset, (topic, value) in enumerate(inputs):
        origin = Origin(topic, 0, offset, _NOW_MS, None, json.dumps(value).encode())
        task.run([Record(topic, RAW, None, origin)])
    metrics.count(task.take_tally())


def _returning(value: Any) -> Callable[..., Any]:
    return lambda *_: value
