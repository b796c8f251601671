"""What a name on the topic `evaluations` stands for."""

from __future__ import annotations

import pytest

from millrace.streams.tools.evaluations import role_of


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("tree", "champion"),
        ("bayes", "candidate"),
        ("prior", "baseline"),
        ("bayes.challenger@deploy3", "challenger"),
    ],
)
def test_roles(name: str, role: str) -> None:
    """A name says what it stands for."""
    assert role_of(name, "tree", ["prior"]) == role
