"""The contestants, by name, and how each is started: as anybody would, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import SecretStr

from bench.broker import Broker
from bench.job import VARIABLE, Job
from bench.venvs import REPOSITORY, interpreter
from millrace.streams.settings import Guarantee, Settings
from millrace.streams.worker.subprocess import WorkerProcess

BARE = "bare"
_STOP_SECONDS = 15.0
_IN_MEMORY_SECONDS = 600.0


class Running(Protocol):
    """A contestant at work."""

    @property
    def pids(self) -> list[int]: ...

    def check_alive(self) -> None:
        """Raise where it has ended, with its last words."""


Starter = Callable[[Job, Broker], Any]
"""Returns a context manager that gives a `Running` contestant."""


@dataclass(frozen=True)
class Contestant:
    """Something to measure.

    Attributes
    ----------
    name
        As on the command line.
    title
        As in tables.
    start
        Starts it.
    needs_transactions
        Whether only a real Kafka will do.
    """

    name: str
    title: str
    start: Starter
    needs_transactions: bool = False


class _Script:
    """A module of `bench.subjects` in a process."""

    def __init__(self, module: str, python: str, job: Job) -> None:
        self._module = module
        self._log = tempfile.TemporaryFile(prefix=f"bench-{module}-")  # noqa: SIM115 - see stop
        self._process = subprocess.Popen(
            [python, "-P", "-m", f"bench.subjects.{module}"],
            env={**os.environ, VARIABLE: job.as_text(), "PYTHONPATH": str(REPOSITORY)},
            cwd=tempfile.gettempdir(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def pids(self) -> list[int]:
        return [self._process.pid]

    def check_alive(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(
                f"{self._module} ended with {self._process.returncode}: {self._last_words()}"
            )

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        return " | ".join(self._log.read().decode(errors="replace").strip().splitlines()[-4:])


def _script(module: str, environment: str = "") -> Starter:
    @contextmanager
    def start(job: Job, _broker: Broker) -> Iterator[Running]:
        script = _Script(module, interpreter(environment) if environment else sys.executable, job)
        try:
            yield script
        finally:
            script.stop()

    return start


class Workers:
    """One worker of Millrace or several, each in a process of its own."""

    def __init__(self, workers: list[_Worker]) -> None:
        self.each = workers

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self.each]

    def check_alive(self) -> None:
        for worker in self.each:
            worker.check_alive()
            if failing := worker.failing():
                raise RuntimeError(f"Millrace: {failing}; {worker.last_lines()}")

    def wait_ready(self, seconds: float) -> None:
        for worker in self.each:
            worker.wait_ready(seconds)


class _Worker(WorkerProcess):
    def __enter__(self) -> _Worker:
        return self

    @property
    def pid(self) -> int:
        return self._process.pid


def millrace(
    chain: str, guarantee: Guarantee, *, workers: int = 1, partitions: int = 1, **more: Any
) -> Starter:
    """Return what starts `millrace worker`, so many times."""

    @contextmanager
    def start(job: Job, broker: Broker) -> Iterator[Workers]:
        settings = Settings(
            pipeline="bench.pipeline:pipeline",
            pipeline_name=job.name,
            broker=broker.address,
            chain=chain,
            processing_guarantee=guarantee,
            partitions=partitions,
            state_key=SecretStr("bench"),
            **more,
        )
        with _variable(VARIABLE, job.as_text()), ExitStack() as stack:
            yield Workers([stack.enter_context(_Worker(settings)) for _ in range(workers)])

    return start


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable, which a worker's process inherits."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def run_in_memory(subject: str, job: Job) -> dict[str, Any]:
    """Run a subject that needs no broker to its end and return what it has found.

    Such are `bare`, the River loop, and `fold`, the inside of Millrace.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", f"bench.subjects.{subject}"],
        env={**os.environ, VARIABLE: job.as_text(), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=_IN_MEMORY_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{subject} ended with {done.returncode}: {done.stderr[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


_ONCE, _LEAST = Guarantee.EXACTLY_ONCE, Guarantee.AT_LEAST_ONCE

CONTESTANTS = {
    each.name: each
    for each in (
        Contestant("handwritten", "confluent-kafka by hand", _script("handwritten")),
        Contestant("full", "Millrace full, at least once", millrace("full", _LEAST)),
        Contestant("full-eos", "Millrace full, exactly once", millrace("full", _ONCE), True),
        Contestant("default", "Millrace default, at least once", millrace("default", _LEAST)),
        Contestant(
            "default-eos", "Millrace default, exactly once", millrace("default", _ONCE), True
        ),
        Contestant("split", "Millrace split, at least once", millrace("split", _LEAST)),
        Contestant("split-eos", "Millrace split, exactly once", millrace("split", _ONCE), True),
        Contestant("bytewax", "Bytewax", _script("bytewax", "bytewax")),
        Contestant("quix", "Quix Streams", _script("quix", "quix")),
        Contestant("faust", "Faust, four agents", _script("plain_faust")),
    )
}
