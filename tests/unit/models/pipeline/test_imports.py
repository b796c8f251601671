"""Modules that a command needs to check its arguments do not import what takes long."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {"pandas": 0.3, "scipy": 0.5}
"""Package to about how many seconds of CPU its import takes; most of River imports SciPy."""


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("millrace.models.pipeline.loading", set()),
        ("millrace.models.tables.inference", {"pandas"}),
    ],
)
def test_slow_packages_are_imported_where_they_are_used(module: str, slow: set[str]) -> None:
    """Tables need pandas, models need River, and neither needs the other."""
    code = f"import sys, {module}; print(*{{*{[*SLOW]}}} & {{*sys.modules}})"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert {*found.stdout.split()} == slow
