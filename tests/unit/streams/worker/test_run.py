"""A worker runs in this process, with Millrace's logging and a tuned interpreter."""

from __future__ import annotations

import gc
import logging
import sys

import pytest
from millrace.streams.worker.run import run_worker, tune_interpreter

from millrace.streams.settings import Settings
from millrace.streams.worker import run as module


@pytest.fixture(autouse=True)
def restored():
    """Leave the interpreter to the other tests as it was."""
    threshold, seconds = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()
    sys.setswitchinterval(seconds)


@pytest.fixture
def configured(monkeypatch):
    """Collect the calls that configure logging."""
    calls = []
    monkeypatch.setattr(module, "configure_logging", lambda *given: calls.append(given))
    return calls


@pytest.fixture
def worker(monkeypatch):
    """Replace Faust's worker by one that ends as the test says."""

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
    monkeypatch.setattr(module, "create_app", lambda settings: ("app", settings))
    return Worker


def test_garbage_is_collected_less_often():
    """Also threads switch sooner."""
    tune_interpreter()
    assert gc.get_threshold() == (50_000, 20, 50)
    assert gc.get_freeze_count() > 0
    assert sys.getswitchinterval() == pytest.approx(0.0005)


@pytest.mark.parametrize(
    ("ends_with", "code"),
    [(None, 0), (SystemExit(3), 3), (SystemExit(None), 0), (SystemExit("text"), 0)],
)
def test_the_exit_code_is_fausts(worker, configured, ends_with, code):
    """Faust ends a worker by an exception."""
    worker.ends_with = ends_with
    assert run_worker(Settings()) == code


def test_the_worker_runs_the_app_of_the_settings(worker, configured):
    """Its log says which of several processes it is, and nothing is written besides."""
    settings = Settings(partitions=2)
    run_worker(settings, process=3)
    made = worker.made
    assert made.app == ("app", settings)
    assert (made.settings, made.process, made.spinner) == (settings, 3, None)
    assert made.options == {"quiet": True, "redirect_stdouts": False}
    assert configured == [(settings, 3)]


def test_fausts_logging_is_replaced(configured):
    """Faust sets up its own when it starts."""
    worker = module._Worker.__new__(module._Worker)
    worker.settings, worker.process = Settings(), 1
    worker.on_setup_root_logger(logging.getLogger(), logging.INFO)
    assert configured == [(worker.settings, 1)]
