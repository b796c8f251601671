"""What tests with clients in JavaScript need of this machine: Node, and packages of a lock file.

The packages are installed by npm, once for each lock file, into ``.node`` of the repository. Their
scripts do not run.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from dev.java import REPOSITORY, run

PACKAGES = REPOSITORY / ".node"
NODE_MAJOR = 20
INSTALL_SECONDS = 300.0


class NodeUnavailableError(RuntimeError):
    """Node or its packages cannot be had here; the message says what to do."""


def find_node() -> str:
    """Return the path of a Node that is new enough."""
    node = shutil.which("node")
    if node is None:
        raise NodeUnavailableError(
            f"node must be on PATH, {NODE_MAJOR} or newer; got none. Install nodejs and npm"
        )
    version = run([node, "--version"]).stdout.strip()
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < NODE_MAJOR:
        raise NodeUnavailableError(f"node must be {NODE_MAJOR} or newer; got {version!r}")
    return node


def install_packages(lock: Path) -> Path:
    """Return a folder with the packages that a ``package-lock.json`` pins, installed if need be.

    Its name has the digest of the lock file, and it appears when it is complete.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:8]
    folder = PACKAGES / f"{lock.parent.name}-{digest}"
    if not folder.is_dir():
        PACKAGES.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PACKAGES, prefix=".partial-") as partial:
            made = Path(partial) / "made"
            made.mkdir()
            for name in ("package.json", lock.name):
                shutil.copy(lock.with_name(name), made)
            _install(made)
            with suppress(OSError):  # another process was first
                made.rename(folder)
    return folder


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NodeUnavailableError("npm must be on PATH; got none. Install it")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    try:
        done = run(command, INSTALL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise NodeUnavailableError(
            f"npm must install the packages within {INSTALL_SECONDS:.0f} s. Check the network"
        ) from error
    if done.returncode != 0:
        raise NodeUnavailableError(f"npm must install the packages; got {done.stderr[-300:]!r}")
