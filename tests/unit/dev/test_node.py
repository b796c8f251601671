"""Programs in JavaScript run with this machine's Node and the packages of their lock file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import node
from dev.fetched import UnavailableError
from dev.node import node_program
from tests.unit.dev.conftest import Program

NPM = 'echo "$NODE_EXTRA_CA_CERTS" > "$3/certificates"; echo "$@" >> "$LOG"'


@pytest.fixture
def source(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a program with a lock file beside it, on a machine with a Node that is new enough."""
    monkeypatch.setattr(node, "PACKAGES", tmp_path / "packages")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    program("node", "echo v20.1.0")
    program("npm", NPM)
    folder = tmp_path / "client"
    folder.mkdir()
    for name in ("package.json", "package-lock.json", "read.mjs"):
        (folder / name).write_text(name)
    return folder / "read.mjs"


def test_packages_are_installed_once(source: Path, tmp_path: Path) -> None:
    """Beside a copy of the program; and again when the lock changes."""
    command = node_program(source)
    assert node_program(source) == command
    program, copy = map(Path, command)
    assert program == tmp_path / "path" / "node"
    assert copy.read_text() == "read.mjs"
    assert copy.with_name("package-lock.json").exists()
    (install,) = (tmp_path / "log").read_text().splitlines()
    assert install.startswith("ci --prefix ")
    assert "--ignore-scripts" in install
    source.with_name("package-lock.json").write_text("newer")
    assert node_program(source) != command


def test_the_machines_certificates_are_known(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of its file where there is one, unless others are set."""
    file = tmp_path / "certificates.crt"

    def known() -> str:
        source.write_text(source.read_text() + "+")
        return Path(node_program(source)[1]).with_name("certificates").read_text().strip()

    monkeypatch.setattr(node, "CERTIFICATES", file)
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)
    assert known() == ""
    file.touch()
    assert known() == str(file)
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "mine.crt")
    assert known() == "mine.crt"


@pytest.mark.parametrize("version", ["v18.20.0", "unknown"])
def test_an_old_node_is_refused(source: Path, program: Program, version: str) -> None:
    """It is said which version there must be."""
    program("node", f"echo {version}")
    with pytest.raises(UnavailableError, match=f"node must be 20 or newer; got '{version}'"):
        node_program(source)


def test_without_node_it_is_said(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names what to install."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match="Install nodejs and npm"):
        node_program(source)
