"""Several processes of one worker, on a real Kafka: the embedded broker takes 10 s to rebalance."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dev.kafka import free_port
from millrace.streams.observability.scraping import Samples
from millrace.streams.worker.subprocess import cli_command, worker_environment
from tests.integration.workers import WAIT_SECONDS, settings, wait_for


class Supervised(NamedTuple):
    """A worker with two processes, its web port and its log."""

    supervisor: subprocess.Popen[bytes]
    port: int
    path: Path

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def page(self, name: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=5) as page:
            return str(page.read().decode())

    def by_process(self, metric: str) -> dict[str, float]:
        return Samples.parse(self.page("metrics")).by("process", f"millrace_{metric}")

    def is_ready(self) -> bool:
        try:
            return bool(self.page("readyz"))
        except OSError:
            return False


@pytest.fixture
def two_processes(
    kafka: str, unique_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Supervised]:
    port, log = free_port(), tmp_path / "log"
    own = settings("every_sensor", unique_name("processes"), kafka, web_port=port)
    with log.open("wb") as output:
        process = subprocess.Popen(
            cli_command("worker", "--processes", "2"), stderr=output, env=worker_environment(own)
        )
    try:
        yield Supervised(process, port, log)
    finally:
        process.kill()  # its processes end with it
        process.wait()


def test_several_processes_run_and_one_that_ends_is_restarted(two_processes: Supervised) -> None:
    """One port shows them all, each with its number; SIGTERM stops all of them."""
    worker = two_processes
    wait_for("readiness", worker.is_ready)
    pids = {line["process"]: line["pid"] for line in worker.log() if "pid" in line}
    assert pids.keys() == {1, 2}
    os.kill(pids[2], signal.SIGKILL)
    wait_for("end", lambda: [e for e in worker.log() if e.get("exit_code") == -signal.SIGKILL])
    wait_for("restart", lambda: worker.by_process("process_restarts_total") == {"1": 0.0, "2": 1.0})
    wait_for("agents", lambda: worker.by_process("agent_up") == {"1": 6.0, "2": 6.0})
    wait_for("readiness", worker.is_ready)
    worker.supervisor.send_signal(signal.SIGTERM)
    assert worker.supervisor.wait(WAIT_SECONDS) == 0
    assert not worker.is_ready()
