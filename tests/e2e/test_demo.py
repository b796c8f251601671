"""`millrace demo`, run as a user runs it right after installation."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from dev.kafka import free_port as a_free_port

COMMAND = [sys.executable, "-m", "millrace.streams.cli", "demo"]


@pytest.fixture
def free_port() -> int:
    """Give a port that nobody listens on."""
    return a_free_port()


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


def test_its_page_stays_until_ctrl_c(free_port: int) -> None:
    """It is served beside the demo, knows what the demo knows, and Ctrl-C is then a good end."""
    options = ["--events", "600", "--rate", "600", "--page", "--page-port", str(free_port)]
    environment = {**os.environ, "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        seen = ""
        while "The page stays until Ctrl-C" not in seen and process.poll() is None:
            seen += process.stdout.readline()
        address = f"http://127.0.0.1:{free_port}"
        assert f"The page: {address}" in seen
        with urlopen(f"{address}/", timeout=10) as index:
            assert "default-src 'self'" in index.headers["Content-Security-Policy"]
        with urlopen(f"{address}/v1/overview", timeout=10) as overview:
            assert json.load(overview)["champion"] == "hoeffding_tree"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "600 predicted" in rest
    assert "Nothing was lost" in rest
    with pytest.raises(URLError):
        urlopen(f"{address}/", timeout=10)


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
