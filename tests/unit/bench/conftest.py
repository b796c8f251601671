"""What the tests of the benchmark share."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench


@pytest.fixture
def repository() -> Path:
    """Give the root of the repository."""
    return Path(bench.__file__).parents[1]
