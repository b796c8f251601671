"""Programs in JavaScript that tests run: with this machine's Node, and packages of a lock file.

npm installs the packages into ``.node`` of the repository. Their scripts do not run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dev.fetched import REPOSITORY, UnavailableError, digest, fetch, made_once, run

PACKAGES = REPOSITORY / ".node"
NODE_MAJOR = 20
# Node has certificates of its own; those of a proxy are among the machine's.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def node_program(program: Path) -> list[str]:
    """Return the command that runs a program with the packages of the lock file beside it.

    Raises
    ------
    UnavailableError
        Node is missing or too old, or the packages cannot be installed.
    """
    node = _find_node()
    sources = [program, *map(program.with_name, ("package.json", "package-lock.json"))]

    def install(folder: Path) -> None:
        for each in sources:
            shutil.copy(each, folder)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        command = ["npm", "ci", "--prefix", str(folder), *options]
        fetch(f"what {program.name} needs", command, environment=_environment())

    folder = made_once(PACKAGES / f"{program.parent.name}-{digest(*sources)}", install)
    return [node, str(folder / program.name)]


def _environment() -> dict[str, str]:
    """Return the environment for Node, with the machine's certificates unless others are set."""
    known = {"NODE_EXTRA_CA_CERTS": str(CERTIFICATES)} if CERTIFICATES.is_file() else {}
    return {**known, **os.environ}


def _find_node() -> str:
    node = shutil.which("node")
    if node is None:
        raise UnavailableError(
            f"node must be on PATH, {NODE_MAJOR} or newer; got none. Install nodejs and npm"
        )
    version = run([node, "--version"]).stdout.strip()
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < NODE_MAJOR:
        raise UnavailableError(f"node must be {NODE_MAJOR} or newer; got {version!r}")
    return node
