"""Workers on an embedded broker in another process: chains agree, Faust starts them, and more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from dev.kafka import free_port
from millrace.streams.kafka.embedded import PARTITIONS, EmbeddedBroker
from millrace.streams.observability.scraping import Samples
from millrace.streams.operators.routing import partition_of
from tests.integration import sensors
from tests.integration.clients import Topics, as_json, avro, avro_label
from tests.integration.workers import PIPELINES, STATE_KEY, Worker, settings, wait_for

COUNT, DELAY = 600, 40
CHAINS = ("default", "full", "ingest,feature+prediction+learning,drift")
REPOSITORY = Path(__file__).parents[2]
TOO_MUCH = [b"x" * 1_000] * 8_000
"""More than the 5 MB that the embedded broker keeps in a partition."""


class Outcome(NamedTuple):
    """What one chain made of the readings."""

    predictions: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    metrics: dict[str, float]


@pytest.fixture(scope="module")
def outcomes(embedded: EmbeddedBroker, unique_name: Callable[[str], str]) -> dict[str, Outcome]:
    """Give each chain the same readings, with labels that come some readings later."""
    names = {chain: unique_name("chain") for chain in CHAINS}
    with ExitStack() as stack:
        workers = {
            chain: stack.enter_context(
                Worker(settings("every_sensor", name, embedded.address, chain=chain))
            )
            for chain, name in names.items()
        }
        for worker in workers.values():
            worker.wait_ready()
        for name in names.values():
            Topics(embedded.bootstrap, name).produce("events", readings_and_labels())
        return {
            chain: outcome(worker, Topics(embedded.bootstrap, names[chain]))
            for chain, worker in workers.items()
        }


def readings_and_labels() -> Iterator[dict[str, Any]]:
    """Yield readings, each followed by the label of an earlier one, as one log."""
    stream = sensors.readings(COUNT)
    for number in range(COUNT + DELAY):
        if number < COUNT:
            reading = stream[number] | {"faulty": None}
            value = avro(sensors.SCHEMA, reading) if number % 2 else as_json(reading)
            yield {"value": value, "partition": 0}
        if number >= DELAY:
            known = stream[number - DELAY]
            yield {"value": avro_label(known["reading_id"], known["faulty"]), "partition": 0}


def outcome(worker: Worker, topics: Topics) -> Outcome:
    """Wait until all is done, and return what has come of it."""
    worker.wait_total(COUNT, "millrace_examples_learned_total")
    predictions = topics.records("predictions", at_least=COUNT)
    agents = worker.settings.agents_of(worker.settings.load_pipeline())
    drift = next(agent.name for agent in agents if "drift" in agent)
    worker.wait_total(COUNT, "millrace_agent_batch_records_sum", agent=drift)
    for each in predictions:
        del each["prediction_time_ms"]
    metrics = worker.metrics().select("millrace_prequential_metric")
    return Outcome(
        predictions,
        sorted(topics.records("alerts"), key=lambda each: (each["source"], each["position"])),
        {f"{at['candidate']} {at['metric']} {at['window']}": value for at, value in metrics},
    )


@pytest.mark.parametrize("chain", CHAINS[1:])
def test_chains_make_the_same_predictions(outcomes: dict[str, Outcome], chain: str) -> None:
    """Value, probabilities, features, model version: a function call or a topic, all the same."""
    usual = outcomes["default"].predictions
    assert len(usual) == COUNT
    assert outcomes[chain].predictions == usual
    versions = [each["model_version"] for each in usual]
    assert versions == [max(0, number - DELAY) for number in range(COUNT)]


@pytest.mark.parametrize("chain", CHAINS[1:])
def test_chains_make_the_same_metrics(outcomes: dict[str, Outcome], chain: str) -> None:
    """Cumulative and rolling, of candidates and baselines."""
    usual = outcomes["default"].metrics
    assert len(usual) == 4 * 3  # candidates and baselines; accuracy, F1, rolling accuracy
    assert outcomes[chain].metrics == usual


@pytest.mark.parametrize("chain", CHAINS[1:])
def test_chains_see_the_same_drift(outcomes: dict[str, Outcome], chain: str) -> None:
    """Alerts are the same, and there are some."""
    usual = outcomes["default"].alerts
    assert "input:temperature" in {each["source"] for each in usual}
    assert outcomes[chain].alerts == usual


@contextmanager
def faust_worker(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker as any Faust app is started."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("MILLRACE_")}
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "faust",
            "-A",
            "millrace.streams.app",
            "worker",
            "--loglevel",
            "error",
        ],
        env=inherited | environment,
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def page(port: int, path: str) -> tuple[int, str]:
    """Return the status and the text of a page; 0 and nothing where nobody answers yet."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:  # our own page
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_faust_starts_the_same_worker_and_lost_records_stop_it(
    embedded: EmbeddedBroker, unique_name: Callable[[str], str]
) -> None:
    """`faust -A streams.app worker` serves its pages, predicts and stops on SIGTERM.

    A worker that comes back after the broker has dropped what it had not read says so.
    """
    name, port = unique_name("faust"), free_port()
    topics = Topics(embedded.bootstrap, name)
    environment = {
        "MILLRACE_PIPELINE": f"{PIPELINES}:every_sensor",
        "MILLRACE_PIPELINE_NAME": name,
        "MILLRACE_BROKER": embedded.address,
        "MILLRACE_STATE_KEY": STATE_KEY,
        "MILLRACE_WEB_PORT": str(port),
        "MILLRACE_SESSION_TIMEOUT_SECONDS": "4",  # this broker does not notice who leaves
    }
    stream = sensors.readings(100)
    with faust_worker(environment) as process:
        wait_for("readiness", lambda: page(port, "/readyz")[0] == 200)
        status, health = page(port, "/healthz")
        assert (status, json.loads(health)["healthy"]) == (200, True)
        topics.produce("events", ({"value": as_json(r), "partition": 0} for r in stream))
        wait_for("model version", lambda: versions(page(port, "/metrics")[1]) == [100.0])
        predictions = topics.records("predictions", at_least=100)
        process.terminate()
        assert process.wait(20) == 0
    assert [each["model_version"] for each in predictions] == [*range(100)]
    topics.produce("events", ({"value": each, "partition": 0} for each in TOO_MUCH))
    with Worker(settings("every_sensor", name, embedded.address)) as worker:
        failing = wait_for("failure", worker.failing)
        assert failing["ingest"] == "input has expired"
        assert "events[0] from offset 100" in worker.why_it_restarts()
        assert worker.page("/healthz")[0] == 503
        assert "ingest" in worker.page("/readyz")[1]["waiting"]


def versions(exposition: str) -> list[float]:
    """Return the model version of each partition that has one."""
    found = Samples.parse(exposition).by("partition", "millrace_model_version")
    return [version for version in found.values() if version]


def test_a_worker_with_a_broker_of_its_own_says_once_what_it_does_not_guarantee(
    unique_name: Callable[[str], str],
) -> None:
    """Whatever guarantee was asked for."""
    with Worker(settings("every_sensor", unique_name("own"), "embedded")) as worker:
        worker.wait_ready()
        assert worker.log().count("at least once") == 1


def test_keyed_records_go_where_librdkafka_sends_them(
    embedded: EmbeddedBroker, unique_name: Callable[[str], str]
) -> None:
    """The embedded broker's four partitions are those that the pipeline counts on."""
    keys = [*map(str, range(200)), "anna", "Łódź", "日本"]
    topics = Topics(embedded.bootstrap, unique_name("keys"))
    sent = topics.produce("events", ({"value": b"", "key": key} for key in keys))
    assert [each.partition for each in sent] == [partition_of(key, PARTITIONS) for key in keys]
