"""What is fetched from elsewhere: into folders of this repository, each made once.

Nothing is installed on the machine. Jars come from Maven (``dev.java``), packages of Node from npm
(``dev.node``), those of Python from pip (``dev.clients``), programs from Debian (``dev.debian``).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FETCH_SECONDS = 300.0


class UnavailableError(RuntimeError):
    """Something cannot be had on this machine; the message says what, and what to do."""


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder, which is made first if it is not there.

    It appears under its name only when it is complete, so that processes which make it at the
    same time cannot harm it.

    Parameters
    ----------
    folder
        Its name says what it is made of.
    make
        Fills a new folder, which is then given that name.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
            made = Path(partial) / "made"
            made.mkdir()
            make(made)
            with suppress(OSError):  # another process was first
                made.rename(folder)
    return folder


def digest(*sources: Path) -> str:
    """Return what tells folders apart that are made of different files."""
    return hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()[:8]


def fetch(
    what: str,
    command: list[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command that fetches something, or makes it of what was; return what it prints.

    Raises
    ------
    UnavailableError
        There is no such program, it fails, or it does not end.
    """
    program = Path(command[0]).name
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"{what} cannot be fetched: {program} must be on PATH; got none")
    try:
        done = run(command, FETCH_SECONDS, folder=folder, environment=environment)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"{what} cannot be fetched: {program} must end within {FETCH_SECONDS:.0f} s; "
            "got no end. Check the network"
        ) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise UnavailableError(f"{what} cannot be fetched: {program} says {said!r}")
    return done.stdout


def run(
    command: list[str],
    seconds: float = 60.0,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command, in a folder and with an environment if they are given; capture its output."""
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=folder,
        env=environment,
    )
