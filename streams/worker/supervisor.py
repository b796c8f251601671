"""The worker: a supervisor that runs no user code, and the processes that do.

The supervisor starts the processes that fold, as many as `--processes` says, and restarts those
that end, later each time. They share the partitions by their consumer groups, as workers on many
machines do. It serves `/metrics`, `/livez`, `/readyz` and `/healthz` from what they last reported,
so that it answers whatever they do. It passes a stop on, waits, and kills what does not stop: what
was not committed is folded again by the next owner.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from secrets import token_hex
from tempfile import TemporaryFile
from threading import Event

import structlog
from pydantic import SecretStr

from millrace.schemas import SettingsError
from millrace.streams.api.pages import Pages, ProcessState
from millrace.streams.api.reporting import refresh
from millrace.streams.api.server import PageServer
from millrace.streams.observability.logging import configure_logging
from millrace.streams.settings import EMBEDDED, Settings
from millrace.streams.state.keys import state_key
from millrace.streams.worker.child import STATE_REFUSED, Child, FoldProcess

STEADY_SECONDS = 30.0
"""A process that has run for this long had no trouble with its start."""

STOP_SECONDS = 15.0
"""After SIGTERM, until a process that has not stopped is killed."""

_FIRST_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_CANNOT_START = 2  # the exit code of an error that the user can correct

_log = structlog.get_logger(__name__)


@dataclass
class _Place:
    """One of the processes that are wanted, whichever is running as it."""

    number: int
    child: Child | None = None
    since: float = 0.0
    due: float = 0.0
    failures: int = 0
    restarts: int = -1  # the first start is none
    ended: str = ""


class Supervisor:
    """Keeps a number of processes running until it is told to stop.

    Parameters
    ----------
    count
        Number of processes.
    start
        Starts the one with a number, from 1.
    silence_seconds
        Without a report, until a process is said to hang.
    clock
        Seconds, monotonic.
    pause
        Waits for an event, or at most so many seconds.

    Attributes
    ----------
    stop
        Set when the processes are to stop.
    """

    def __init__(
        self,
        count: int,
        start: Callable[[int], Child],
        silence_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[Event, float], object] = Event.wait,
    ) -> None:
        self.stop = Event()
        self._start = start
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._pause = pause
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._is_steady = self._is_urgent = False
        self._code = 0

    def run(self) -> int:
        """Start the processes, restart those that end, stop them; return the exit code.

        It is 0 if all of them stopped cleanly. If one cannot start because of an error that the
        user must correct, or whenever saved state cannot be loaded, the others are stopped, too,
        and the exit code is 2.
        """
        while not self.stop.is_set():
            for place in self._places:
                self._look_after(place)
            self._pause(self.stop, _LOOK_SECONDS)
        self._stop_all()
        return self._code

    def ask_to_stop(self, *_: object) -> None:
        """Stop the processes cleanly; at the second call, kill them. A signal handler."""
        self._is_urgent = self.stop.is_set()
        self.stop.set()

    def states(self) -> list[ProcessState]:
        """Return how the processes are, within a second. Called by the threads of the pages."""
        running = [(each, each.child) for each in self._places]
        refresh([child.reports for _, child in running if child is not None])
        return [self._state(place, child) for place, child in running]

    def _state(self, place: _Place, child: Child | None) -> ProcessState:
        restarts = max(place.restarts, 0)
        if child is None:
            return ProcessState(place.number, None, restarts=restarts, problem=place.ended)
        age_seconds, problem = child.reports.age_seconds, ""
        if age_seconds > self._silence_seconds:
            at = f", at {child.folding}" if child.folding else ""
            problem = (
                f"has not reported for {age_seconds:.0f} s: the user's code may be hanging{at}"
            )
        return ProcessState(place.number, child.reports.last, age_seconds, restarts, problem)

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
            place.restarts += 1
            _log.info("started a process", process=place.number, pid=place.child.pid)

    def _note_end(self, place: _Place, code: int, now: float, is_steady: bool) -> None:
        """Decide when the process is restarted, if at all."""
        place.child, place.ended = None, f"ended with exit code {code}, and will be restarted"
        if code == STATE_REFUSED or (code == _CANNOT_START and not self._is_steady):
            self._code = _CANNOT_START  # the process has printed the error, or logged it
            self.stop.set()
            return
        place.failures = 0 if is_steady else place.failures + 1
        backoff_seconds = min(_FIRST_BACKOFF_SECONDS * 2**place.failures, _MAX_BACKOFF_SECONDS)
        place.due = now + backoff_seconds
        _log.error(
            "a process ended and will be restarted",
            process=place.number,
            exit_code=code,
            backoff_seconds=backoff_seconds,
        )

    def _stop_all(self) -> None:
        """Pass the stop on, and wait: the processes commit what they have begun."""
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
            code = child.poll()
            if code not in (0, -signal.SIGTERM):  # which ends a process that has not begun yet
                _log.error("a process did not stop cleanly", process=number, exit_code=code)
                self._code = self._code or 1


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; return its exit code.

    Raises
    ------
    SettingsError
        The web port is taken; or there are to be several processes and the broker is embedded, so
        that they would share nothing.
    """
    if settings.processes > 1 and settings.broker == EMBEDDED:
        raise SettingsError(
            "broker must be the address of a running broker if there are several processes; got"
            " none. Add --broker host:port, or set MILLRACE_BROKER"
        )
    configure_logging(settings)
    settings = _with_key(settings)
    with ExitStack() as resources:
        notes = [resources.enter_context(TemporaryFile()) for _ in range(settings.processes)]
        supervisor = Supervisor(
            settings.processes,
            lambda number: FoldProcess(settings, number, notes[number - 1]),
            settings.stall_seconds,
        )
        server = PageServer(settings.web_host, settings.web_port, Pages(supervisor.states))
        resources.callback(server.close)
        resources.enter_context(_on_signals(supervisor.ask_to_stop))
        return supervisor.run()


def _with_key(settings: Settings) -> Settings:
    """Return settings under which all processes sign state with the same key.

    On an embedded broker each would make one of its own. The user's own key, if it has to be
    created, is created once.
    """
    if not settings.is_embedded:
        state_key(settings)
        return settings
    key = settings.state_key.get_secret_value() or token_hex()
    return settings.model_copy(update={"state_key": SecretStr(key)})


@contextmanager
def _on_signals(handler: Callable[..., None]) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, previous)
