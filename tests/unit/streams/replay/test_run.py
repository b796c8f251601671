"""A replay from end to end: in memory, and through a worker on fakes."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from millrace import fields, run
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.replay import run as module
from millrace.streams.replay.encoding import Outgoing
from millrace.streams.replay.in_memory import InMemory
from millrace.streams.replay.run import Pace, own_name, replay_in_memory, replay_through_worker
from millrace.streams.replay.source import Source
from millrace.streams.settings import Settings


@pytest.fixture
def rows(make_rows):
    return [{"id": str(i), **x, "y": y} for i, (x, y) in enumerate(make_rows("binary", 450))]


@pytest.mark.parametrize("label_delay", [0, 30])
def test_a_replay_reports_what_run_returns(make_pipeline, rows, label_delay):
    """The same fold: the report has the same metrics, and counts the same records."""
    pipeline = make_pipeline()
    source = Source(pd.DataFrame(rows), "table")
    report = replay_in_memory(source, pipeline, label_delay)
    result = run(pipeline, rows, label_delay=label_delay)
    assert report["metrics"] == result.metrics
    assert (report["events"], report["predictions"], report["learned"]) == (450, 450, 450)
    assert report["chain"] == "in memory"
    assert report["latency_seconds"] == {"p50": None, "p99": None}
    assert 0 < report["seconds"] < 60


def test_a_replay_in_memory_has_one_partition(make_pipeline, avro, rows):
    """So that metrics are exact, also with models by key."""
    schema = avro(id="string", user="string", a="double", b="double", y=["null", "boolean"])
    pipeline = make_pipeline(schema=schema, key="user", scope="key")
    table = pd.DataFrame([{**row, "user": f"u{i % 5}"} for i, row in enumerate(rows)])
    report = replay_in_memory(Source(table, "table"), pipeline, 0)
    assert report["metrics_combined_from_partitions"] == 1


@pytest.mark.parametrize("declared", ["millis", "micros", "nanos", "text"])
def test_times_of_a_table_fit_the_field(declared, make_pipeline, avro, rows):
    """A column of times is read in the unit of the pipeline's field, and no event is of 1970."""
    logical = {"type": "long", "logicalType": f"timestamp-{declared}"}
    at = "string" if declared == "text" else logical
    schema = avro(id="string", at=at, a="double", b="double", y=["null", "boolean"])
    pipeline = make_pipeline(schema=schema, event_time="at", features=(fields("a", "b"),))
    times = pd.date_range("2024-01-01", periods=len(rows), freq="min", tz="UTC")
    report = replay_in_memory(Source(pd.DataFrame(rows).assign(at=times), "table"), pipeline, 0)
    assert (report["predictions"], report["rejects"]) == (450, {"event": {}, "label": {}})


def test_progress_is_reported(make_pipeline, rows):
    """Every 200 predictions."""
    seen = []
    source = Source(pd.DataFrame(rows), "table")
    replay_in_memory(source, make_pipeline(), 0, on_progress=seen.append)
    assert seen == [200, 400]


class Started:
    """What a replay starts, on a broker in memory; its worker folds what is on `events`."""

    def __init__(self, pipeline, monkeypatch):
        self.pipeline = pipeline
        self.broker = FakeBroker()
        self.calls = []
        self.settings = self.read = None
        monkeypatch.setattr(module, "EmbeddedBroker", self._start_broker)
        monkeypatch.setattr(module, "WorkerProcess", self._start_worker)
        monkeypatch.setattr(module, "KafkaClients", self._make_clients)

    def _start_broker(self):
        self.calls.append("broker")
        return self

    def _start_worker(self, settings):
        self.calls.append("worker")
        self.settings = settings
        self.memory = InMemory(self.pipeline, 4, 1_700_000_000_000)
        self.memory.metrics.up.labels("all").set(1)
        self.read = [0] * 4
        return self

    def _make_clients(self, settings):
        self.calls.append(settings.broker)
        return FakeClients(self.broker)

    address = "embedded://fake"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.calls.append("stop")

    def wait_ready(self):
        self.calls.append("wait")

    def metrics(self):
        assert "wait" in self.calls
        for partition in range(4):
            records = self.broker.records("p.events", partition)[self.read[partition] :]
            self.read[partition] += len(records)
            produced = [Outgoing(each.value(), each.key(), partition, False) for each in records]
            assert [*self.memory.fold(produced)] or not produced
        return self.memory.samples()

    def failing(self):
        return {}

    def last_lines(self):
        return ""


@pytest.mark.parametrize("label_delay", [0, 30])
def test_a_replay_through_a_worker_reports_its_metrics(
    make_pipeline, rows, label_delay, monkeypatch
):
    """They equal those in memory; broker and worker are started before, and stopped at the end."""
    pipeline = make_pipeline()
    started, seen = Started(pipeline, monkeypatch), []
    report = replay_through_worker(
        Source(pd.DataFrame(rows), "table"),
        pipeline,
        Settings(broker="embedded", chain="full"),
        Pace(label_delay=label_delay),
        on_ready=lambda: started.calls.append("ready"),
        on_progress=seen.append,
    )
    assert report["metrics"] == run(pipeline, rows, label_delay=label_delay).metrics
    assert (report["events"], report["predictions"], report["learned"]) == (450, 450, 450)
    assert (report["chain"], seen[-1]) == ("full", 450)
    order = ["broker", "embedded://fake", "worker", "wait", "ready", "stop", "stop"]
    assert started.calls == order
    assert started.settings.broker == "embedded://fake"


def test_a_replay_on_another_broker_starts_none(make_pipeline, rows, monkeypatch):
    """Its clients and the worker connect to the one that is set."""
    pipeline = make_pipeline()
    started = Started(pipeline, monkeypatch)
    settings = Settings(broker="here:9092", chain="full", partitions=4)
    source = Source(pd.DataFrame(rows), "table")
    replay_through_worker(source, pipeline, settings, Pace())
    assert started.calls == ["here:9092", "worker", "wait", "stop"]


def test_a_pace_has_no_delay_and_no_rate_by_default():
    """As fast as the worker is, with labels inside their events."""
    assert Pace() == Pace(label_delay=0, rate=None)


def test_the_rate_reaches_the_feed(make_pipeline, rows, monkeypatch):
    """10 events at 100 a second take 90 ms."""
    pipeline = make_pipeline()
    Started(pipeline, monkeypatch)
    source = Source(pd.DataFrame(rows[:10]), "table")
    settings = Settings(broker="embedded", chain="full")
    report = replay_through_worker(source, pipeline, settings, Pace(rate=100.0))
    assert report["seconds"] >= 0.09


def test_replays_on_a_broker_have_names_of_their_own(make_pipeline):
    """From the pipeline's name and the time, so that their topics do not mix."""
    assert own_name(make_pipeline(), datetime(2025, 3, 3, 9, 30, 5, tzinfo=UTC)) == (
        "p-replay-20250303t093005"
    )
    assert own_name(make_pipeline()).startswith("p-replay-20")
