"""The process that folds runs Faust, with Millrace's logging and a tuned interpreter."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys

import pytest

from millrace.streams.settings import Settings
from millrace.streams.worker import fold as module
from millrace.streams.worker.child import STATE_REFUSED
from millrace.streams.worker.fold import _Worker, run_fold, tune_interpreter


@pytest.fixture(autouse=True)
def restored():
    """Leave the interpreter to the other tests as it was."""
    threshold, seconds = gc.get_threshold(), sys.getswitchinterval()
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)
    gc.set_threshold(*threshold)
    gc.unfreeze()
    sys.setswitchinterval(seconds)


NOTE = 8


@pytest.fixture
def configured(monkeypatch):
    """Collect the calls that configure logging."""
    calls = []
    monkeypatch.setattr(module, "configure_logging", lambda *given: calls.append(given))
    return calls


@pytest.fixture
def worker(monkeypatch):
    """Replace Faust's worker by one that ends as the test says."""

    class App:
        reporter = None
        is_refused = False

        def __init__(self, settings, note):
            self.settings = settings

    class Worker:
        ends_with = None
        made = None

        def __init__(self, app, **options):
            self.app, self.options = app, options
            type(self).made = self

        def execute_from_commandline(self):
            if self.ends_with is not None:
                raise self.ends_with

    monkeypatch.setattr(module, "_Worker", Worker)
    monkeypatch.setattr(module, "create_app", App)
    monkeypatch.setattr(module, "_end_with_parent", lambda: None)
    monkeypatch.setattr(module, "FoldingNote", lambda number: ("note", number))
    monkeypatch.setattr(module, "Connection", lambda number: ("pipe", number))
    monkeypatch.setattr(module, "Reporter", lambda connection: ("reporter", connection))
    return Worker


def test_garbage_is_collected_less_often():
    """Also threads switch sooner."""
    tune_interpreter()
    assert gc.get_threshold() == (50_000, 0, 500)
    assert gc.get_freeze_count() > 0
    assert sys.getswitchinterval() == pytest.approx(0.0005)


@pytest.mark.parametrize(
    ("ends_with", "code"),
    [(None, 0), (SystemExit(3), 3), (SystemExit(None), 0), (SystemExit("text"), 0)],
)
def test_the_exit_code_is_fausts(worker, configured, ends_with, code):
    """Faust ends a worker by an exception."""
    worker.ends_with = ends_with
    assert run_fold(Settings(), 1, 7, NOTE) == code


@pytest.mark.parametrize("ends_with", [None, SystemExit(0)])
def test_refused_state_has_an_exit_code_of_its_own(worker, configured, monkeypatch, ends_with):
    """The supervisor restarts no process that ends with it."""
    worker.ends_with = ends_with
    monkeypatch.setattr(module.create_app, "is_refused", True)
    assert run_fold(Settings(), 1, 7, NOTE) == STATE_REFUSED


def test_the_app_of_the_settings_is_run(worker, configured):
    """It reports to the supervisor, and nothing is written besides the log."""
    settings = Settings(partitions=2)
    run_fold(settings, 1, 7, NOTE)
    made = worker.made
    assert made.app.settings == settings
    assert made.app.reporter == ("reporter", ("pipe", 7))
    assert (made.settings, made.process, made.spinner) == (settings, None, None)
    assert made.options == {"quiet": True, "redirect_stdouts": False}
    assert configured == [(settings, None)]


def test_of_several_processes_the_log_says_which(worker, configured):
    """Each line has the process' number."""
    settings = Settings(processes=3)
    run_fold(settings, 2, 7, NOTE)
    assert configured == [(settings, 2)]
    assert worker.made.process == 2


def test_ctrl_c_is_for_the_supervisor(worker, configured):
    """A terminal sends it to every process; the supervisor passes it on as SIGTERM."""
    run_fold(Settings(), 1, 7, NOTE)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN

    faust = _Worker.__new__(_Worker)
    faust.loop = asyncio.new_event_loop()
    before = signal.getsignal(signal.SIGTERM)
    try:
        faust.install_signal_handlers()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) != before
    finally:
        faust.loop.close()
        signal.signal(signal.SIGTERM, before)


def test_fausts_logging_is_replaced(configured):
    """Faust sets up its own when it starts."""
    worker = module._Worker.__new__(module._Worker)
    worker.settings, worker.process = Settings(), 1
    worker.on_setup_root_logger(logging.getLogger(), logging.INFO)
    assert configured == [(worker.settings, 1)]
