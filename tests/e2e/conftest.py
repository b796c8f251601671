"""Node for the tests that need it: where it is missing they skip, and the run says so loudly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.fetched import UnavailableError
from dev.node import node_program
from tests.conftest import NOT_TESTED


@pytest.fixture(scope="session")
def node() -> Callable[[Path], list[str]]:
    """Return the command that runs a program with the packages of its lock file, or skip."""

    def command(program: Path) -> list[str]:
        try:
            return node_program(program)
        except UnavailableError as error:
            pytest.skip(f"{NOT_TESTED} WITH NODE: {error}")

    return command
