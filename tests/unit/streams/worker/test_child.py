"""A process that folds is started with its settings and a pipe for its reports."""

from __future__ import annotations

import subprocess
import sys
import time
from tempfile import TemporaryFile

import pytest

from millrace.streams.api.report import Report
from millrace.streams.settings import Settings
from millrace.streams.worker import child as module
from millrace.streams.worker.child import FoldProcess, settings_of

PROGRAM = """
import os, sys
from multiprocessing.connection import Connection
from millrace.streams.api.report import Report
number, pipe, note = map(int, sys.argv[-3:])
connection = Connection(pipe)
report = Report("loans", os.environ["MILLRACE_BROKER"], waiting=sys.argv[1:-2])
connection.send_bytes(report.to_bytes())
connection.recv_bytes()
"""


@pytest.fixture
def start(monkeypatch):
    """Start a program in place of a process that folds; it is killed at the end."""
    started = []
    note = TemporaryFile()  # noqa: SIM115 - closed below

    def start(program, **settings):
        monkeypatch.setattr(
            module, "cli_command", lambda *arguments: (sys.executable, "-c", program, *arguments)
        )
        started.append(FoldProcess(Settings(broker="here:1", **settings), 3, note))
        return started[-1]

    with note:
        yield start
        for each in started:
            each.kill()
            wait_for(lambda each=each: each.poll() is not None)


def wait_for(holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_has_its_settings_its_number_and_a_pipe(start):
    """What it writes to the pipe is its report; a question ends this one."""
    process = start(PROGRAM)
    wait_for(lambda: process.reports.last is not None)
    assert process.reports.last == Report("loans", "here:1", waiting=["worker", "--fold", "3"])
    assert process.poll() is None
    assert process.folding is None
    process.reports.ask()
    wait_for(lambda: process.poll() == 0)
    process.reports.ask()  # it has ended: nothing happens


def test_a_process_is_stopped_or_killed(start):
    """By a signal to it alone."""
    stopped, killed = (start("import time; time.sleep(60)") for _ in range(2))
    assert stopped.pid != killed.pid
    stopped.terminate()
    killed.kill()
    wait_for(lambda: (stopped.poll(), killed.poll()) == (-15, -9))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process with its parent")
def test_a_process_is_killed_with_its_supervisor():
    """Even while it does not look at its pipe; so nothing of a worker that was killed is left."""
    program = (
        "import os, time; from millrace.streams.worker.fold import _end_with_parent\n"
        "if not os.fork(): _end_with_parent(); print('child', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"child\n"
        parent.kill()
        assert parent.stdout.read() == b"", "nobody has the other end any more"


def test_processes_differ_in_what_must_not_be_shared():
    """Static members are separate; a single process has the name that was set."""
    settings = Settings(processes=3, group_instance_id="rack-1")
    names = [settings_of(settings, number).group_instance_id for number in (1, 2, 3)]
    assert names == ["rack-1-1", "rack-1-2", "rack-1-3"]
    assert settings_of(Settings(group_instance_id="rack-1"), 1).group_instance_id == "rack-1"
    assert settings_of(Settings(processes=2), 2).group_instance_id == ""
