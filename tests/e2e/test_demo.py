"""`millrace demo`, run as a user runs it right after installation."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-m", "millrace.streams.cli", "demo"]


@pytest.fixture(scope="module")
def finished() -> subprocess.CompletedProcess[str]:
    """Run it once, short, without a terminal."""
    return subprocess.run(
        [*COMMAND, "--events", "1500", "--rate", "1500"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_it_ends_well(finished: subprocess.CompletedProcess[str]) -> None:
    """Exit code 0, nothing on standard error."""
    assert (finished.returncode, finished.stderr) == (0, "")


def test_its_accounts_add_up(finished: subprocess.CompletedProcess[str]) -> None:
    """Every record is accounted for, the invalid ones by reason."""
    text = " ".join(finished.stdout.split())
    assert "1,505 events sent, 5 of them invalid on purpose: 1,500 predicted, 5 rejected" in text
    assert "(2 malformed, 1 missing_field, 1 missing_id, 1 not_finite)" in text
    assert "1,500 labels sent, each 150 events after its event: 1,500 learned" in text
    assert "Nothing was lost" in text


def test_the_drift_is_detected(finished: subprocess.CompletedProcess[str]) -> None:
    """The loss of the champion raises an alert after the drift, and the model is to be replaced."""
    row = r"^loss:hoeffding_tree +ADWIN 0\.\d\d → 0\.\d\d +replace +\+\d+ events"
    assert re.search(row, finished.stdout, re.MULTILINE)
    assert "Action `replace`:" in finished.stdout


def test_it_prints_plain_lines(finished: subprocess.CompletedProcess[str]) -> None:
    """Without a terminal there are no escape codes."""
    assert "\x1b" not in finished.stdout
    assert "Drift: loans are now granted by age" in finished.stdout


def test_ctrl_c_sums_up_so_far() -> None:
    """It stops the worker, prints the summary, and exits with 130."""
    with subprocess.Popen(
        [*COMMAND, "--events", "20000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 60
        seen = ""
        while "granted by income" not in seen and time.monotonic() < deadline:
            seen += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "Millrace demo: interrupted after" in rest
    assert "Nothing was lost" not in rest
