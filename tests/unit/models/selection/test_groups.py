"""Evidence by groups of events."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.models.selection import groups
from millrace.models.selection.groups import Groups
from tests.unit.models.selection.test_contest import block


def compared(difference: float) -> Any:
    return {"bayes": {"events": 10, "difference": difference, "squared_difference": 4.0}}


def test_another_champion_begins_anew() -> None:
    """What was compared with the one before says nothing."""
    found = Groups()
    found.add(block(0, "tree", groups={"a": compared(1.0), "b": compared(-1.0)}))
    assert {name: each["bayes"].mean for name, each in found.evidence.items()} == {
        "a": 0.1,
        "b": -0.1,
    }
    found.add(block(0, "bayes", groups={"b": compared(2.0)}))
    assert {name: each["bayes"].mean for name, each in found.evidence.items()} == {"b": 0.2}


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that come later are counted, and those that are there go on."""
    monkeypatch.setattr(groups, "MOST_GROUPS", 2)
    found = Groups()
    for name in ("a", "b", "c", "a"):
        found.add(block(groups={name: compared(1.0)}))
    assert [*found.evidence] == ["a", "b"]
    assert (found.left_out, found.evidence["a"]["bayes"].n) == (10, 20)
