"""A pipeline beside its author's own `models/`, `schemas.py` and `streams/`, as commands load it.

Each command runs in a process of its own, from a folder of its own: what counts is the import path
that Python and the installed command begin with.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

COMMAND = (str(Path(sys.executable).parent / "millrace"),)
MODULE = (sys.executable, "-m", "millrace.streams.cli")

OWN = {
    "models/mine.py": "from river.linear_model import LogisticRegression as Mine\n",
    "schemas.py": """
SCHEMA = {"type": "record", "name": "Visit", "fields": [
    {"name": "id", "type": "string"}, {"name": "x", "type": "double"}]}
""",
    "streams/__init__.py": "NAME = 'visits'\n",
    "visits.py": """
import statistics
import click
from millrace import Pipeline
from models.mine import Mine
from schemas import SCHEMA
from streams import NAME

assert statistics.mean([1, 3]) == 2 and click.Command
pipeline = Pipeline(
    name=NAME, schema=SCHEMA, event_id="id", task="binary", models={"mine": lambda: Mine()}
)
""",
}
SHADOWS = dict.fromkeys(("statistics.py", "click.py"), "raise AssertionError('shadows')\n")
CASES: dict[str, tuple[Sequence[str], str, dict[str, str], dict[str, str]]] = {
    "command, by file": (COMMAND, "visits.py", {}, SHADOWS),
    "command, by module": (COMMAND, "visits", {}, SHADOWS),
    "command, PYTHONPATH=.": (COMMAND, "visits", {"PYTHONPATH": "."}, {}),
    "python -m, by file": (MODULE, "visits.py:pipeline", {}, {}),
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Start every case at once, and return what gives the output of one when it has ended."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    running = {}
    for name, (command, spec, environment, more) in CASES.items():
        folder = tmp_path_factory.mktemp("own")
        for path, text in (OWN | more).items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        running[name] = subprocess.Popen(
            [*command, "check", spec],
            cwd=folder,
            env=inherited | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    yield lambda name: running[name].communicate(timeout=60)[0]
    for process in running.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", CASES)
def test_own_packages_are_found_and_shadow_nothing(
    name: str, started: Callable[[str], str]
) -> None:
    """The author's modules are imported, and what is installed comes before them."""
    assert "visits is a valid pipeline." in started(name)
