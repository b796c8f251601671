"""`millrace serve` with a real worker: what a client sees, and what a stop does."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from dev.kafka import free_port
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.serve.tokens import Role, create_token
from millrace.streams.worker.subprocess import cli_command, worker_environment
from tests.integration import sensors
from tests.integration.clients import Topics
from tests.integration.workers import Worker, settings, wait_for

WAIT = {"wait": "prediction", "timeout": 30}


class Served(NamedTuple):
    """A pipeline that is served.

    Attributes
    ----------
    client
        Of its server, with the token of an administrator.
    topics
        What any other client sees.
    worker, process
        What runs.
    """

    client: httpx.Client
    topics: Topics
    worker: Worker
    process: subprocess.Popen[bytes]


@contextmanager
def serving(broker: str, bootstrap: str, name: str, folder: Path, **more: Any) -> Iterator[Served]:
    """Run a worker in the chain `full`, and a server beside it."""
    own = settings("every_sensor", name, broker, chain="full", partitions=1, **more)
    tokens, port = folder / "tokens", free_port()
    token = create_token(tokens, "anna", Role.ADMIN)
    with Worker(own) as worker:
        worker.wait_ready()
        options = ("-p", name, "--port", str(port), "--tokens", str(tokens))
        with subprocess.Popen(
            cli_command("serve", *options), env=worker_environment(own)
        ) as process:
            try:
                client = httpx.Client(
                    base_url=f"http://127.0.0.1:{port}",
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=60,
                )
                with client:
                    wait_for("server", lambda: process.poll() is not None or is_ready(client))
                    yield Served(client, Topics(bootstrap, name), worker, process)
            finally:
                process.kill()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def served(
    embedded: EmbeddedBroker,
    unique_name: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Give a served pipeline on the embedded broker."""
    folder = tmp_path_factory.mktemp("serve")
    with serving(embedded.address, embedded.bootstrap, unique_name("served"), folder) as found:
        yield found


def reading(number: int, **changes: Any) -> dict[str, Any]:
    """Return a reading without its label."""
    return sensors.readings(1, number, labelled=False)[0] | changes


def test_a_prediction_is_that_which_is_logged(served: Served) -> None:
    """Exactly once, however often one asks, and with the fate of its event once that is known."""
    answer = served.client.post("/v1/events", params=WAIT, json=reading(0))
    assert answer.status_code == 200
    found = answer.json()
    again = served.client.post("/v1/events", params=WAIT, json=reading(0)).json()
    assert again == found == served.client.get("/v1/predictions/0").json()
    assert found.pop("outcome") is None
    assert served.topics.records("predictions", at_least=1) == [found]

    label = {"event_id": "0", "label": True, "key": found["key"]}
    assert served.client.post("/v1/labels", json=label).status_code == 202
    outcome = wait_for("outcome", lambda: served.client.get("/v1/predictions/0").json()["outcome"])
    assert (outcome["fate"], outcome["label"]) == ("joined", True)


def test_an_event_that_cannot_be_used_is_answered_with_why(served: Served) -> None:
    """By the door where it is of another form, else by the worker; both with the field."""
    wrong = served.client.post("/v1/events", params=WAIT, json=reading(1, temperature="hot"))
    assert (wrong.status_code, wrong.json()["field"]) == (422, "temperature")
    early = served.client.post("/v1/events", params=WAIT, json=reading(1, at=5))
    assert (early.status_code, early.json()["reason"]) == (422, "timestamp_out_of_range")
    rejects = served.client.get("/v1/rejects").json()["records"]
    assert rejects[0]["detail"] == early.json()["detail"]


def test_an_id_that_comes_twice_before_it_is_known_counts_once(served: Served) -> None:
    """Both are taken; the worker rejects the second, and there is one prediction."""
    answers = served.client.post("/v1/events", json=[reading(4), reading(4)]).json()["items"]
    assert [each["status"] for each in answers] == [202, 202]
    wait_for("reject", lambda: "duplicate_event" in reasons(served))
    assert served.client.get("/v1/predictions/4").status_code == 200


def reasons(served: Served) -> list[str]:
    return [each["reason"] for each in served.client.get("/v1/rejects").json()["records"]]


def test_many_clients_at_a_time_each_have_their_own_prediction(served: Served) -> None:
    """None is lost or mixed up."""
    numbers = range(100, 300)

    def post(number: int) -> tuple[int, str]:
        answer = served.client.post("/v1/events", params=WAIT, json=reading(number))
        return answer.status_code, answer.json()["event_id"]

    with ThreadPoolExecutor(20) as pool:
        assert [*pool.map(post, numbers)] == [(200, str(number)) for number in numbers]


def test_a_command_is_applied_in_the_name_of_the_token(served: Served) -> None:
    """The audit says who has asked for it, and what came of it."""
    body = {"command": "promote", "arguments": {"model": "hoeffding_tree"}, "why": "a test"}
    answer = served.client.post("/v1/commands", json=body)
    assert answer.status_code == 202
    audit = answer.json()["audit"]

    def entries() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = served.client.get(audit).json()["records"]
        return found if "promoted" in {each["action"] for each in found} else []

    assert {each["who"] for each in wait_for("promotion", entries)} == {"anna"}


def test_what_workers_write_is_streamed(served: Served) -> None:
    """A prediction is an event of the stream."""
    with served.client.stream("GET", "/v1/stream", params={"topics": "predictions"}) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        served.client.post("/v1/events", json=reading(400))
        data = next(each for each in lines if each.startswith("data: "))
        assert json.loads(data.removeprefix("data: "))["event_id"] == "400"


def test_a_wait_for_a_worker_that_is_gone_ends(
    embedded: EmbeddedBroker, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    """504 says where the event is; a stop answers who waits at once, and is clean."""
    name = unique_name("deserted")
    with serving(embedded.address, embedded.bootstrap, name, tmp_path) as served:
        served.worker.kill()
        params = WAIT | {"timeout": 1}
        answer = served.client.post("/v1/events", params=params, json=reading(0))
        assert answer.status_code == 504
        assert f"the event was taken, as {name}.events[0]@0" in answer.json()["detail"]
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(served.client.post, "/v1/events", params=WAIT, json=reading(1))
            served.topics.messages("events", at_least=2)
            started = time.monotonic()
            served.process.send_signal(signal.SIGTERM)
            assert waiting.result().status_code == 503
            assert served.process.wait(10) == 0
            assert time.monotonic() - started < 5


def test_on_an_idle_kafka_a_prediction_takes_milliseconds(
    kafka: str, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    """Chain `full`, exactly once: the median of the waits, printed for who wants to know."""
    with serving(kafka, kafka, unique_name("fast"), tmp_path) as served:
        seconds = []
        for number in range(200):
            started = time.monotonic()
            answer = served.client.post("/v1/events", params=WAIT, json=reading(number))
            seconds.append(time.monotonic() - started)
            assert answer.status_code == 200
            time.sleep(0.02)
        median_ms = 1000 * statistics.median(seconds[20:])
        print(f"a prediction was there after {median_ms:.1f} ms in the median")  # noqa: T201
        assert median_ms < 100  # 6 on a machine with nothing else to do
