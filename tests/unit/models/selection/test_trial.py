"""A trial: a warm-up, then a valid test in the order of the events, and an end."""

from __future__ import annotations

import json
import random
from math import log

import pytest

from millrace.models.selection.trial import MIN_LABELS, MOST_LABELS, Trial, Verdict


def run(trial: Trial, incumbent: list[float | None], challenger: list[float | None]) -> int:
    """Compare losses whose labels come at once; return after how many the trial is decided."""
    for at, losses in enumerate(zip(incumbent, challenger, strict=True)):
        trial.compare(at // 100, *losses)
        trial.settle(before=at // 100 + 1)
        if trial.verdict is not Verdict.UNDECIDED:
            return at + 1
    return 0


@pytest.mark.parametrize(("examples", "warm_up"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_half_of_the_examples_are_a_warm_up(examples, warm_up):
    """The challenger learns from them before it predicts."""
    trial, learned = Trial(examples), 0
    while not trial.is_warm:
        trial.count_learned()
        learned += 1
    assert learned == warm_up
    assert Trial(10, learned=5).is_warm
    assert not Trial(10, learned=4).is_warm


@pytest.mark.parametrize(
    ("incumbent", "challenger", "verdict"),
    [
        (1.0, 0.0, Verdict.WON),
        (0.0, 1.0, Verdict.LOST),
        (None, 0.0, Verdict.WON),
        (0.0, None, Verdict.LOST),
    ],
)
def test_a_large_difference_is_decided_at_once(incumbent, challenger, verdict):
    """After the fewest labels; who makes no prediction loses, however good the other is."""
    trial = Trial(2)
    assert run(trial, [incumbent] * 100, [challenger] * 100) == MIN_LABELS
    assert trial.verdict is verdict


@pytest.mark.parametrize("loss", [0.0, 1.0, 0.5, None])
def test_a_tie_keeps_the_incumbent_in_the_end(loss):
    """A challenger that is not proven better competes no longer; one of a deploy goes on."""
    losses = [loss] * (MOST_LABELS + 100)
    trial = Trial(2)
    assert run(trial, losses, losses) == MOST_LABELS
    assert trial.verdict is Verdict.LOST
    assert run(Trial(2, ends=False), losses, losses) == 0


@pytest.mark.parametrize(
    ("incumbent", "challenger", "verdict"), [(0.3, 0.2, Verdict.WON), (0.2, 0.3, Verdict.LOST)]
)
def test_a_difference_of_ten_points_is_found(incumbent, challenger, verdict):
    """In some hundred labels, whoever is better."""
    rng = random.Random(3)
    losses = [
        [float(rng.random() < chance) for _ in range(5_000)] for chance in (incumbent, challenger)
    ]
    trial = Trial(2)
    assert 100 < run(trial, *losses) < 1_000
    assert trial.verdict is verdict
    assert trial.evidence["advantage"] == pytest.approx(incumbent - challenger, abs=0.06)


def test_models_that_are_equal_rarely_win():
    """At most alpha of the runs; here, alpha is a fourth so that there are enough to count."""
    wins = 0
    for seed in range(100):
        rng = random.Random(seed)
        losses = [[float(rng.random() < 0.3) for _ in range(2_000)] for _ in range(2)]
        trial = Trial(2, alpha=0.25)
        run(trial, *losses)
        wins += trial.verdict is Verdict.WON
    assert wins <= 25


def test_losses_count_in_the_order_of_the_events():
    """What is known early of a block that waits counts with the rest of it."""
    trial = Trial(2)
    for _ in range(80):  # positives, early: the challenger is right
        trial.compare(4, 1.0, 0.0)
        trial.settle(before=4)
    assert trial.evidence["compared"] == 0
    for _ in range(120):  # negatives, late
        trial.compare(4, 0.0, 1.0)
        trial.settle(before=4)
    assert trial.evidence["compared"] == 0
    trial.settle(before=5)
    assert trial.evidence["compared"] == 200
    assert trial.evidence["advantage"] == pytest.approx(-0.2)


def test_numbers_are_bounded_by_the_warm_up():
    """Five times the incumbent's usual loss there counts as 1, in any unit."""
    found = []
    for unit in (1.0, 1e6):
        trial = Trial(2, is_bounded=False)
        for loss in (1.0 * unit, 2.0 * unit, 1e250, None):
            trial.note_warm_up(loss)
        for _ in range(10):
            trial.compare(0, 5.0 * unit, 1e9 * unit)
        trial.note_warm_up(1e12)  # the bound stays, once something has been compared
        trial.settle(before=1)
        found.append(trial.evidence["advantage"])
    assert found == [pytest.approx(0.5 - 1.0)] * 2


@pytest.mark.parametrize(
    ("noted", "losses", "difference"),
    [
        ([0.0, 0.0], (1e-9, 0.0), 1.0),
        ([0.0, 0.0, 3.0], (1.0, 2.5), -0.3),
        ([None, None], (None, 1e9), 1.0),
        ([None], (1e9, 1.0), 0.0),
        ([1e308, 1e308], (1e308, 1.0), 0.0),
    ],
)
def test_where_the_warm_up_says_little(noted, losses, difference):
    """An incumbent that lost nothing, or not often, or made no prediction."""
    trial = Trial(2, is_bounded=False)
    for loss in noted:
        trial.note_warm_up(loss)
    for _ in range(10):
        trial.compare(0, *losses)
    trial.settle(before=1)
    assert trial.evidence["advantage"] == pytest.approx(difference)


def test_a_trial_that_begins_again_has_a_smaller_share_of_alpha():
    """So the chance of a win by mistake is bounded for all of them together."""
    trial, shares = Trial(4), []
    for _ in range(3):
        shares.append(trial.evidence["alpha"])
        assert run(trial, [0.0] * 60, [1.0] * 60) == MIN_LABELS
        trial.begin_again()
        assert (trial.verdict, trial.is_warm) == (Verdict.UNDECIDED, False)
        assert trial.evidence["compared"] == 0
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) < 0.05


def test_what_is_shown_is_what_decides():
    """The e-value is compared with 1 over the share of alpha."""
    trial = Trial(2)
    run(trial, [1.0] * 100, [0.0] * 100)
    assert trial.evidence["log_e_value"] >= -log(trial.evidence["alpha"])


@pytest.mark.parametrize("cut", range(0, 300, 23))
@pytest.mark.parametrize("is_bounded", [True, False])
def test_a_saved_trial_goes_on(cut, is_bounded):
    """With what waits, what is settled, the bound and the round."""

    def steps(trial: Trial, first: int, last: int) -> Trial:
        for at in range(first, last):
            rng = random.Random(at)
            if at < 20:
                trial.note_warm_up(rng.random())
            else:
                trial.compare(at // 30, rng.random(), rng.random() / 2)
                trial.settle(before=max(at - 40, 0) // 30)
            if at == 150:
                trial.begin_again()
        return trial

    whole = steps(Trial(40, 0.1, is_bounded=is_bounded, ends=False), 0, 300)
    part = steps(Trial(40, 0.1, is_bounded=is_bounded, ends=False), 0, cut)
    again = Trial.from_fields(json.loads(json.dumps(part.to_fields())))
    steps(again, cut, 300)
    assert again.to_fields() == whole.to_fields()
    assert again.evidence == whole.evidence


def test_a_trial_of_the_simple_rule_is_compared_anew():
    """What was saved by it has learned, and its sum of losses decides nothing."""
    fields = {"warm_up": 5, "to_compare": 5, "learned": 7, "compared": 2, "advantage": 2.0}
    trial = Trial.from_fields(fields)
    assert trial.is_warm
    assert (trial.evidence["compared"], trial.verdict) == (0, Verdict.UNDECIDED)
