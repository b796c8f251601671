"""Virtual environments for the contestants whose requirements differ from Millrace's."""

from __future__ import annotations

import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
_FOLDER = REPOSITORY / ".bench"
_INSTALL_SECONDS = 600


class UnavailableError(RuntimeError):
    """A contestant cannot run on this machine; the message says why."""


@cache
def interpreter(name: str) -> str:
    """Return the Python that has what bench/requirements-<name>.txt pins, installed if need be.

    Raises
    ------
    UnavailableError
        It cannot be installed here, with pip's last line.
    """
    wanted = (REPOSITORY / "bench" / f"requirements-{name}.txt").read_text()
    folder = _FOLDER / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Installing {name} into {folder.relative_to(REPOSITORY)}: once, about a minute")
        venv.create(folder, with_pip=True, clear=True)
        _install(name, python)
        stamp.write_text(wanted)
    return str(python)


def _install(name: str, python: Path) -> None:
    requirements = REPOSITORY / "bench" / f"requirements-{name}.txt"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, "-r", str(requirements)],
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{name}: pip took more than {_INSTALL_SECONDS} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnavailableError(f"{name} (Python {sys.version.split()[0]}): {last}")
