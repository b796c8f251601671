"""Prometheus and promtool for the platform tests: those on PATH, or Debian's, unpacked here.

``python -m dev.prometheus`` fetches Debian's package where they are not on PATH, installs nothing,
and says so loudly if it cannot.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.java import REPOSITORY

FOLDER = REPOSITORY / ".prometheus"
TOOLS = ("prometheus", "promtool")
_FETCH_SECONDS = 300.0


def find(tool: str) -> str | None:
    """Return the path of a tool; None where it is neither on PATH nor fetched."""
    return shutil.which(tool, path=os.pathsep.join([os.environ["PATH"], f"{FOLDER}/usr/bin"]))


def missing_requirements() -> str | None:
    """Fetch the tools if they are not there; return why they cannot be had, in one line."""
    if all(map(find, TOOLS)):
        return None
    try:
        _fetch()
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        return f"no prometheus on PATH, and Debian's package cannot be fetched: {said[-1]}"
    return None if all(map(find, TOOLS)) else f"Debian's package has no {' or no '.join(TOOLS)}"


def _fetch() -> None:
    """Unpack Debian's package, without its dependencies: the two tools have none."""
    with tempfile.TemporaryDirectory() as folder:
        _run("apt-get", "download", "prometheus", cwd=folder)
        (package,) = Path(folder).glob("*.deb")
        _run("dpkg", "-x", str(package), str(FOLDER), cwd=folder)


def _run(*command: str, cwd: str) -> None:
    subprocess.run(
        command, cwd=cwd, check=True, capture_output=True, text=True, timeout=_FETCH_SECONDS
    )


if __name__ == "__main__":
    reason = missing_requirements()
    if reason is not None:
        print(f"\n*** THE TESTS WITH PROMETHEUS WILL NOT RUN ***\n{reason}\n", file=sys.stderr)
