"""Several workers on one machine: `millrace worker --processes N`.

Outside the flow of records: one process starts the workers, each in a process of its own, and
keeps them going. They share the partitions as workers on many machines would, by their consumer
groups. Nothing passes between them and the supervisor but signals: a worker that ends is started
again, later each time, and a stop is passed on and waited for.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from threading import Event
from typing import Protocol

import structlog
from pydantic import SecretStr

from millrace.schemas import SettingsError
from millrace.streams.observability.logging import configure_logging
from millrace.streams.settings import EMBEDDED, Settings
from millrace.streams.state.signing import state_key
from millrace.streams.worker.subprocess import worker_environment

STEADY_SECONDS = 30.0
"""A worker that has run for so long had no trouble with its start."""

STOP_SECONDS = 50.0
_FIRST_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_CANNOT_START = 2  # the exit code of an error that its user can see the cause of

_log = structlog.get_logger(__name__)


class Child(Protocol):
    """A worker's process; `subprocess.Popen` is one."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


@dataclass
class _Place:
    """One of the workers that are wanted, whoever fills it at the moment."""

    number: int
    child: Child | None = None
    since: float = 0.0
    due: float = 0.0
    failures: int = 0


class Supervisor:
    """Keeps a number of workers going until it is told to stop.

    Parameters
    ----------
    count
        How many.
    start
        Starts the worker of a number, from 1 on.
    clock
        Seconds, monotonic.
    pause
        Waits for an event, or so many seconds at the most.

    Attributes
    ----------
    stop
        Set it, and the workers are stopped; set it twice, by a second signal, and they are killed.
    """

    def __init__(
        self,
        count: int,
        start: Callable[[int], Child],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[Event, float], object] = Event.wait,
    ) -> None:
        self.stop = Event()
        self._start = start
        self._clock = clock
        self._pause = pause
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._is_steady = self._is_urgent = False
        self._code = 0

    def run(self) -> int:
        """Start the workers, keep them going, stop them; return the exit code.

        It is 0 where all of them stopped in order. Where one cannot start at all, because of
        something that starting it again does not mend, the others stop, too, and it is that
        worker's.
        """
        while not self.stop.is_set():
            for place in self._places:
                self._look_after(place)
            self._pause(self.stop, _LOOK_SECONDS)
        self._stop_all()
        return self._code

    def ask_to_stop(self, *_: object) -> None:
        """Stop the workers in order; asked once more, stop them by force. A signal handler."""
        self._is_urgent = self.stop.is_set()
        self.stop.set()

    def _look_after(self, place: _Place) -> None:
        now = self._clock()
        if place.child is None:
            if now >= place.due and not self.stop.is_set():
                place.child, place.since = self._start(place.number), now
                _log.info("started a worker", process=place.number, pid=place.child.pid)
            return
        is_steady = now - place.since > STEADY_SECONDS
        self._is_steady |= is_steady
        code = place.child.poll()
        if code is None:
            return
        place.child = None
        if code == _CANNOT_START and not self._is_steady:
            self._code = code  # it has said why
            self.stop.set()
            return
        place.failures = 0 if is_steady else place.failures + 1
        backoff_seconds = min(_FIRST_BACKOFF_SECONDS * 2**place.failures, _MAX_BACKOFF_SECONDS)
        place.due = now + backoff_seconds
        _log.error(
            "a worker ended: starting another",
            process=place.number,
            exit_code=code,
            backoff_seconds=backoff_seconds,
        )

    def _stop_all(self) -> None:
        """Pass the stop on, and wait: what workers have begun is committed first."""
        running = [(each.number, each.child) for each in self._places if each.child is not None]
        for _, child in running:
            child.terminate()
        deadline = self._clock() + STOP_SECONDS
        pause = Event()  # the other one is set
        while left := [child for _, child in running if child.poll() is None]:
            if self._is_urgent or self._clock() > deadline:
                for child in left:
                    child.kill()
            self._pause(pause, _LOOK_SECONDS)
        for number, child in running:
            if code := child.poll():
                _log.error("a worker did not stop in order", process=number, exit_code=code)
                self._code = self._code or 1


def run_workers(settings: Settings) -> int:
    """Run as many workers as the settings say, each in a process of its own.

    The n-th has the n-th web port from `web_port` on, and `process` n in its log.

    Raises
    ------
    SettingsError
        They could not share anything.
    """
    if settings.broker == EMBEDDED:
        raise SettingsError(
            "more than one process requires a broker that they share (--broker host:port or"
            " MILLRACE_BROKER); got none"
        )
    configure_logging(settings)
    if settings.is_embedded:  # where every process would make a key of its own
        key = settings.state_key.get_secret_value() or token_hex()
        settings = settings.model_copy(update={"state_key": SecretStr(key)})
    state_key(settings)  # where one has to be made, it is made once
    supervisor = Supervisor(settings.processes, lambda number: _start_worker(settings, number))
    with _on_signals(supervisor.ask_to_stop):
        return supervisor.run()


def settings_of(settings: Settings, number: int) -> Settings:
    """Return the settings of the n-th worker: what has to differ does, and nothing else.

    Examples
    --------
    >>> settings = settings_of(Settings(processes=4, web_port=7000), 3)
    >>> settings.processes, settings.web_port
    (1, 7002)
    """
    name = settings.group_instance_id
    return settings.model_copy(
        update={
            "processes": 1,
            "web_port": settings.web_port and settings.web_port + number - 1,
            "group_instance_id": name and f"{name}-{number}",
        }
    )


def _start_worker(settings: Settings, number: int) -> Child:
    command = [sys.executable, "-P", "-m", "millrace.streams.cli", "worker", "--stop-with-stdin"]
    return subprocess.Popen(  # noqa: S603 - its own command, and a number
        [*command, "--process", str(number)],
        env=worker_environment(settings_of(settings, number)),
        stdin=subprocess.PIPE,  # ends with this process, and the worker with it
        start_new_session=True,  # Ctrl-C is for this process, which passes it on
    )


@contextmanager
def _on_signals(handler: Callable[..., None]) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, previous)
