"""A process reports to its supervisor, and each notices when the other ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing import Pipe
from threading import Event, Thread

import pytest

from millrace.streams.api import reporting as module
from millrace.streams.api.report import Report
from millrace.streams.api.reporting import Reporter, ReportReader, refresh


@pytest.fixture
def loop():
    """Run an event loop in a thread."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def ended():
    """Is called when a reporter finds that its supervisor has ended."""
    return Event()


@pytest.fixture
def pipe(ended):
    ours, theirs = Pipe()
    reader = ReportReader(ours)
    yield reader, Reporter(theirs, ended.set)
    end(theirs)


def end(connection):
    """End a pipe, as its process does when it ends, while a thread reads from it."""
    with socket.socket(fileno=os.dup(connection.fileno())) as pipe:
        pipe.shutdown(socket.SHUT_RDWR)


def wait_for(holds):
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_page_gets_a_fresh_report(pipe, loop):
    """It is made when it is asked for, on the event loop."""
    reader, reporter = pipe
    made = iter(range(100))
    reporter.begin(lambda: Report("loans", str(next(made))), loop)

    refresh([reader])
    first = reader.last
    refresh([reader])

    assert first is not None
    assert int(reader.last.metrics) > int(first.metrics)
    assert reader.age_seconds < 1


def test_without_a_question_there_is_a_report_now_and_then(pipe, loop):
    """So that the last one is never old while the process is well."""
    reader, reporter = pipe
    reporter.begin(lambda: Report("loans"), loop)
    wait_for(lambda: reader.last is not None)


def test_a_page_does_not_wait_for_a_process_that_is_busy(pipe, loop):
    """The last report is shown, and it gets older."""
    reader, reporter = pipe
    reporter.begin(lambda: Report("loans"), loop)
    refresh([reader])
    busy = Event()
    loop.call_soon_threadsafe(busy.wait)
    started = time.monotonic()

    refresh([reader])

    assert time.monotonic() - started < 5
    assert reader.last == Report("loans")
    assert reader.age_seconds >= module._PAGE_SECONDS
    busy.set()


def test_before_it_has_started_a_process_reports_nothing(pipe):
    """A page waits no longer than for any other."""
    reader, _ = pipe
    refresh([reader])
    assert reader.last is None


def test_a_process_ends_with_its_supervisor(ended):
    """The pipe is closed, and the process stops in order."""
    ours, theirs = Pipe()
    Reporter(theirs, ended.set)
    ours.close()
    assert ended.wait(10)


def test_a_process_is_stopped_as_by_its_supervisor(monkeypatch):
    """By a SIGTERM to itself."""
    sent = []
    monkeypatch.setattr(module.os, "kill", lambda *given: sent.append(given))
    module.stop_this_process()
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_a_process_that_has_ended_is_not_asked():
    """What it last reported is all there is."""
    ours, theirs = Pipe()
    reader = ReportReader(ours)
    theirs.close()
    refresh([reader])
    assert reader.last is None


def test_a_process_that_does_not_stop_ends_all_the_same():
    """Nobody is left to kill it: its supervisor has ended."""
    program = """
import signal
from millrace.streams.api import reporting as module
signal.signal(signal.SIGTERM, lambda *_: print("asked"))
module._STOP_SECONDS = 0.1
module.end_this_process()
"""
    done = subprocess.run(
        [sys.executable, "-u", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "asked\n"), done.stderr
