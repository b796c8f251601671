"""How a process that folds tells its supervisor how it is: reports, over a pipe.

The supervisor asks for a report when a page is requested; without a question there is about one a
second. Reports are made on the event loop, between two slices, since they read the state of tasks.
While a slice takes long there is none, and the supervisor shows the last one, with its age. The
pipe also shows each of the two that the other has ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Condition, Thread

from millrace.streams.api.report import Report

_REPORT_SECONDS = 1.0
_REPORT_COSTS = 100  # at most a hundredth of the time is spent on reports that nobody asked for
_STOP_SECONDS = 15.0
_PAGE_SECONDS = 0.5  # that a page waits for a report before it shows the last one


def stop_this_process() -> None:
    """Stop cleanly, as at a SIGTERM from outside."""
    os.kill(os.getpid(), signal.SIGTERM)


def end_this_process() -> None:
    """Stop, or end at once where that takes longer than a supervisor would wait."""
    stop_this_process()
    time.sleep(_STOP_SECONDS)
    os._exit(1)


class Reporter:
    """The end of the pipe in the process that folds.

    Parameters
    ----------
    connection
        To the supervisor.
    on_end
        Called where the other end is closed, since the supervisor has ended; by default the
        process stops.
    """

    def __init__(
        self, connection: Connection, on_end: Callable[[], object] = end_this_process
    ) -> None:
        self._connection = connection
        self._on_end = on_end
        self._make: Callable[[], bytes] | None = None
        self._pause_seconds = _REPORT_SECONDS
        Thread(target=self._run, name="reports", daemon=True).start()

    def begin(self, report: Callable[[], Report], loop: asyncio.AbstractEventLoop) -> None:
        """Report from now on what `report` returns, which is called on the event loop."""

        def make() -> bytes:
            started = time.perf_counter()
            made = report().to_bytes()
            cost_seconds = time.perf_counter() - started
            self._pause_seconds = max(_REPORT_SECONDS, _REPORT_COSTS * cost_seconds)
            return made

        self._make = lambda: _call_on(loop, make)

    def _run(self) -> None:
        try:
            while True:
                if self._connection.poll(self._pause_seconds):
                    self._connection.recv_bytes()
                if self._make is not None:
                    self._connection.send_bytes(self._make())
        except (EOFError, OSError):
            self._on_end()
        except RuntimeError:
            return  # the event loop is closed: this process ends


def _call_on(loop: asyncio.AbstractEventLoop, call: Callable[[], bytes]) -> bytes:
    """Return what a call returns that is made on an event loop, from another thread."""
    future: Future[bytes] = Future()

    def answer() -> None:
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    loop.call_soon_threadsafe(answer)
    return future.result()


class ReportReader:
    """The end of the pipe in the supervisor.

    Parameters
    ----------
    connection
        To the process that folds.
    clock
        Seconds, monotonic.

    Attributes
    ----------
    last
        The last report; None before the first.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self.last: Report | None = None
        self._connection = connection
        self._clock = clock
        self._received = clock()
        self._news = Condition()
        Thread(target=self._run, name="reports", daemon=True).start()

    @property
    def age_seconds(self) -> float:
        """Seconds since the last report, or since the process was started."""
        return self._clock() - self._received

    def ask(self) -> None:
        """Ask for a report."""
        with suppress(OSError):  # the process has ended
            self._connection.send_bytes(b"")

    def wait(self, since: float, deadline: float) -> None:
        """Wait for a report that came after `since`, until a deadline at most."""
        with self._news:
            self._news.wait_for(lambda: self._received >= since, max(deadline - self._clock(), 0.0))

    def _run(self) -> None:
        with self._connection, suppress(EOFError, OSError):  # until the other end is closed
            while True:
                report = Report.from_bytes(self._connection.recv_bytes())
                with self._news:
                    self.last, self._received = report, self._clock()
                    self._news.notify_all()


def refresh(readers: list[ReportReader], clock: Callable[[], float] = time.monotonic) -> None:
    """Ask for reports, and wait for them for half a second at most."""
    asked = clock()
    for each in readers:
        each.ask()
    for each in readers:
        each.wait(asked, asked + _PAGE_SECONDS)
