"""Words for records."""

from __future__ import annotations

from collections.abc import Callable

from millrace.schemas.records import Prediction
from millrace.streams.demo.wording import decision


def test_a_decision_says_what_and_how_surely(prediction: Callable[..., Prediction]) -> None:
    """The probability is that of what was decided."""
    refused = prediction(value=False, probabilities={"True": 0.2, "False": 0.8})
    assert decision(prediction()) == "granted 98.4 %"
    assert decision(refused) == "refused 80.0 %"


def test_a_model_without_an_answer_is_undecided(prediction: Callable[..., Prediction]) -> None:
    """The first events come before anything has been learned."""
    assert decision(prediction(value=None, probabilities={})) == "undecided"
    assert decision(prediction(value=True, probabilities={})) == "granted"
