"""The benchmark runs: small, on the embedded broker, so that it cannot rot."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from subprocess import SubprocessError

import pytest
from click.testing import CliRunner
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from bench import data
from bench.__main__ import main
from bench.avro import RecordType
from bench.broker import Broker
from bench.contestants import CONTESTANTS
from bench.equal.wire import OUTCOME_SCHEMA
from bench.equal.work import EqualWork
from bench.job import Job
from bench.measure import started
from bench.results import Result
from tests.conftest import NOT_TESTED

_SMALL = (
    *("--broker", "embedded", "--events", "400", "--rounds", "1", "--load-seconds", "1"),
    *("--model", "logistic_regression", "--share", "0.5", "--no-plot"),
)


def measure(folder: Path, part: str, *arguments: str) -> list[Result]:
    """Run one part and return its runs."""
    done = CliRunner().invoke(main, [part, *arguments, *_SMALL, "--results", str(folder)])
    assert done.exit_code == 0, done.output
    runs: list[Result] = json.loads((folder / f"{part}.json").read_text())["runs"]
    return runs


def test_millrace_is_compared_with_the_bare_loop(tmp_path):
    """It predicts every event, takes time, and is no faster than River alone."""
    bare, full = measure(tmp_path, "throughput", "--contestant", "full")
    assert bare["events_per_second"] > 0
    assert "error" not in full, full
    assert (full["first"], full["last"]) == (200, 400)
    assert 0 < full["ratio_to_bare"] < 1 == bare["ratio_to_bare"]


def test_the_time_of_an_event_is_divided_among_operators(tmp_path):
    """Every operator has its share, and the shares add up to the whole."""
    (run,) = measure(tmp_path, "stages")
    spent = run["microseconds"]
    assert {*spent} == {"ingest", "feature", "prediction", "drift", "encoding", "between"}
    assert all(each > 0 for each in spent.values())
    assert sum(spent.values()) * 400 / 1e6 == pytest.approx(run["fold_cpu_seconds"])


def test_growth_is_measured_in_memory_where_no_broker_is_needed(tmp_path):
    """More candidates take more CPU time; what needs a real Kafka is left out."""
    axes = ("--axis", "candidates", "--axis", "waiting", "--largest", "4")
    small, _, large = measure(tmp_path, "growth", *axes)
    assert (small["size"], large["size"]) == (1, 4)
    assert 0 < small["cpu_seconds_per_million"] < large["cpu_seconds_per_million"]
    assert 0 < large["longest_pause_seconds"] < large["cpu_seconds_per_million"] * 400 / 1e6
    assert small["peak_rss_bytes"] > 1_000_000


@pytest.mark.platform
def test_latency_is_measured_under_load(tmp_path):
    """After the maximum rate, a load: every event is predicted, and waits."""
    maximum, load = measure(tmp_path, "latency", "--contestant", "handwritten")
    assert maximum["events_per_second"] > 0
    assert "error" not in load, load
    assert load["unseen"] == 0
    assert load["rate"] == maximum["sustained_per_second"] / 2
    assert 0 < load["p50_seconds"] <= load["p99_seconds"] <= load["p999_seconds"]


@pytest.mark.parametrize(
    "contestant",
    [
        "handwritten-equal",
        pytest.param("bytewax-equal", marks=pytest.mark.platform),
        pytest.param("quix-equal", marks=pytest.mark.platform),
    ],
)
def test_peers_of_equal_work_write_what_they_should(contestant, kafka, monkeypatch):
    """Each reads, hands over and writes every record, in order; what they share is tested alone."""
    monkeypatch.delenv("ELEC2", raising=False)
    broker = Broker(kafka, "a real Apache Kafka", True)
    job = Job(
        name=f"bench-{contestant}",
        model="logistic_regression",
        events=600,
        features=[*data.rows(1)[0][0]],
        bootstrap=kafka,
        embedded=False,
        label_delay=50,
    )
    try:
        command = CONTESTANTS[contestant](job)
    except SubprocessError as error:
        pytest.skip(f"{NOT_TESTED} WITH PEERS: {contestant} cannot be installed here: {error}")
    records = data.records(job)
    with broker.topics(job), started(broker, job, lambda _: command) as run:
        run.warm_up(records[:100])
        run.measure(records[100:], 60)
        written = records_of(kafka, f"{job.name}.outcomes", 550)
    work = EqualWork(job)
    expected = [made for each in records for made in work.handle(each.value, 0)]
    assert [each.key() for each in written] == [
        each.key.encode() for each in expected if each.topic == "outcomes"
    ]
    decode = RecordType(OUTCOME_SCHEMA).decode
    assert [decode(each.value())["losses"] for each in written] == [
        decode(each.value)["losses"] for each in expected if each.topic == "outcomes"
    ]


def records_of(bootstrap: str, topic: str, count: int) -> list[Message]:
    """Return the records of a topic's one partition, once there are so many."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test-bench"})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    with closing(consumer):
        return consumer.consume(count, 30)


def test_what_needs_a_real_kafka_is_not_measured_without(tmp_path):
    """The embedded broker has four partitions, and its groups cannot be described."""
    done = CliRunner().invoke(main, ["workers", *_SMALL, "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "workers: not measured, it needs a real Kafka" in done.output
    assert not [*tmp_path.iterdir()]
