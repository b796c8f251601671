"""A thousand predictions asked for over HTTP, while workers and the server are killed.

Whoever asks has one rule: after an answer that is no prediction, send the event again; or asks with
`millrace.Client`. Then each event has one prediction, as it is on the topic, and nothing is lost.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
import pytest

from dev.kafka import KafkaBroker, free_port
from millrace import Client, Gap, UnavailableError
from millrace.streams.settings import Settings
from millrace.streams.worker.subprocess import cli_command, worker_environment
from tests.chaos.fleet import Fleet
from tests.integration import sensors
from tests.integration.clients import Topics
from tests.integration.workers import WAIT_SECONDS, Worker, settings, wait_for

EVENTS = 1_000
CLIENTS = 12
PATIENCE_SECONDS = 90.0
WAIT = {"wait": "prediction", "timeout": 3}
CLEAR = {
    (409, "duplicate_event"),  # it is not known here yet: its prediction is to come
    (503, "not_acknowledged"),
    (503, "stopping"),
    (504, "no_prediction_yet"),
}
"""What may be answered instead of a prediction."""


class Asking:
    """Asks for predictions until each is there, and notes what was answered.

    Attributes
    ----------
    predictions
        What was answered with 200, by the events' ids.
    others
        What else was answered, and how often.
    """

    def __init__(self, port: int) -> None:
        self.predictions: dict[str, dict[str, Any]] = {}
        self.others: Counter[tuple[int, str]] = Counter()
        self._lock, self._url = Lock(), f"http://127.0.0.1:{port}"

    def ask(self, readings: list[dict[str, Any]], is_ours: bool) -> None:
        """Ask for some, one after the other, with our client or by the rule."""
        if is_ours:
            with Client(self._url, timeout=PATIENCE_SECONDS) as client:
                for reading in readings:
                    self._take(client.predict(reading))
            return
        with httpx.Client(timeout=20, base_url=self._url) as client:
            for reading in readings:
                self._ask(client, reading)

    def _ask(self, client: httpx.Client, reading: dict[str, Any]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert time.monotonic() < deadline, f"no prediction; {self.others}"
            try:
                answer = client.post("/v1/events", params=WAIT, json=reading)
            except httpx.TransportError:
                self._note((0, "no connection"))
                time.sleep(0.1)
                continue
            if answer.status_code == 200:
                assert answer.json()["event_id"] == reading["reading_id"]
                self._take(answer.json())
                return
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert problem["fix"]
            self._note((answer.status_code, problem["type"].rpartition(":")[2]))

    def _take(self, prediction: dict[str, Any]) -> None:
        with self._lock:
            self.predictions[prediction["event_id"]] = prediction

    def _note(self, what: tuple[int, str]) -> None:
        with self._lock:
            self.others[what] += 1


@contextmanager
def server(environment: dict[str, str], name: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, and kill it in the end."""
    command = cli_command("serve", "-p", name, "--port", str(port))
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def test_each_event_has_one_prediction_whatever_is_killed(
    kafka: str, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    """Nothing is predicted twice, nothing is lost, and each answer is what is on the topic."""
    name, port = unique_name("killed"), free_port()
    own = settings("by_sensor", name, kafka, chain="full", partitions=3)
    fleet = Fleet(worker_environment(own), tmp_path)
    asking = Asking(port)
    readings = sensors.readings(EVENTS, labelled=False)

    def wait_answered(count: int) -> None:
        def is_so() -> bool:
            for each in clients:
                if each.done():
                    each.result()
            return len(asking.predictions) >= count

        wait_for("answers", is_so, PATIENCE_SECONDS)

    try:
        first, second = fleet.start(), fleet.start()
        for each in (first, second):
            fleet.wait_ready(each)
        environment = worker_environment(own)
        with ThreadPoolExecutor(CLIENTS) as pool:
            with server(environment, name, port):
                clients = [
                    pool.submit(asking.ask, readings[number::CLIENTS], number % 3 == 0)
                    for number in range(CLIENTS)
                ]
                wait_answered(150)
                fleet.kill(first)
                third = fleet.start()
                wait_answered(450)
            with server(environment, name, port):  # the other one was killed
                wait_answered(600)
                fleet.wait_ready(third)
                fleet.kill(second)
                wait_answered(800)
                fleet.kill(third)
                fleet.start()
                wait_answered(EVENTS)
                for each in clients:
                    each.result()
    finally:
        fleet.end()

    topics = Topics(kafka, name)
    logged = topics.records("predictions", at_least=EVENTS)
    assert {*asking.predictions} == {each["reading_id"] for each in readings}
    assert Counter(each["event_id"] for each in logged) == dict.fromkeys(asking.predictions, 1)
    assert len(logged) == EVENTS
    for each in logged:
        assert asking.predictions[each["event_id"]] == each | {"outcome": None}
    assert {each["reason"] for each in topics.records("rejects")} <= {"duplicate_event"}
    unclear = {*asking.others} - CLEAR - {(0, "no connection")}
    assert not unclear
    print(dict(asking.others))  # noqa: T201


def test_a_broker_that_is_away_is_waited_for(
    kafka_runs_here: None, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    """503 or 504 while it is; what is known is still answered, and then all goes on as before."""
    broker = KafkaBroker(tmp_path / "kafka", free_port())
    name, port = unique_name("away"), free_port()
    readings = sensors.readings(30, labelled=False)
    broker.start()
    own = settings("by_sensor", name, broker.bootstrap, chain="full", partitions=1)
    try:
        with (
            ready_worker(own),
            server(worker_environment(own), name, port),
            Client(f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client,
            ThreadPoolExecutor() as pool,
        ):
            first = client.predict(readings[0])
            stream = client.follow("predictions", timeout=PATIENCE_SECONDS)
            following = pool.submit(lambda: [next(stream) for _ in range(20)])
            broker.stop()
            with pytest.raises(UnavailableError) as caught:
                client.predict(readings[1], timeout=2)
            assert (caught.value.status, "not known" in caught.value.detail) == (504, True)
            assert client.prediction("0") == first
            waiting = [pool.submit(client.predict, each) for each in readings[1:10]]
            broker.start()
            found = [first, *(each.result() for each in waiting)]
            found += [client.predict(each) for each in readings[10:]]
            streamed = following.result(WAIT_SECONDS)
    finally:
        broker.stop()
    assert [each["event_id"] for each in found] == [each["reading_id"] for each in readings]
    assert [each for each in streamed if isinstance(each, Gap)] == []
    assert all(each.record in [drop(one, "outcome") for one in found] for each in streamed)


@contextmanager
def ready_worker(own: Settings) -> Iterator[None]:
    """Run a worker, which has made the topics."""
    with Worker(own) as worker:
        worker.wait_ready()
        yield


def drop(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a document without one of its members."""
    return {key: value for key, value in document.items() if key != name}
