"""A challenger predicts after its warm-up, and is compared on what both have predicted."""

from __future__ import annotations

import pytest
from river.dummy import NoChangeClassifier

from millrace.models.candidates.candidate import Candidate
from millrace.models.candidates.challenger import Challenger
from millrace.models.candidates.incumbents import incumbent_of
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.trial import Trial, Verdict
from millrace.schemas.records import Predicted

X = {"a": 1.0}
RIGHT, WRONG = Predicted(value=True, probabilities={}), Predicted(value=False, probabilities={})
NOTHING = Predicted(value=None, probabilities={})


def challenger(examples: int = 2, since: int = 7) -> Challenger:
    model = Candidate(NoChangeClassifier(), Task.BINARY)
    return Challenger("tree", since, model, Trial(examples))


def warm(examples: int = 2) -> Challenger:
    made = challenger(examples)
    for _ in range(examples // 2):
        made.learn(X, True)
    return made


def test_a_challengers_name_is_its_own():
    """It has the name of the incumbent, and the version at which the challenger was made."""
    assert (challenger().name, challenger(since=8).name) == (
        "tree.challenger@7",
        "tree.challenger@8",
    )


@pytest.mark.parametrize("name", ["tree", "a-tree_2", "no_change"])
def test_the_incumbent_of_a_name(name):
    """That of a challenger; a candidate is its own."""
    made = Challenger(name, 12, Candidate(NoChangeClassifier(), Task.BINARY), Trial(2))
    assert incumbent_of(made.name) == incumbent_of(name) == made.incumbent == name


def test_a_challenger_predicts_after_its_warm_up():
    """It has learned from half of its examples by then."""
    made = challenger(examples=6)
    predicts = []
    for _ in range(4):
        predicts.append(made.predicts)
        made.learn(X, True)
    assert predicts == [False, False, False, True]


def test_a_challenger_learns():
    """Its model gets every example."""
    made = challenger()
    made.learn(X, True)
    assert made.model.predict_one(X) is True
    assert made.model is made.candidate.model


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ({"tree": 1.0, "tree.challenger@7": 0.0}, Verdict.WON),
        ({"tree": 0.0, "tree.challenger@7": 1.0}, Verdict.LOST),
        ({"tree": 1.0}, Verdict.LOST),
        ({"tree.challenger@7": 0.0}, Verdict.WON),
        ({}, Verdict.LOST),
    ],
)
def test_an_event_that_both_predicted_is_compared(losses, verdict):
    """An incumbent that did not predict has lost to one that did; a challenger never wins so."""
    made = warm()
    made.compare({"tree": WRONG, "tree.challenger@7": RIGHT}, losses)
    assert made.verdict is verdict


@pytest.mark.parametrize("other", [{}, {"tree.challenger@6": RIGHT}])
def test_an_event_that_the_challenger_did_not_predict_is_not_compared(other):
    """Nor one that an earlier challenger for the same place predicted."""
    made = warm()
    losses = {"tree": 1.0} | dict.fromkeys(other, 0.0)
    made.compare({"tree": WRONG, **other}, losses)
    assert made.verdict is Verdict.UNDECIDED
