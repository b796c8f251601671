"""The process that folds: it runs the agents, and the user's code, under a supervisor."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
from logging import Logger
from multiprocessing.connection import Connection

import faust

from millrace.streams.api.reporting import Reporter
from millrace.streams.app import MillraceApp, create_app
from millrace.streams.observability.logging import configure_logging
from millrace.streams.runtime.folding import FoldingNote
from millrace.streams.settings import Settings
from millrace.streams.worker.child import STATE_REFUSED

_SWITCH_SECONDS = 0.0005  # a tenth of Python's default
_PR_SET_PDEATHSIG = 1  # prctl(2)


class _Worker(faust.Worker):
    """A Faust worker whose logs are Millrace's, and which its supervisor alone stops."""

    settings: Settings
    process: int | None

    def on_setup_root_logger(self, _logger: Logger, _level: int) -> None:
        """Replace the logging that Faust has just set up."""
        configure_logging(self.settings, self.process)

    def install_signal_handlers(self) -> None:
        """Leave Ctrl-C, which the terminal sends to every process, to the supervisor."""
        super().install_signal_handlers()
        self.loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def tune_interpreter() -> None:
    """Collect garbage less often, and switch between threads sooner.

    A batch makes thousands of objects, but no reference cycles. What survives is state, such as the
    models of keys: it is looked at once or twice, 100,000 objects at a time, and then once in 50
    million new ones. And an agent commits in a thread of its own, which at each call waits for the
    fold of another agent.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 0, 500)
    sys.setswitchinterval(_SWITCH_SECONDS)


def run_fold(settings: Settings, number: int, reports: int, note: int) -> int:
    """Run the agents in this process until SIGTERM; return its exit code.

    SIGTERM stops it cleanly: the current batch is committed, the state is saved, and the process
    leaves its consumer groups, so that another one takes over at once. It ends with its
    supervisor.

    Parameters
    ----------
    settings
        Of this process.
    number
        Which of the supervisor's processes it is; a field of every log line if there are several.
    reports
        File descriptor of the pipe to the supervisor.
    note
        File descriptor of where it says what it is folding.

    Raises
    ------
    MillraceError
        It cannot start.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    reporter = Reporter(Connection(reports))
    process = number if settings.processes > 1 else None
    configure_logging(settings, process)
    tune_interpreter()
    app = create_app(settings, FoldingNote(note))
    app.reporter = reporter
    worker = _Worker(app, quiet=True, redirect_stdouts=False)
    worker.settings, worker.process = settings, process
    worker.spinner = None  # it writes terminal codes even if there is no terminal
    try:
        worker.execute_from_commandline()
    except SystemExit as stop:
        return _exit_code(app, stop.code)
    finally:
        sys.stderr.flush()
    return _exit_code(app, 0)


def _exit_code(app: MillraceApp, of_faust: object) -> int:
    if app.is_refused:
        return STATE_REFUSED
    return of_faust if isinstance(of_faust, int) else 0


def _end_with_parent() -> None:
    """Be killed with the supervisor, even while user code holds Python's lock, where Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
