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

from millrace.streams.api.pages import Pages, ProcessState
from millrace.streams.api.report import Report
from millrace.streams.api.server import PageServer

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
    """The last stage changes to a user of its own, by number, before its entry point."""
    last = dockerfile.rpartition("FROM ")[2]
    user = re.search(r"^USER (\d+):\1$", last, re.M)
    assert user is not None
    assert f"--uid {user[1]} " in last[: user.start()]
    assert user.start() < last.index("ENTRYPOINT")


def test_others_can_reach_its_pages(dockerfile: str) -> None:
    """It listens beyond the container, and the health check asks where it listens."""
    assert "ENV MILLRACE_WEB_HOST=0.0.0.0" in dockerfile
    (path,) = re.findall(r'CMD \["python", "/opt/millrace/([^"]+)"\]', dockerfile)
    assert f"COPY deploy/image/{path} /opt/millrace/" in dockerfile


@pytest.mark.parametrize(
    ("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("127.0.0.2", "127.0.0.2")]
)
def test_the_health_check_asks_where_the_worker_listens(
    host: str, asked: str, repository: Path, tmp_path: Path
) -> None:
    """On the port that is set, in a variable or a file; ready or not, and why not."""
    waiting = {1: ["ingest"]}
    pages = Pages(lambda: [ProcessState(1, Report("p", waiting=waiting[1]))])
    server = PageServer(asked, 0, pages)
    try:
        (tmp_path / "port").write_text(f"{server.port}\n")
        of_file = {"MILLRACE_WEB_PORT_FILE": str(tmp_path / "port")}
        for port in ({"MILLRACE_WEB_PORT": str(server.port)}, of_file):
            waiting[1] = ["ingest"]
            done = _ready(repository, {"MILLRACE_WEB_HOST": host, **port})
            assert (done.returncode, '"waiting": ["ingest"]' in done.stderr) == (1, True)
            waiting[1] = []
            done = _ready(repository, {"MILLRACE_WEB_HOST": host, **port})
            assert (done.returncode, done.stderr) == (0, "")
    finally:
        server.close()
    done = _ready(repository, {"MILLRACE_WEB_HOST": host, "MILLRACE_WEB_PORT": str(server.port)})
    assert (done.returncode, f"no answer on port {server.port}" in done.stderr) == (1, True)


def _ready(repository: Path, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the health check as a container does, behind a proxy that does not answer."""
    return subprocess.run(
        [sys.executable, repository / "deploy/image/ready.py"],
        env={"http_proxy": "http://127.0.0.1:1", **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_image_is_without_extras(repository: Path, project: dict[str, Any]) -> None:
    """A worker reads no Parquet: pyarrow, 140 MB, is an extra, and the tests have it."""
    assert [
        each.partition(">")[0] for each in project["project"]["optional-dependencies"]["parquet"]
    ] == ["pyarrow"]
    tested, runs = (_pins(repository / lock) for lock in _LOCKS)
    assert "pyarrow" in tested
    assert "pyarrow" not in runs


def test_what_platform_tests_need_agrees_with_the_rest(repository: Path) -> None:
    """It is installed beside what is tested: with hashes, no address, and no other version."""
    path = repository / "requirements-platform.lock"
    text, pins = path.read_text(), _pins(path)
    assert "kubernetes-validate" in pins
    assert len(re.findall(r"^[A-Za-z0-9]", text, re.M)) == len(pins)
    assert "://" not in text
    assert not re.search(r"^-", text, re.M)
    tested = _pins(repository / "requirements.lock")
    assert {name: tested[name] for name in pins.keys() & tested}.items() <= pins.items()


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
    for name in ("pyproject.toml", "requirements-runtime.lock", "deploy/image", *packages):
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
