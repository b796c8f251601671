"""A worker and the commands around it, as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from millrace.models.pipelines.loans import applications
from millrace.schemas import MillraceError
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.observability.scraping import Samples
from millrace.streams.settings import read_settings
from millrace.streams.worker.subprocess import WorkerProcess

_LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker() as embedded:
        yield embedded.address


@pytest.fixture(scope="module")
def millrace(broker):
    """Run a command on the broker with the pipeline of loans."""
    environment = {
        **os.environ,
        "MILLRACE_BROKER": broker,
        "MILLRACE_PIPELINE": "millrace.models.pipelines.loans",
    }

    def call(*arguments, lines=""):
        command = [sys.executable, "-m", "millrace.streams.cli", *arguments]
        done = subprocess.run(
            command,
            input=lines,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            env=environment,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return call


def _wait_for(worker, name, value):
    deadline = time.monotonic() + _LIMIT_SECONDS
    while (samples := worker.metrics()).total(name) < value:
        assert time.monotonic() < deadline, f"{name} did not get to {value}"
        time.sleep(0.05)
    return samples


def _as_lines(documents):
    return "".join(json.dumps(each) + "\n" for each in documents)


def test_events_go_in_and_predictions_come_out(broker, millrace):
    """`produce` sends events and labels, a worker processes them, `consume` prints the results."""
    settings = read_settings(
        broker=broker, pipeline="millrace.models.pipelines.loans", log_level="warning"
    )
    events = [*applications(20)]
    labels = [{"event_id": e["application_id"], "label": e["granted"]} for e in events]
    unlabeled = [{**each, "granted": None} for each in events]
    with WorkerProcess(settings) as worker:
        worker.wait_ready()
        bad = {"application_id": "x"}
        code, out, err = millrace("produce", "--format", "json", lines=_as_lines([*unlabeled, bad]))
        assert (code, out, err) == (0, "", "21 events sent to loans.events\n")
        _wait_for(worker, "millrace_predictions_total", 20)
        code, _, err = millrace("produce", "--labels", "--format", "avro", lines=_as_lines(labels))
        assert (code, err) == (0, "20 labels sent to loans.labels\n")
        samples = _wait_for(worker, "millrace_examples_learned_total", 20)
        assert samples.by("reason", "millrace_events_rejected_total") == {"missing_field": 1.0}
        assert worker.failing() == {}

        code, out, err = millrace("consume", "loans.predictions")
        predictions = [json.loads(line) for line in out.splitlines()]
        assert (code, err) == (0, "")
        assert [each["event_id"] for each in predictions] == [e["application_id"] for e in events]
        assert {each["model"] for each in predictions} == {"hoeffding_tree"}
        _, out, _ = millrace("consume", "loans.rejects", "--max", "1")
        assert json.loads(out)["reason"] == "missing_field"

        process = worker._process
        process.send_signal(signal.SIGTERM)
        assert process.wait(_LIMIT_SECONDS) == 0, "SIGTERM stops a worker cleanly"
        with pytest.raises(MillraceError, match="ended with exit code 0"):
            worker.metrics()


def test_a_worker_stops_with_the_process_that_started_it():
    """When that ends, even by SIGKILL, its end of the pipe is closed: the worker gets a SIGTERM."""
    waits = (
        "import time; from millrace.streams.cli.worker import stop_with_stdin; stop_with_stdin()"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{waits}; time.sleep({_LIMIT_SECONDS})"],
        input=b"",
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == -signal.SIGTERM


def test_a_worker_that_cannot_start_says_why(broker):
    """The error is the worker's, in one line."""
    settings = read_settings(broker=broker, pipeline="no_such_module")
    with (
        WorkerProcess(settings) as worker,
        pytest.raises(MillraceError, match=r"exit code 2: .*'no_such_module'"),
    ):
        worker.wait_ready()


@pytest.fixture
def two_processes(broker, tmp_path):
    """Run `worker --processes 2`; return it, its web port and a function that reads its log."""
    port, log = _free_port(), tmp_path / "log"
    chosen = ["--processes", "2", "--web-port", str(port), "--log-format", "json"]
    pipeline = ["-p", "millrace.models.pipelines.loans", "-b", broker]
    command = [sys.executable, "-m", "millrace.streams.cli", "worker", *chosen, *pipeline]
    # Its own name: the state that other tests leave under `loans` has another key.
    environment = os.environ | {
        "MILLRACE_PIPELINE_NAME": "loans-shared",
        "MILLRACE_SESSION_TIMEOUT_SECONDS": "6",  # until the one that is killed is missed
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, env=environment)
    try:
        yield process, port, lambda: [*map(json.loads, log.read_text().splitlines())]
    finally:
        process.kill()  # its processes end with it
        process.wait()


def test_several_processes_run_and_one_that_ends_is_restarted(two_processes):
    """One port shows them all, each with its number; SIGTERM stops all of them."""
    supervisor, port, log = two_processes
    _until(lambda: _is_ready(port), log)
    pids = {line["process"]: line["pid"] for line in log() if "pid" in line}
    assert pids.keys() == {1, 2}
    os.kill(pids[2], signal.SIGKILL)
    _until(lambda: [each for each in log() if each.get("exit_code") == -signal.SIGKILL], log)
    _until(lambda: _is_ready(port), log)
    metrics = Samples.parse(_page(port, "metrics"))
    assert metrics.by("process", "millrace_process_restarts_total") == {"1": 0.0, "2": 1.0}
    assert metrics.by("process", "millrace_agent_up") == {"1": 5.0, "2": 5.0}
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(_LIMIT_SECONDS) == 0
    assert not _is_ready(port)


def _until(holds, log):
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, log()
        time.sleep(0.1)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _is_ready(port):
    try:
        _page(port, "readyz")
    except OSError:
        return False
    return True


def _page(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5) as page:
        return page.read().decode()
