"""Run a worker in this process."""

from __future__ import annotations

import gc
import sys
from logging import Logger

import faust

from millrace.streams.app import create_app
from millrace.streams.observability.logging import configure_logging
from millrace.streams.settings import Settings

_SWITCH_SECONDS = 0.0005  # a tenth of Python's default


class _Worker(faust.Worker):
    """A Faust worker whose logs are Millrace's."""

    settings: Settings
    process: int | None

    def on_setup_root_logger(self, _logger: Logger, _level: int) -> None:
        """Replace the logging that Faust has just set up."""
        configure_logging(self.settings, self.process)


def tune_interpreter() -> None:
    """Collect garbage less often, and switch between threads sooner.

    A batch makes thousands of objects, but no reference cycles. And an agent commits in a thread
    of its own, which at each call waits for the fold of another agent.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(_SWITCH_SECONDS)


def run_worker(settings: Settings, process: int | None = None) -> int:
    """Run a worker in this process; return its exit code.

    SIGTERM and SIGINT stop it cleanly: the current batch is committed, the state is saved, and
    the worker leaves its consumer groups, so that another one takes over at once.

    Parameters
    ----------
    settings
        The worker's.
    process
        Its number, if it is one of several on this machine: a field of every log line.

    Raises
    ------
    MillraceError
        It cannot start.
    """
    configure_logging(settings, process)
    tune_interpreter()
    worker = _Worker(create_app(settings), quiet=True, redirect_stdouts=False)
    worker.settings, worker.process = settings, process
    worker.spinner = None  # it writes terminal codes even if there is no terminal
    try:
        worker.execute_from_commandline()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    finally:
        sys.stderr.flush()
    return 0
