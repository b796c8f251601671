"""Which offsets go into a transaction."""

from __future__ import annotations

from typing import Any, cast

from millrace.streams.runtime.assignment import Assignment


def make_assignment() -> Assignment:
    """Return one whose state covers `features` up to 5, of 8 that are committed."""
    task = cast(Any, None)
    places = {"features": 8, "models": 0}
    return Assignment(0, task, {"features": 5, "models": 0}, places, order=None)


def test_offsets_are_committed_once() -> None:
    """Those that have moved beyond what is committed, and none while folding it again."""
    assignment = make_assignment()
    assert assignment.take_uncommitted(again=False) == {}
    assert not assignment.is_uncommitted

    assignment.next_offset["features"] = 9

    assert assignment.is_uncommitted
    assert assignment.take_uncommitted(again=False) == {"features": 9}
    assert assignment.take_uncommitted(again=False) == {}


def test_a_flush_commits_them_again() -> None:
    """So that the group fences it; never a place before the committed one, nor one never read."""
    assignment = make_assignment()

    assert assignment.take_uncommitted(again=True) == {"features": 8}
