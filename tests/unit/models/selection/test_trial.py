"""A trial: a warm-up, as many comparisons, and any advantage wins."""

from __future__ import annotations

import pytest

from millrace.models.selection.trial import Trial, Verdict


def warmed_up(examples: int) -> tuple[Trial, int]:
    """Return a trial after its warm-up, and how many examples that took."""
    trial = Trial(examples)
    for learned in range(1_000):
        if trial.is_warm:
            return trial, learned
        trial.count_learned()
    raise AssertionError("the warm-up does not end")


def comparisons(trial: Trial) -> int:
    """Return how many comparisons it takes until the trial is decided."""
    for compared in range(1_000):
        if trial.verdict is not Verdict.UNDECIDED:
            return compared
        trial.compare(0.0, 0.0)
    raise AssertionError("the trial is never decided")


@pytest.mark.parametrize(
    ("examples", "warm_up", "compared"),
    [(1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 2, 2), (5, 3, 2), (500, 250, 250)],
)
def test_half_of_the_examples_are_a_warm_up(examples, warm_up, compared):
    """The other half is compared; a trial of one example compares one more."""
    trial, learned = warmed_up(examples)
    assert (learned, comparisons(trial)) == (warm_up, compared)


@pytest.mark.parametrize(
    ("incumbent", "challenger", "verdict"),
    [
        ((1.0, 1.0), (0.0, 1.0), Verdict.WON),
        ((0.5, 0.5), (0.5, 0.49), Verdict.WON),
        ((0.0, 3.0), (2.0, 0.0), Verdict.WON),
        ((1.0, 0.0), (0.0, 1.0), Verdict.LOST),
        ((0.0, 0.0), (0.0, 0.0), Verdict.LOST),
        ((0.0, 1.0), (1.0, 1.0), Verdict.LOST),
    ],
)
def test_any_advantage_in_the_sum_of_losses_wins(incumbent, challenger, verdict):
    """A tie keeps the incumbent."""
    trial, _ = warmed_up(4)
    verdicts = []
    for losses in zip(incumbent, challenger, strict=True):
        trial.compare(*losses)
        verdicts.append(trial.verdict)
    assert verdicts == [Verdict.UNDECIDED, verdict]


@pytest.mark.parametrize("losses", [(None, 0.0), (1.0, None), (None, None)])
def test_a_missing_prediction_is_compared_and_no_advantage(losses):
    """A challenger that never predicts loses in the end."""
    trial, _ = warmed_up(4)
    trial.compare(*losses)
    trial.compare(0.0, 0.0)
    assert trial.verdict is Verdict.LOST
    trial, _ = warmed_up(4)
    trial.compare(*losses)
    trial.compare(1.0, 0.0)
    assert trial.verdict is Verdict.WON


def test_a_trial_can_begin_in_its_warm_up():
    """Examples learned already count."""
    trial = Trial(10, learned=4)
    assert not trial.is_warm
    trial.count_learned()
    assert trial.is_warm
    assert comparisons(trial) == 5


@pytest.mark.parametrize(("advantage", "verdict"), [(0.5, Verdict.WON), (-0.5, Verdict.LOST)])
def test_a_trial_can_begin_among_its_comparisons(advantage, verdict):
    """What was learned after the warm-up was compared, and the advantage is kept."""
    trial = Trial(10, learned=8, advantage=advantage)
    assert trial.is_warm
    assert comparisons(trial) == 2
    assert trial.verdict is verdict


def test_a_trial_has_no_advantage_at_first():
    """A trial that compares losses of equal size is lost."""
    trial, _ = warmed_up(2)
    trial.compare(1.0, 1.0)
    assert trial.verdict is Verdict.LOST
