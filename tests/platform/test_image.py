"""What the image holds runs as the image runs it, without Docker.

The lock is installed into an environment of its own; there, a worker runs as a user without a name,
on a root that is read-only but for /tmp. For that this machine must let us have mounts of our own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.kafka import free_port
from tests.conftest import NOT_TESTED
from tests.integration.workers import wait_for

pytestmark = pytest.mark.platform

REPOSITORY = Path(__file__).parents[2]
INSTALL_SECONDS = 400
SANDBOX = """
set -e
mount --make-rprivate /
mount --bind "$1" /mnt
if [ -n "$2" ]; then  # a folder that only root may enter, with Python in it
    mount --bind "$3" /srv
    mount -t tmpfs -o mode=755 tmpfs "$2"
    mkdir -p "$3"
    mount --bind /srv "$3"
    mount -o remount,bind,ro "$2"
    mount -o remount,bind,ro "$3"
fi
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro /mnt
mount -o remount,bind,ro /
shift 3
cd /
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all \\
    env -i PATH=/mnt/bin:/usr/bin:/bin HOME=/home/millrace "$@"
"""

Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def dockerfile() -> str:
    """Give the Dockerfile, each command in one line."""
    return (REPOSITORY / "Dockerfile").read_text().replace("\\\n", "")


@pytest.fixture(scope="module")
def installed(dockerfile: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install what the image installs, by its own commands."""
    folder = tmp_path_factory.mktemp("image") / "millrace"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=60)
    for command in re.findall(r"^RUN (pip install .*)", dockerfile, re.M):
        subprocess.run(
            [folder / "bin/python", "-m", *command.split(), "--quiet"],
            cwd=REPOSITORY,
            check=True,
            timeout=INSTALL_SECONDS,
        )
    return folder


@pytest.fixture
def run(installed: Path, dockerfile: str) -> Iterator[Run]:
    """Run a command as the image runs it, with more variables."""
    _require_mounts()
    python = Path(sys.base_prefix)
    closed = next((str(each) for each in python.parents if not each.stat().st_mode & 1), "")
    pairs = re.findall(r"^ENV (.*)", dockerfile.rpartition("FROM ")[2], re.M)
    variables = [each for pair in pairs for each in pair.split() if not each.startswith("PATH=")]
    started: list[subprocess.Popen[str]] = []

    def start(*command: str, **more: str) -> subprocess.Popen[str]:
        settings = [*variables, *(f"{name}={value}" for name, value in more.items())]
        folders = (str(installed), closed, str(python))
        process = subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", SANDBOX, "-", *folders, *settings, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for each in started:
        with each:  # closes what it is read from
            each.kill()


def _require_mounts() -> None:
    if os.geteuid() != 0:
        pytest.skip(f"{NOT_TESTED} IN THE IMAGE: only root may have mounts of its own")
    tried = subprocess.run(["unshare", "--mount", "true"], check=False)
    if tried.returncode != 0:
        pytest.skip(f"{NOT_TESTED} IN THE IMAGE: this machine allows no mounts of our own")


WORKER = ("python", "-m", "millrace.streams.cli", "worker")
LOANS = {"MILLRACE_PIPELINE": "millrace.models.pipelines.loans"}


def test_the_lock_is_complete(installed: Path) -> None:
    """Nothing that is required is missing; pyarrow is not required."""
    python = installed / "bin/python"
    subprocess.run([python, "-m", "pip", "check"], check=True, timeout=60)
    listed = subprocess.run(
        [python, "-m", "pip", "list"], check=True, capture_output=True, text=True, timeout=60
    )
    assert "pyarrow" not in listed.stdout


def test_only_tmp_can_be_written(run: Run) -> None:
    """As with a root that is read-only; and the user has no name."""
    places = ("/", "/mnt", "/home", "/tmp")
    said, _ = run(
        "sh", "-c", f"id; for each in {' '.join(places)}; do touch $each/x; done"
    ).communicate()
    assert "uid=10001 gid=10001" in said
    assert re.findall(r"touch: cannot touch '(\S+)'", said) == ["//x", "/mnt/x", "/home/x"]


def test_a_worker_becomes_ready_and_stops(run: Run) -> None:
    """Its health check says so, on a port that is set; it ends in order."""
    port = {"MILLRACE_WEB_PORT": str(free_port())}
    worker = run(*WORKER, **LOANS, **port)
    check = [sys.executable, str(REPOSITORY / "deploy/image/ready.py")]
    asked = {"MILLRACE_WEB_HOST": "0.0.0.0", **port}

    def is_ready() -> bool:
        assert worker.poll() is None, worker.communicate()[0]
        return subprocess.run(check, env=asked, capture_output=True, check=False).returncode == 0

    wait_for("readiness", is_ready)
    worker.terminate()
    said, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0, said


def test_no_key_is_made_up(run: Run) -> None:
    """A worker on Kafka without a key says what to do, and ends."""
    worker = run(*WORKER, **LOANS, MILLRACE_BROKER="127.0.0.1:1")
    said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert "state_key must be set in a container" in said


@pytest.mark.parametrize(("name", "code"), [("rows.csv", 0), ("rows.parquet", 2)])
def test_a_table_is_replayed_without_the_extra(
    name: str, code: int, installed: Path, tmp_path: Path
) -> None:
    """CSV never needs one; the refusal of Parquet names it."""
    rows = "".join(f"{n},{n % 2}\n" for n in range(50))
    (tmp_path / name).write_text("x,y\n" + rows)
    command = [installed / "bin/millrace", "replay", name, "--label", "y"]
    done = subprocess.run(
        [*command, "--model", "hoeffding_tree"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert ("millrace[parquet]" in done.stderr) == (code == 2)
