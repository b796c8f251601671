"""The image is made of pinned parts and runs without privileges; the locks hold it together."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_LOCKS = ("requirements.lock", "requirements-runtime.lock")
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+) \\((?:\n +--hash=sha256:[0-9a-f]{64}(?: \\)?)+)", re.M)


@pytest.fixture(scope="module")
def dockerfile(repository: Path) -> str:
    """Give the Dockerfile."""
    return (repository / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    """Give pyproject.toml as parsed."""
    return tomllib.loads((repository / "pyproject.toml").read_text())


def _pins(path: Path) -> dict[str, str]:
    """Return what a lock pins: name to version."""
    return {name: version for name, version, _ in _PIN.findall(path.read_text())}


def test_the_base_image_is_one_and_pinned(dockerfile: str) -> None:
    """Both stages begin from the same tag, which has a full version."""
    images = set(re.findall(r"^FROM (\S+)", dockerfile, re.M))
    assert len(images) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", images.pop())


def test_the_worker_is_not_root(dockerfile: str) -> None:
    """The last stage changes to a user of its own before its entry point."""
    last = dockerfile.rpartition("FROM ")[2]
    assert last.index("USER millrace") < last.index("ENTRYPOINT")


def test_packages_are_installed_by_hash(dockerfile: str) -> None:
    """Dependencies come from the lock with hashes, and the project brings no more."""
    assert "--require-hashes --no-deps -r requirements-runtime.lock" in dockerfile
    assert "--no-deps --no-build-isolation ." in dockerfile


def test_nothing_is_installed_that_is_not_locked(repository: Path) -> None:
    """The complete environment meets every requirement, extras included, by the lock alone."""
    makefile = " ".join((repository / "Makefile").read_text().replace("\\\n", " ").split())
    assert "--require-hashes --no-deps -r requirements.lock" in makefile
    command = [sys.executable, "-m", "pip", "check"]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout


def test_the_image_gets_what_it_is_built_of(repository: Path) -> None:
    """.dockerignore keeps everything out but the sources, and lets every package in."""
    kept = (repository / ".dockerignore").read_text().splitlines()
    assert kept[1] == "*"
    packages = ("millrace", "schemas", "models", "streams")
    for name in ("pyproject.toml", "requirements-runtime.lock", *packages):
        assert f"!{name}" in kept
        assert (repository / name).exists()
    links = [each for each in (repository / "millrace").iterdir() if each.is_symlink()]
    assert {each.resolve().name for each in links} == {*packages[1:]}


@pytest.mark.parametrize("lock", _LOCKS)
def test_a_lock_pins_and_hashes_everything(repository: Path, lock: str) -> None:
    """Every requirement has one version and its hashes, and no address to get it from."""
    text = (repository / lock).read_text()
    names = re.findall(r"^[A-Za-z0-9]", text, re.M)
    assert len(names) == len(_pins(repository / lock)) > 40
    assert "://" not in text
    assert not re.search(r"^-", text, re.M)


def test_the_locks_agree(repository: Path) -> None:
    """What the image runs is what was tested, without the tools."""
    tested, runs = (_pins(repository / lock) for lock in _LOCKS)
    assert runs.items() <= tested.items()
    assert "pytest" not in runs


def test_the_locks_hold_what_the_project_requires(
    repository: Path, project: dict[str, Any]
) -> None:
    """Each requirement of pyproject.toml, of building included, is pinned to a fit version."""
    tested, runs = (_pins(repository / lock) for lock in _LOCKS)
    needed = project["project"]["dependencies"] + project["build-system"]["requires"]
    for pins, texts in (
        (runs, needed),
        (tested, needed + project["project"]["optional-dependencies"]["dev"]),
    ):
        for requirement in map(Requirement, texts):
            name = canonicalize_name(requirement.name)
            assert requirement.specifier.contains(pins.get(name, "none")), name
