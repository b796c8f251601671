"""The commands on the page that `millrace docs` writes do what they say, with kcat."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dev.debian import find
from dev.fetched import UnavailableError
from millrace.streams.docs.examples import Examples
from millrace.streams.docs.try_it import steps
from tests.conftest import NOT_TESTED
from tests.integration.workers import Worker, settings, wait_for

pytestmark = [pytest.mark.platform, pytest.mark.timeout(240)]
SECONDS = 30

Run = Callable[[str], str]


@pytest.fixture(scope="module")
def run() -> Run:
    """Run a command of the page in a shell that has kcat, or skip and have the summary say it."""
    try:
        folder = Path(find("kcat", package="kcat")).parent
    except UnavailableError as error:
        pytest.skip(f"{NOT_TESTED} WITH KCAT: {error}")
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

    def run(command: str) -> str:
        shell = ["sh", "-c", command]
        return subprocess.run(
            shell, capture_output=True, text=True, timeout=SECONDS, check=True, env=environment
        ).stdout

    return run


def read(run: Run, command: str) -> list[Any]:
    """Return the records that a command of the page prints, as far as they are there."""
    return [json.loads(line) for line in run(command.replace("kcat -C", "kcat -C -e")).splitlines()]


@pytest.mark.parametrize(
    ("pipeline", "chain"), [("every_sensor", "full"), ("by_sensor", "full"), ("fragile", "default")]
)
def test_the_commands_work(
    run: Run, kafka: str, unique_name: Callable[[str], str], pipeline: str, chain: str
) -> None:
    """The event that they produce is predicted and learned, whichever partition it must be on."""
    deployed = settings(pipeline, unique_name("kcat"), kafka, outputs="json", chain=chain)
    definition = deployed.load_pipeline()
    examples = Examples(definition)
    event, label, reading = (each.command for each in steps(definition, deployed, examples))
    with Worker(deployed) as worker:
        worker.wait_ready()
        run(event)
        run(label)
        (prediction,) = wait_for("prediction", lambda: read(run, reading))
        worker.wait_total(1, "millrace_outcomes_total", fate="joined")
    for field in ("event_id", "key", "features"):
        assert prediction[field] == examples.prediction[field]
