"""Other people's clients, installed apart from Millrace: in Python and in Node.

``make test-platform`` has them read what workers write. Each has a folder of its own in
``.clients``, made from a lock of ``tests/clients`` when that changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dev.java import REPOSITORY, KafkaUnavailableError, run
from dev.registry import resolve_registry

SOURCES = REPOSITORY / "tests" / "clients"
FOLDER = REPOSITORY / ".clients"
INSTALL_SECONDS = 300.0


class ClientUnavailableError(RuntimeError):
    """A client cannot be installed here; the message says what to do."""


def python_client() -> list[str]:
    """Return the command that reads topics with confluent-kafka's deserializers."""
    lock = SOURCES / "requirements.lock"

    def install(folder: Path) -> None:
        _run("Python", [sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        _run("Python", [*pip, "--disable-pip-version-check", "--require-hashes", "-r", str(lock)])

    folder = _installed("python", [lock], install)
    return [str(folder / "bin" / "python"), str(SOURCES / "read.py")]


def node_client() -> list[str]:
    """Return the command that reads topics with kafkajs."""
    node, npm = (_found(each) for each in ("node", "npm"))
    sources = [SOURCES / name for name in ("package.json", "package-lock.json", "read.mjs")]

    def install(folder: Path) -> None:
        folder.mkdir()
        for each in sources:
            shutil.copy(each, folder)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _run("Node", [npm, "ci", "--prefix", str(folder), *options])

    return [node, str(_installed("node", sources, install) / "read.mjs")]


def missing_clients() -> str | None:
    """Say why a client, or the registry that it asks, cannot be had here; None if all can be."""
    try:
        python_client()
        node_client()
        resolve_registry()
    except (ClientUnavailableError, KafkaUnavailableError, OSError) as error:
        return str(error)
    return None


def _installed(name: str, sources: list[Path], install: Callable[[Path], None]) -> Path:
    """Return the folder of a client, made first where it is not there in this version."""
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()[:8]
    folder = FOLDER / f"{name}-{digest}"
    if not folder.is_dir():
        FOLDER.mkdir(exist_ok=True)
        try:
            install(folder)
        except BaseException:  # half of a client is none
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ClientUnavailableError(
            f"the clients in Node require {program} on PATH; got none. Install Node 18 or newer"
        )
    return path


def _run(language: str, command: list[str]) -> None:
    try:
        done = run(command, INSTALL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ClientUnavailableError(
            f"the clients in {language} require less than {INSTALL_SECONDS:.0f} s; got no end"
        ) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-500:]
        raise ClientUnavailableError(f"the clients in {language} cannot be installed: {said!r}")


if __name__ == "__main__":
    print(missing_clients() or "")
