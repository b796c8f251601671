"""A worker as these tests need it: one that can be killed, watched and read the log of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from millrace.streams.settings import Settings
from millrace.streams.worker.subprocess import WorkerProcess, cli_command, worker_environment

PIPELINES = Path(__file__).with_name("sensors.py")
STATE_KEY = "a key for tests"
WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.05

_Found = TypeVar("_Found")


def wait_for(what: str, look: Callable[[], _Found], seconds: float = WAIT_SECONDS) -> _Found:
    """Look until there is something, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)
    return found


def settings(
    pipeline: str, name: str, broker: str, file: Path = PIPELINES, **more: Any
) -> Settings:
    """Return the settings of a worker for a pipeline: of `sensors.py`, or of another file."""
    defaults: dict[str, Any] = {
        "pipeline": f"{file}:{pipeline}",
        "pipeline_name": name,
        "broker": broker,
        "state_key": STATE_KEY,
        "session_timeout_seconds": 3,
        "log_format": "json",
    }
    return Settings(**(defaults | more))


def run_command(settings: Settings, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run `millrace` in a process of its own; return its exit code and what it has printed."""
    done = subprocess.run(
        cli_command(*arguments),
        capture_output=True,
        text=True,
        timeout=120,
        env=worker_environment(settings) | environment,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class Worker(WorkerProcess):
    """A worker that is stopped for good, whatever happens, where its `with` block ends."""

    def __enter__(self) -> Worker:
        return self

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> tuple[int, float]:
        """Ask it to stop; return its exit code and how many seconds it took."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self.wait()
        return code, time.monotonic() - started

    def wait(self, seconds: float = WAIT_SECONDS) -> int:
        """Wait for its end and return its exit code."""
        return self._process.wait(seconds)

    def log(self) -> str:
        """Return all that it has logged."""
        log = self._log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")

    def events_logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log's entries about one thing."""
        lines = [json.loads(line) for line in self.log().splitlines() if f'"{event}"' in line]
        return [line for line in lines if line["event"] == event]

    def why_it_restarts(self) -> str:
        """Return why an agent restarts, as the log has it."""
        what = "restarting from the last commit"
        reason: str = wait_for("restart", lambda: self.events_logged(what))[0]["reason"]
        return reason

    def page(self, name: str) -> tuple[int, dict[str, Any]]:
        """Return the status of a page and what it says."""
        status, text = self._get(name)
        return status, json.loads(text or "{}")

    def wait_total(self, count: float, metric: str, **labels: str) -> None:
        """Wait until the sum of a metric's samples is `count`, or more."""
        try:
            wait_for(metric, lambda: self.metrics().total(metric, **labels) >= count)
        except AssertionError as error:
            got = self.metrics().total(metric, **labels)
            error.add_note(
                f"{labels} is at {got} of {count}; {self.failing()}; {self.log()[-4000:]}"
            )
            raise
