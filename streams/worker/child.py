"""A process that folds, as its supervisor starts and sees it."""

from __future__ import annotations

import subprocess
from multiprocessing import Pipe
from typing import IO, Protocol

from millrace.streams.api.reporting import ReportReader
from millrace.streams.runtime.folding import Folding
from millrace.streams.settings import Settings
from millrace.streams.worker.subprocess import cli_command, worker_environment

STATE_REFUSED = 3
"""The exit code of a process that has logged that saved state cannot be loaded."""


class Child(Protocol):
    """What the supervisor needs of a process."""

    @property
    def pid(self) -> int: ...

    @property
    def reports(self) -> ReportReader: ...

    @property
    def folding(self) -> Folding | None: ...

    def poll(self) -> int | None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class FoldProcess:
    """A process that folds, from its start on.

    Parameters
    ----------
    settings
        The worker's.
    number
        Which of its processes this is, from 1.
    note
        Where it says what it is folding.

    Attributes
    ----------
    reports
        What it says of itself.
    """

    def __init__(self, settings: Settings, number: int, note: IO[bytes]) -> None:
        ours, theirs = Pipe()
        files = [theirs.fileno(), note.fileno()]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - Millrace's own command
                cli_command("worker", "--fold", *map(str, [number, *files])),
                env=worker_environment(settings_of(settings, number)),
                pass_fds=files,
                stdin=subprocess.DEVNULL,
            )
        self.reports = ReportReader(ours)
        self._note = note

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def folding(self) -> Folding | None:
        """What it is folding, if anything."""
        return Folding.read(self._note.fileno())

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.terminate()

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()


def settings_of(settings: Settings, number: int) -> Settings:
    """Return the settings of one of several processes: only what must differ does.

    Examples
    --------
    >>> settings_of(Settings(processes=4, group_instance_id="rack-1"), 3).group_instance_id
    'rack-1-3'
    """
    name = settings.group_instance_id
    if not name or settings.processes == 1:
        return settings
    return settings.model_copy(update={"group_instance_id": f"{name}-{number}"})
