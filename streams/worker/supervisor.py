"""Several workers on one machine: `millrace worker --processes N`.

One process starts the workers, each in a process of its own, and restarts those that end. They
share the partitions by their consumer groups, as workers on many machines do. Nothing passes
between them and the supervisor but signals: a worker that ends is restarted, later each time, and
a stop is passed on and waited for.
"""

from __future__ import annotations

import signal
import subprocess
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
from millrace.streams.state.keys import state_key
from millrace.streams.worker.subprocess import worker_command, worker_environment

STEADY_SECONDS = 30.0
"""A worker that has run for this long had no trouble with its start."""

STOP_SECONDS = 50.0
_FIRST_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_CANNOT_START = 2  # the exit code of an error that the user can correct

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
    """One of the workers that are wanted, whichever process is running as it."""

    number: int
    child: Child | None = None
    since: float = 0.0
    due: float = 0.0
    failures: int = 0


class Supervisor:
    """Keeps a number of workers running until it is told to stop.

    Parameters
    ----------
    count
        Number of workers.
    start
        Starts the worker with a number, from 1.
    clock
        Seconds, monotonic.
    pause
        Waits for an event, or at most so many seconds.

    Attributes
    ----------
    stop
        Set when the workers are to stop.
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
        """Start the workers, restart those that end, stop them; return the exit code.

        It is 0 if all of them stopped cleanly. If one cannot start because of an error that the
        user must correct, the others are stopped, too, and the exit code is that worker's.
        """
        while not self.stop.is_set():
            for place in self._places:
                self._look_after(place)
            self._pause(self.stop, _LOOK_SECONDS)
        self._stop_all()
        return self._code

    def ask_to_stop(self, *_: object) -> None:
        """Stop the workers cleanly; at the second call, kill them. A signal handler."""
        self._is_urgent = self.stop.is_set()
        self.stop.set()

    def _look_after(self, place: _Place) -> None:
        now = self._clock()
        if place.child is None:
            self._start_if_due(place, now)
            return
        is_steady = now - place.since > STEADY_SECONDS
        self._is_steady |= is_steady
        code = place.child.poll()
        if code is not None:
            self._note_end(place, code, now, is_steady)

    def _start_if_due(self, place: _Place, now: float) -> None:
        if now >= place.due and not self.stop.is_set():
            place.child, place.since = self._start(place.number), now
            _log.info("started a worker", process=place.number, pid=place.child.pid)

    def _note_end(self, place: _Place, code: int, now: float, is_steady: bool) -> None:
        """Decide when the worker is restarted, if at all."""
        place.child = None
        if code == _CANNOT_START and not self._is_steady:
            self._code = code  # the worker has printed the error
            self.stop.set()
            return
        place.failures = 0 if is_steady else place.failures + 1
        backoff_seconds = min(_FIRST_BACKOFF_SECONDS * 2**place.failures, _MAX_BACKOFF_SECONDS)
        place.due = now + backoff_seconds
        _log.error(
            "a worker ended and will be restarted",
            process=place.number,
            exit_code=code,
            backoff_seconds=backoff_seconds,
        )

    def _stop_all(self) -> None:
        """Pass the stop on, and wait: workers commit what they have begun."""
        running = [(each.number, each.child) for each in self._places if each.child is not None]
        for _, child in running:
            child.terminate()
        deadline = self._clock() + STOP_SECONDS
        pause = Event()  # self.stop is set, so that waiting for it would return at once
        while left := [child for _, child in running if child.poll() is None]:
            if self._is_urgent or self._clock() > deadline:
                for child in left:
                    child.kill()
            self._pause(pause, _LOOK_SECONDS)
        for number, child in running:
            if code := child.poll():
                _log.error("a worker did not stop cleanly", process=number, exit_code=code)
                self._code = self._code or 1


def run_workers(settings: Settings) -> int:
    """Run as many workers as the settings say, each in a process of its own.

    Each further worker has the next web port, and its number in its log.

    Raises
    ------
    SettingsError
        The broker is embedded, so that they would share nothing.
    """
    if settings.broker == EMBEDDED:
        raise SettingsError(
            "broker must be the address of a running broker if there are several processes; got"
            " none. Add --broker host:port, or set MILLRACE_BROKER"
        )
    configure_logging(settings)
    if settings.is_embedded:  # every process would make a key of its own
        key = settings.state_key.get_secret_value() or token_hex()
        settings = settings.model_copy(update={"state_key": SecretStr(key)})
    state_key(settings)  # if the user's own key has to be created, it is created once
    supervisor = Supervisor(settings.processes, lambda number: _start_worker(settings, number))
    with _on_signals(supervisor.ask_to_stop):
        return supervisor.run()


def settings_of(settings: Settings, number: int) -> Settings:
    """Return the settings of one of several workers: only what must differ does.

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
    return subprocess.Popen(  # noqa: S603 - Millrace's own command
        worker_command("--process", str(number)),
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
