"""The unit for systemd starts a worker, gives it settings that hold, and time to stop.

tests/platform has it checked by systemd itself.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from millrace.streams.settings import read_settings, unknown_settings
from millrace.streams.worker.supervisor import STOP_SECONDS


@pytest.fixture(scope="module")
def unit(repository: Path) -> list[str]:
    """Give the lines of the unit."""
    return (repository / "deploy/systemd/millrace.service").read_text().splitlines()


@pytest.fixture(scope="module")
def environment(repository: Path) -> dict[str, str]:
    """Give what the environment file sets."""
    lines = (repository / "deploy/systemd/millrace.env").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def test_the_environment_file_holds_settings(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is one, and together they are valid."""
    assert unknown_settings(environment) == {}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.kafka["security.protocol"] == "SASL_SSL"
    assert settings.group_instance_id == "worker-1"
    assert not settings.is_embedded


def test_the_key_is_given_and_in_no_environment(
    unit: list[str], environment: dict[str, str]
) -> None:
    """It comes from a file that root alone reads, so that none is made up."""
    assert "MILLRACE_STATE_KEY" not in environment
    assert "LoadCredential=state_key:/etc/millrace/state_key" in unit
    assert "Environment=MILLRACE_STATE_KEY_FILE=%d/state_key" in unit


def test_a_worker_runs_and_has_time_to_stop(unit: list[str]) -> None:
    """The supervisor alone is asked to stop; systemd waits for longer than it does."""
    assert "ExecStart=/opt/millrace/bin/millrace worker" in unit
    assert "KillMode=mixed" in unit
    (seconds,) = [each.partition("=")[2] for each in unit if each.startswith("TimeoutStopSec=")]
    assert int(seconds) >= 2 * STOP_SECONDS
