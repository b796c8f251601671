"""`millrace worker` is a supervisor, or one of its processes."""

from __future__ import annotations

import os

import pytest

from millrace.streams.cli import run
from millrace.streams.cli import worker as module

LOANS = ["-p", "millrace.models.pipelines.loans"]


@pytest.fixture
def ran(monkeypatch):
    """Collect what would be run."""
    ran = []

    def remember(kind):
        return lambda *given: ran.append((kind, *given)) or 0

    monkeypatch.setattr("millrace.streams.worker.fold.run_fold", remember("fold"))
    monkeypatch.setattr("millrace.streams.worker.supervisor.run_worker", remember("worker"))
    return ran


def test_a_worker_is_run(ran):
    """With the settings of its options."""
    options = ["--guarantee", "at_least_once", "--outputs", "json", "--web-port", "7000"]
    more = ["--web-host", "0.0.0.0", "--log-level", "debug", "--log-format", "console"]
    assert run(["worker", *LOANS, "-b", "here:1", "--kafka", "client.id=b", *options, *more]) == 0
    ((kind, settings),) = ran
    assert kind == "worker"
    assert (settings.broker, settings.kafka) == ("here:1", {"client.id": "b"})
    assert (settings.processing_guarantee, settings.outputs) == ("at_least_once", "json")
    assert (settings.web_host, settings.web_port) == ("0.0.0.0", 7000)
    assert (settings.log_level, settings.log_format) == ("debug", "console")


def test_a_process_that_folds_is_run(ran):
    """Its supervisor gives it a number, a pipe and a file."""
    run(["worker", *LOANS, "--processes", "2", "--fold", "2", "7", "5"])
    ((kind, settings, *given),) = ran
    assert (kind, settings.processes, given) == ("fold", 2, [2, 7, 5])


def test_a_child_stops_with_its_standard_input(ran, monkeypatch):
    """When the input ends, the process sends itself SIGTERM; not if it has no parent."""
    read, write = os.pipe()
    os.close(write)
    signals = []
    monkeypatch.setattr(module.os, "kill", lambda *given: signals.append(given))
    with os.fdopen(read) as stdin:
        monkeypatch.setattr(module.sys, "stdin", stdin)
        module.stop_with_stdin()
    assert signals == [(os.getpid(), 15)]
    started = []
    monkeypatch.setattr(module, "stop_with_stdin", lambda: started.append(True))
    run(["worker", *LOANS])
    assert started == []
    run(["worker", *LOANS, "--stop-with-stdin"])
    assert started == [True]
