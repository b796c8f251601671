"""`millrace state` prints the saved models as a table or as JSON."""

from __future__ import annotations

import json

import pytest

from millrace.streams.tools.inspect_state import CandidateState, SavedState

LOANS = ["-p", "millrace.models.pipelines.loans"]
SAVED = SavedState(
    pipeline="loans",
    agent="prediction-learning",
    covers={0: {"features": 60}},
    candidates=[
        CandidateState(0, "", "tree", True, 1_234, 1_234, {"accuracy": 0.75}, 0, "a" * 64),
        CandidateState(0, "anna", "alma", False, 5, 0, {}, 0, "b" * 64),
    ],
)


@pytest.fixture(autouse=True)
def saved(monkeypatch):
    monkeypatch.setattr("millrace.streams.tools.inspect_state.inspect_state", lambda *_given: SAVED)


def test_models_are_rows(call):
    """With what they cover, their version, metrics and the beginning of the digest."""
    code, out, _ = call("state", *LOANS)
    assert code == 0
    lines = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert lines[0] == "loans, saved by prediction-learning"
    assert "0 features < 60 - tree * 1,234 accuracy 0.75 aaaaaaaaaaaa" in lines
    assert "0 features < 60 anna alma 5 - bbbbbbbbbbbb" in lines
    assert "* champion" in lines


def test_everything_is_json(call):
    """In full precision, with the whole digest."""
    _, out, _ = call("state", *LOANS, "--json")
    document = json.loads(out)
    assert document["candidates"][0]["digest"] == "a" * 64
    assert document["covers"] == {"0": {"features": 60}}
