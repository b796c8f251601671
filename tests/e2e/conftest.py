"""Node for the tests that need it: where it is missing they skip, and the run says so loudly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.node import NodeUnavailableError, find_node, install_packages
from tests.conftest import NOT_TESTED


@pytest.fixture(scope="session")
def node() -> Callable[[Path], tuple[str, Path]]:
    """Return Node and the folder of the packages that a lock file pins, or skip."""

    def find(lock: Path) -> tuple[str, Path]:
        try:
            return find_node(), install_packages(lock)
        except NodeUnavailableError as error:
            pytest.skip(f"{NOT_TESTED} WITH NODE: {error}")

    return find
