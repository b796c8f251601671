"""The workers: real processes, which a fault may kill, pause, add or remove."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from dev.fetched import REPOSITORY
from dev.kafka import free_port
from tests.chaos.topics import tail

SESSION_SECONDS = 3.0
READY_SECONDS = 180.0
STOP_SECONDS = 90.0
STATE_KEY = "chaos"
_FLUSH_SECONDS = (10, 1)
"""Every second worker saves its state often; the others as a worker does by default."""


@dataclass
class Worker:
    """A supervisor, the process that folds, their log and their web server."""

    number: int
    process: subprocess.Popen[bytes]
    log: Path
    web_port: int

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def found_no_broker(self) -> bool:
        log = self.log.read_text(errors="replace")
        return self.process.returncode == 2 and "cannot be reached" in log.splitlines()[-1]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self._page("readyz"), timeout=2) as page:
                return bool(json.load(page)["ready"])
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def lags(self) -> dict[tuple[str, str, str], float]:
        """Return how many records wait, by agent, topic and partition; none where it is silent."""
        try:
            with urllib.request.urlopen(self._page("metrics"), timeout=5) as page:
                families = text_string_to_metric_families(page.read().decode())
        except (OSError, urllib.error.URLError):
            return {}
        return {
            (each.labels["agent"], each.labels["topic"], each.labels["partition"]): each.value
            for family in families
            if family.name == "millrace_consumer_lag_records"
            for each in family.samples
        }

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor, who acts on it."""
        self.process.send_signal(number)

    def send_to_all(self, number: signal.Signals) -> None:
        """Send a signal to both processes."""
        os.killpg(self.process.pid, number)

    def _page(self, name: str) -> str:
        return f"http://127.0.0.1:{self.web_port}/{name}"


class Fleet:
    """Starts workers and keeps an eye on them.

    Parameters
    ----------
    environment
        Settings of every worker, as environment variables.
    directory
        Where their logs go.
    command
        What to run instead of `millrace worker`: arguments for Python.
    """

    def __init__(
        self,
        environment: dict[str, str],
        directory: Path,
        command: tuple[str, ...] = ("-m", "millrace.streams.cli", "worker"),
    ) -> None:
        self.workers: list[Worker] = []
        self.started = 0
        self.fallen: list[str] = []
        self._environment = environment
        self._directory = directory
        self._command = command
        self._numbers = itertools.count(1)

    def start(self, pipeline: str = "") -> Worker:
        """Start one more worker; it may take seconds until it is ready.

        Parameters
        ----------
        pipeline
            Where its pipeline is, if it has another file than the others.
        """
        number = next(self._numbers)
        port = free_port()
        log = self._directory / f"worker-{number}.log"
        flush_seconds = _FLUSH_SECONDS[number % len(_FLUSH_SECONDS)]
        environment = {
            **{name: v for name, v in os.environ.items() if not name.startswith("MILLRACE_")},
            "MILLRACE_FLUSH_SECONDS": str(flush_seconds),
            **self._environment,
            **({"MILLRACE_PIPELINE": pipeline} if pipeline else {}),
            "MILLRACE_WEB_PORT": str(port),
            "MILLRACE_LOG_FORMAT": "json",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONFAULTHANDLER": "1",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *self._command],
                env=environment,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the runner, who stops them in order
            )
        worker = Worker(number, process, log, port)
        self.workers.append(worker)
        self.started += 1
        return worker

    def wait_ready(self, worker: Worker, seconds: float = READY_SECONDS) -> float:
        """Wait until a worker has its partitions; return how many seconds it took."""
        started = time.monotonic()
        while not worker.is_ready():
            self.look()
            if not worker.is_alive or time.monotonic() - started > seconds:
                raise TimeoutError(f"worker {worker.number} did not get ready: {tail(worker.log)}")
            time.sleep(0.1)
        return time.monotonic() - started

    def kill(self, worker: Worker) -> None:
        """End a worker as a power cut would."""
        self._forget(worker)
        worker.send_to_all(signal.SIGKILL)
        worker.process.wait()

    def stop(self, worker: Worker) -> None:
        """Ask a worker to leave, and see that it does so in order."""
        self.stop_all([worker])

    def stop_all(self, workers: Iterable[Worker]) -> None:
        """Ask workers to leave, all at once, and see that they do so in order."""
        leaving = [*workers]
        for worker in leaving:
            self._forget(worker)
            worker.send(signal.SIGTERM)
        for worker in leaving:
            self._see_off(worker)

    def _see_off(self, worker: Worker) -> None:
        try:
            code = worker.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.send_to_all(signal.SIGABRT)  # faulthandler writes to the log where it hangs
            worker.process.wait()
            self._fall(worker, f"did not stop within {STOP_SECONDS:.0f} s of SIGTERM")
            return
        had_begun = worker.log.stat().st_size > 0  # else Python itself was still starting
        if code != 0 and (had_begun or code != -signal.SIGTERM):
            self._fall(worker, f"ended with code {code} after SIGTERM")

    def look(self) -> None:
        """Put down every worker that ended by itself: nobody asked it to.

        One that finds no broker when it starts may end: it says so, and another is started.
        """
        for worker in [*self.workers]:
            if not worker.is_alive:
                self._forget(worker)
                if not worker.found_no_broker:
                    self._fall(worker, f"ended by itself with code {worker.process.returncode}")

    def end(self) -> None:
        """Kill whatever is left."""
        for worker in [*self.workers]:
            worker.send_to_all(signal.SIGCONT)
            self.kill(worker)

    def wait_at_rest(self, places: set[tuple[str, str, str]], seconds: float) -> None:
        """Wait until every agent is at the end of its partitions: agent, topic, partition.

        Its group may have committed them before a worker that died, and its state not have seen
        them: who takes over folds them again first.

        Raises
        ------
        TimeoutError
            With a place that is not done.
        """
        deadline = time.monotonic() + seconds
        while True:
            lags: dict[tuple[str, str, str], float] = {}
            for worker in self.workers:
                lags |= worker.lags()
            unfinished = [place for place in places if lags.get(place) != 0]
            if not unfinished:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{unfinished[0]} is not at rest: lag {lags.get(unfinished[0])}")
            self.look()
            time.sleep(0.2)

    def count_in_logs(self, text: str) -> int:
        """Count the lines of all logs that hold `text`."""
        logs = sorted(self._directory.glob("worker-*.log"))
        return sum(log.read_text(errors="replace").count(text) for log in logs)

    def _forget(self, worker: Worker) -> None:
        if worker in self.workers:
            self.workers.remove(worker)

    def _fall(self, worker: Worker, what: str) -> None:
        self.fallen.append(f"worker {worker.number} {what}: {tail(worker.log)}")
