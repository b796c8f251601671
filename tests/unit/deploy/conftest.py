"""What a worker exposes, as Prometheus reads it, and the repository's files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from millrace import Conformal, Pipeline, catalogue, rolling
from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipelines import loans
from millrace.schemas.records import Event
from millrace.streams.api.pages import Pages, ProcessState
from millrace.streams.api.report import Report
from millrace.streams.observability.metrics import Metrics
from millrace.streams.observability.published import Published
from millrace.streams.operators.feature import FeatureOperator
from millrace.streams.operators.record import (
    AlertRecord,
    EvaluationRecord,
    EventRecord,
    Origin,
    OutcomeRecord,
    PredictionRecord,
    RawRecord,
)
from millrace.streams.operators.selection import SelectionOperator
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.chain import parse_chain
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task
from tests.unit.models.selection.test_contest import block

_NOW_MS = 1_800_000_000_000
_FIELDS = {"id": "string", "x": "double", "y": ["null", "double"]}
_REGRESSION = Pipeline(
    name="prices",
    schema={
        "type": "record",
        "name": "Price",
        "fields": [{"name": name, "type": kind} for name, kind in _FIELDS.items()],
    },
    event_id="id",
    label="y",
    task="regression",
    models={"linear_regression": catalogue.linear_regression},
    certainty=Conformal(),
)


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
    """Give every family of metrics of workers that have seen a little of everything."""
    return [*_of_classification(), *_of_regression()]


@pytest.fixture(scope="session")
def label_values(exposed: list[Metric]) -> Mapping[str, Mapping[str, set[str]]]:
    """Give name of a sample, suffix included, to its labels, each with the values seen."""
    values: dict[str, dict[str, set[str]]] = {}
    for family in exposed:
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault(sample.name, {}).setdefault(label, set()).add(value)
    return values


def _of_classification() -> Iterator[Metric]:
    """Return the metrics after valid and broken loans and labels, and one value of the rest."""
    metrics = Metrics(loans.pipeline.name)
    inputs = [("events", each) for each in loans.applications(40)]
    inputs += [("events", {}), ("labels", {}), ("labels", {"event_id": "0", "label": True})]
    _fold(loans.pipeline, metrics, inputs)
    metrics.begin("ingest", ["events"], ["models"])
    origin = Origin("features", 0, 0, _NOW_MS, None, None)
    alert = {"detector": "ADWIN", "source": "loss:hoeffding_tree"}
    metrics.count_published(
        Published(
            [
                PredictionRecord({"model": "hoeffding_tree"}, origin),  # type: ignore[typeddict-item]
                OutcomeRecord({"fate": "joined"}, origin),  # type: ignore[typeddict-item]
                AlertRecord(alert, origin),  # type: ignore[arg-type]
            ]
        ),
        now_ms=_NOW_MS + 10,
    )
    metrics.lag_records.labels("ingest", "events", 0).set(5)
    metrics.model_bytes.labels(0).set(1000)
    metrics.archive_failures.labels("ingest").inc()
    metrics.archive_timestamp.labels("ingest").set(1)
    metrics.workers_expected.labels().set(1)
    metrics.watch("feature", 1, _crowded())
    metrics.watch("selection", 0, compared())
    for gauge in (metrics.up, metrics.flush_timestamp, metrics.restore_seconds):
        gauge.labels("ingest").set(1)
    return _parsed(metrics)


def _crowded() -> Task:
    """Return a task of features with more values and more groups than there is room for."""
    feature = rolling("x", "sum", window=timedelta(hours=1), by="id", max_events=1)
    operator = FeatureOperator(replace(_REGRESSION, features=(feature,)), max_entries=1)
    origin = Origin("clean", 0, 0, _NOW_MS, None, None)
    for user in ("anna", "anna", "bert"):
        fields = {"id": user, "x": 1.0}
        event = Event(event_id=user, key=user, event_time_ms=0, label=None, fields=fields)
        operator.run(Slice([EventRecord(event, origin)]))
    return Task([operator], lambda: 0)


def compared() -> Task:
    """Return a task of the operator that knows how candidates compare."""
    operator = SelectionOperator(loans.pipeline)
    origin = Origin("evaluations", 0, 0, _NOW_MS, None, None)
    candidates = {"hoeffding_tree": 0.0, "logistic_regression": 1.0}
    value = block(0, "hoeffding_tree", candidates=candidates)
    operator.run(Slice([EvaluationRecord(value, origin)]))
    return Task([operator], lambda: 0)


def _of_regression() -> Iterator[Metric]:
    """Return the metrics after a few prices; those that nothing happened to are left out."""
    metrics = Metrics(_REGRESSION.name)
    prices = [("events", {"id": str(n), "x": 1.0, "y": 2.0}) for n in range(3)]
    _fold(_REGRESSION, metrics, prices)
    return _parsed(metrics)


def _parsed(metrics: Metrics) -> Iterator[Metric]:
    """Read an exposition as Prometheus does."""
    process = ProcessState(1, Report("loans", metrics.render().decode()), 0.5)
    page = Pages(lambda: [process]).answer("/metrics")
    for family in text_string_to_metric_families(page.body.decode()):
        if family.samples:
            yield family


def _fold(pipeline: Pipeline, metrics: Metrics, inputs: list[tuple[str, dict[str, Any]]]) -> None:
    """Pass records through all operators at once."""
    agent = parse_chain("full")[0]
    factory = TaskFactory(
        pipeline=pipeline,
        agent=agent,
        clean_partitions=1,
        max_event_bytes=10_000,
        written_schema=lambda _: None,
        load_models=_refuse,
        clock_ms=lambda: _NOW_MS,
    )
    task = factory.make()
    metrics.watch(agent.name, 0, task)
    for offset, (topic, value) in enumerate(inputs):
        origin = Origin(topic, 0, offset, _NOW_MS, None, json.dumps(value).encode())
        task.run(Slice([RawRecord.of(origin)]))
    metrics.count(task.take_tally())


def _refuse(_payload: bytes) -> ModelSet:
    raise AssertionError("the chain 'full' reads no models from a topic")
