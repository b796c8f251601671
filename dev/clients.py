"""Other people's clients, installed apart from Millrace: in Python and in Node.

``make test-platform`` has them read what workers write. They are made from the locks of
``tests/clients`` when these change.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dev.fetched import REPOSITORY, UnavailableError, digest, fetch, made_once
from dev.node import node_program
from dev.registry import resolve_registry

SOURCES = REPOSITORY / "tests" / "clients"
FOLDER = REPOSITORY / ".clients"


def python_client() -> list[str]:
    """Return the command that reads topics with confluent-kafka's deserializers."""
    lock = SOURCES / "requirements.lock"

    def install(folder: Path) -> None:
        what = "the client in Python"
        fetch(what, [sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        fetch(what, [*pip, "--disable-pip-version-check", "--require-hashes", "-r", str(lock)])

    folder = made_once(FOLDER / f"python-{digest(lock)}", install)
    return [str(folder / "bin" / "python"), str(SOURCES / "read.py")]


def node_client() -> list[str]:
    """Return the command that reads topics with kafkajs."""
    return node_program(SOURCES / "read.mjs")


def missing_clients() -> str | None:
    """Say why a client, or the registry that it asks, cannot be had here; None if all can be."""
    try:
        python_client()
        node_client()
        resolve_registry()
    except (UnavailableError, OSError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    print(missing_clients() or "")
