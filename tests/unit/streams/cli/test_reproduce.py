"""`millrace reproduce` says whether a prediction is the same, also by its exit code."""

from __future__ import annotations

import pytest

from millrace.streams.tools.reproduce import Reproduction

LOANS = ["-p", "millrace.models.pipelines.loans"]
PUBLISHED = {
    "event_id": "50",
    "value": True,
    "probabilities": {"true": 0.75},
    "features": {"age": 30},
    "model": "tree",
    "model_version": 1_050,
    "reasons": None,
    "certainty": None,
}


@pytest.fixture
def reproduced(monkeypatch):
    """Set what is made again."""

    def reproduced(**changes):
        def reproduce(_clients, pipeline, _settings, event_id, progress):
            assert (pipeline.name, event_id) == ("loans", "50")
            for count in (1, 500, 501):
                progress("reading", count, 1_000)
            again = PUBLISHED | changes
            return Reproduction(PUBLISHED, again, "loans.features", 3, 50, 1_051)

        monkeypatch.setattr("millrace.streams.tools.reproduce.reproduce", reproduce)

    return reproduced


def test_an_identical_prediction_is_exit_code_0(call, reproduced):
    """With where it is and what it was."""
    reproduced()
    code, out, _ = call("reproduce", "50", *LOANS)
    assert code == 0
    text = " ".join(out.split())
    assert text == (
        "identical: 50 at loans.features[3]@50, by tree version 1,050, made again from 1,051"
        " records value True, probabilities {'true': 0.75}"
    )


def test_a_different_prediction_is_exit_code_1(call, reproduced):
    """With the fields that differ."""
    reproduced(model_version=1_049)
    code, out, _ = call("reproduce", "50", *LOANS)
    assert code == 1
    assert out.startswith("DIFFERENT: 50 at loans.features[3]@50")
    rows = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert "model_version 1050 1049" in rows
    assert not any(row.startswith(("value", "probabilities")) for row in rows)
