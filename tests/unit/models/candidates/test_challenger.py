"""A challenger predicts after its warm-up, and is compared on what both have predicted."""

from __future__ import annotations

import pytest
from river.dummy import NoChangeClassifier
from river.naive_bayes import GaussianNB

from millrace.models.candidates.candidate import Candidate
from millrace.models.candidates.challenger import Challenger
from millrace.models.candidates.incumbents import incumbent_of
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.promotion import Promotion
from millrace.models.selection.trial import MIN_LABELS, Trial, Verdict

X = {"a": 1.0}


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


NAMES = "tree", "tree.challenger@7"


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ((1.0, 0.0), Verdict.WON),
        ((0.0, 1.0), Verdict.LOST),
        ((1.0, None), Verdict.UNDECIDED),
        ((0.0, None), Verdict.LOST),
        ((None, 0.0), Verdict.WON),
        ((None, None), Verdict.UNDECIDED),
    ],
)
def test_events_that_both_predicted_are_compared(losses, verdict):
    """Who made no prediction lost as much as is possible."""
    made = warm()
    for _ in range(MIN_LABELS):
        made.compare(dict(zip(NAMES, losses, strict=True)), block=3, settled=4)
    assert made.verdict is verdict


@pytest.mark.parametrize("other", [(), ("tree.challenger@6",)])
def test_an_event_that_the_challenger_did_not_predict_is_not_compared(other):
    """Nor one that an earlier challenger for the same place predicted."""
    made = warm()
    for _ in range(MIN_LABELS):
        made.compare({"tree": 1.0} | dict.fromkeys(other, 0.0), block=3, settled=4)
    assert made.verdict is Verdict.UNDECIDED
    assert made.evidence["compared"] == 0


@pytest.mark.parametrize(("block", "settled"), [(None, 4), (3, 3)])
def test_an_event_counts_once_its_block_is_settled(block, settled):
    """One whose block was published before its label came never does."""
    made = warm()
    for _ in range(MIN_LABELS):
        made.compare({"tree": 1.0, "tree.challenger@7": 0.0}, block, settled)
    assert made.evidence["compared"] == 0


@pytest.mark.parametrize(
    ("before", "after", "compared"),
    [(None, None, 10), (None, "brier", 0), ("brier", "brier", 10), ("brier", None, 0)],
)
def test_under_another_definition_the_same_loss_counts(make_pipeline, before, after, compared):
    """What was compared by another one does not; what was learned does."""

    def definition(metric):
        promotion = None if metric is None else Promotion(metric=metric)
        return make_pipeline({"tree": GaussianNB}, promotion=promotion)

    model = Candidate(NoChangeClassifier(), Task.BINARY)
    made = Challenger.of("tree", 7, model, definition(before))
    while not made.predicts:
        made.learn(X, True)
    for _ in range(10):
        made.compare({"tree": 1.0, "tree.challenger@7": 0.0}, 0, 1)
    made.go_on(definition(after))
    assert made.predicts
    assert made.evidence["compared"] == compared


def test_a_function_of_a_new_definition_is_another_loss(make_pipeline):
    """Though it has the same name."""

    def loss(label, value, probabilities):
        return float(label != value)

    pipeline = make_pipeline({"tree": GaussianNB}, promotion=Promotion(metric=loss))
    made = Challenger.of("tree", 7, Candidate(GaussianNB(), Task.BINARY), pipeline)
    for _ in range(10):
        made.compare({"tree": 1.0, "tree.challenger@7": 0.0}, 0, 1)
    made.go_on(pipeline)
    assert made.evidence["compared"] == 0
