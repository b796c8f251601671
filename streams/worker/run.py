"""Run a worker until it is told to stop."""

from __future__ import annotations

import gc
import sys
from logging import Logger

import faust

from millrace.streams.app import create_app
from millrace.streams.observability.logging import configure_logging
from millrace.streams.settings import Settings

_SWITCH_SECONDS = 0.0005  # a tenth of Python's own


class _Worker(faust.Worker):
    """A Faust worker whose logs are Millrace's."""

    settings: Settings
    process: int | None

    def on_setup_root_logger(self, _logger: Logger, _level: int) -> None:
        """Put Millrace's logging in the place of what Faust has just set up."""
        configure_logging(self.settings, self.process)


def tune_interpreter() -> None:
    """Look for garbage less often, and let threads have their turn sooner.

    A batch makes thousands of objects, and no cycles. And what an agent has folded is committed
    in a thread of its own, which at each of its calls waits for another agent's fold.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(_SWITCH_SECONDS)


def run_worker(settings: Settings, process: int | None = None) -> int:
    """Run a worker in this process; return its exit code.

    With `process`, it is one of several on this machine, and its log says which.

    SIGTERM and SIGINT stop it cleanly: the batch at hand is committed, the state is saved, and
    the consumer groups are left, so that another worker takes over at once.

    Raises
    ------
    MillraceError
        It cannot start.
    """
    configure_logging(settings, process)
    tune_interpreter()
    worker = _Worker(create_app(settings), quiet=True, redirect_stdouts=False)
    worker.settings, worker.process = settings, process
    worker.spinner = None  # it writes terminal codes even where there is no terminal
    try:
        worker.execute_from_commandline()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    finally:
        sys.stderr.flush()
    return 0
