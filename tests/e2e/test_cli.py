"""A worker and the commands around it, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from millrace.models.pipelines.loans import applications
from millrace.schemas import MillraceError
from millrace.streams.kafka.embedded import EmbeddedBroker
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
        assert samples.counted("reason", "millrace_events_rejected_total") == {"missing_field": 1.0}
        assert samples.total("millrace_workers_expected") == 1
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
