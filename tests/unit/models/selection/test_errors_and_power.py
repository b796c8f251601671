"""How often a challenger that is no better is found better, and how soon one that is."""

from __future__ import annotations

from math import log, pi
from statistics import median

import numpy as np
import pytest

from millrace.models.selection.evidence import Evidence

RUNS, EVENTS, BLOCK, ALPHA = 400, 20_000, 100, 0.05


def differences(rng, mean, scale):
    """Return -1, 0 or 1 for each mean: what is not 0 has the probability `scale`."""
    u = rng.random(np.shape(mean))
    return (u < (scale + mean) / 2) * 1.0 - (u > 1.0 - (scale - mean) / 2) * 1.0


def blocks(values, size=BLOCK):
    """Return the sum and the sum of squares of each block of a run."""
    parts = values.reshape(-1, size)
    return zip(parts.sum(1).tolist(), (parts**2).sum(1).tolist(), strict=True)


def labels_until_better(values, margin=0.0, size=BLOCK):
    """Return after how many labels the challenger was found better, or None."""
    evidence = Evidence()
    for total, squares in blocks(values, size):
        evidence.add(size, total, squares)
        if evidence.log_e(margin) >= -log(ALPHA):
            return evidence.n
    return None


def equal_models(rng):
    """Two models that err independently of each other, both at 20 % of the events."""
    shape = (RUNS, EVENTS)
    return (rng.random(shape) < 0.2) * 1.0 - (rng.random(shape) < 0.2)


def daily_cycle(rng):
    """Worse by up to 15 points in the first half of each day, better by as much in the second."""
    means = -0.15 * np.sin(2 * pi * np.arange(EVENTS) / 1_440)
    return differences(rng, np.broadcast_to(means, (RUNS, EVENTS)), 0.3)


def bad_times(rng):
    """Equal models that agree nearly always, but for times at which each event surprises both."""
    is_bad = np.cumsum(rng.random((RUNS, EVENTS)) < 0.005, axis=1) % 2
    return differences(rng, np.zeros((RUNS, EVENTS)), np.where(is_bad, 0.8, 0.05))


def skewed(rng):
    """A little better at nine of ten events, and much worse at the tenth."""
    return np.where(rng.random((RUNS, EVENTS)) < 0.9, 0.1, -0.9)


def _by_the_past(rng, next_mean):
    """Return differences whose means depend on the past, and sum up to at most 0."""
    runs, spent, total = np.empty((EVENTS, RUNS)), np.zeros(RUNS), np.zeros(RUNS)
    for event in range(EVENTS):
        mean = np.minimum(next_mean(total), -spent)
        runs[event] = differences(rng, mean, 0.3)
        spent += mean
        total += runs[event]
    return np.ascontiguousarray(runs.T)


def autocorrelated(rng):
    """A gain that comes and goes (AR 0.99), as far as earlier losses allow it."""
    gain = np.zeros(RUNS)

    def next_mean(_total):
        gain[:] = 0.99 * gain + 0.03 * rng.standard_normal(RUNS)
        return np.clip(gain, -0.25, 0.25)

    return _by_the_past(rng, next_mean)


def adversary(rng):
    """Worse while it is behind, and while it is ahead, better by all that it has saved up."""
    return _by_the_past(rng, lambda total: np.where(total > 0, 0.25, -0.05))


@pytest.mark.parametrize(
    "null", [equal_models, daily_cycle, bad_times, skewed, autocorrelated, adversary]
)
def test_a_challenger_that_is_no_better_is_rarely_found_better(null):
    """In at most 5 % of runs that are looked at 200 times, whatever depends on whatever."""
    runs = null(np.random.default_rng(7))
    assert runs.mean() < 0.01
    found = [labels_until_better(run) is not None for run in runs]
    assert sum(found) / RUNS <= ALPHA


def test_a_gain_of_exactly_the_margin_is_rarely_found_larger():
    """Though it is found to be a gain nearly always."""
    runs = differences(np.random.default_rng(7), np.full((RUNS, EVENTS), 0.03), 0.3)
    assert sum([labels_until_better(run, 0.03) is not None for run in runs]) / RUNS <= ALPHA
    assert sum([labels_until_better(run) is not None for run in runs]) / RUNS > 0.99


def test_the_interval_holds_at_all_times_at_once():
    """It has the running average of a gain that comes and goes, in 95 % of runs or more."""
    rng = np.random.default_rng(7)
    gains, gain = np.empty((EVENTS, RUNS)), np.zeros(RUNS)
    for event in range(EVENTS):
        gain = 0.99 * gain + 0.03 * rng.standard_normal(RUNS)
        gains[event] = np.clip(gain, -0.3, 0.3)
    averages = np.cumsum(gains, axis=0) / np.arange(1, EVENTS + 1)[:, None]
    missed = 0
    for run, truth in zip(differences(rng, gains, 0.3).T, averages.T, strict=True):
        evidence = Evidence()
        for (total, squares), mean in zip(blocks(run), truth[BLOCK - 1 :: BLOCK], strict=True):
            evidence.add(BLOCK, total, squares)
            if max(evidence.log_e(mean), evidence.log_e_worse(-mean)) >= log(2 / ALPHA):
                missed += 1  # as its ends are defined
                break
    assert missed / RUNS <= ALPHA


@pytest.mark.parametrize(
    ("champion", "challenger", "margin", "size", "least", "most"),
    [
        (0.20, 0.175, 0.0, 100, 1_500, 4_400),
        (0.20, 0.17, 0.0, 100, 1_000, 3_500),
        (0.20, 0.17, 0.01, 100, 2_500, 6_500),
        (0.40, 0.25, 0.0, 20, 100, 340),
        (0.50, 0.24, 0.0, 20, 40, 200),
    ],
)
def test_a_gain_is_found_soon(champion, challenger, margin, size, least, most):
    """2.5 to 3 points in some thousand labels, 15 to 26 in some hundred; not sooner by luck.

    The models err independently of each other, which is the hardest case; most of 60 runs count.
    """
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        errs, challenger_errs = rng.random((2, 40_000))
        values = (errs < champion) * 1.0 - (challenger_errs < challenger)
        labels = labels_until_better(values, margin, size)
        found.append(40_000 if labels is None else labels)
    assert least <= median(found) <= most
