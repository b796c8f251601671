"""systemd itself takes the unit, and finds little that the worker may do beyond its work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NOT_TESTED

pytestmark = pytest.mark.platform

UNIT = Path(__file__).parents[2] / "deploy/systemd/millrace.service"
MOST_EXPOSED = "20"
"""In tenths: of 10.0, systemd calls anything up to 2.0 OK."""


@pytest.fixture
def analyze() -> str:
    """Give the path of systemd-analyze, or skip, and say why."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip(f"{NOT_TESTED} WITH SYSTEMD: there is no systemd-analyze on PATH")
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Give the unit with the command of this installation, since systemd looks for it."""
    command = Path(sys.executable).with_name("millrace")
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/millrace/bin/millrace", str(command)))
    return path


def test_systemd_takes_the_unit(analyze: str, unit: Path) -> None:
    """Each option is known, and of its type."""
    done = _run(analyze, "verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_worker_may_do_little(analyze: str, unit: Path) -> None:
    """systemd's own measure of what a service is exposed to."""
    options = ("--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager")
    done = _run(analyze, "security", *options, str(unit))
    assert done.returncode == 0, done.stdout


def test_a_misspelt_option_is_found(analyze: str, unit: Path) -> None:
    """systemd says so, though it would start the unit."""
    unit.write_text(unit.read_text().replace("NoNewPrivileges", "NoNewPriviliges"))
    assert "NoNewPriviliges" in _run(analyze, "verify", str(unit)).stderr


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
