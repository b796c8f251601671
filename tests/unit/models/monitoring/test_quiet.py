"""A quiet monitor finds a change among independent values, and is silent where values depend."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from millrace.models.monitoring.drift_monitor import DriftMonitor

LENGTH = 100_000
TIMES = np.arange(LENGTH)


def quiet(cooldown=1_000, **options):
    monitor = DriftMonitor("adwin", cooldown, **{"scaled": True, "quiet": True} | options)
    monitor.become_quiet(most_reports=3)
    return monitor


def reports(monitor, values, size=32):
    listed = np.asarray(values, dtype=float).tolist()
    return [
        each
        for start in range(0, len(listed), size)
        for _, each in monitor.update_many(listed[start : start + size])
    ]


def autoregressive(rng, factor):
    values, last = [], 0.0
    for noise in rng.normal(0, np.sqrt(1 - factor**2), LENGTH).tolist():
        last = factor * last + noise
        values.append(last)
    return values


def cycle(rng, period, noise):
    return np.sin(2 * np.pi * TIMES / period) + noise * rng.normal(size=LENGTH)


INDEPENDENT = {
    "normal": lambda rng, size: rng.normal(size=size),
    "lognormal": lambda rng, size: rng.lognormal(size=size),
    "Pareto of 3": lambda rng, size: rng.pareto(3.0, size),
    "Pareto of 1.1": lambda rng, size: rng.pareto(1.1, size),
    "uniform": lambda rng, size: rng.uniform(size=size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "two humps": lambda rng, size: rng.choice([-10.0, 10.0], size) + rng.normal(size=size),
    "categories": lambda rng, size: rng.choice([0, 0, 0, 1, 2, 7], size),
    "booleans": lambda rng, size: rng.random(size) < 0.3,
    "millionths": lambda rng, size: 1e-6 * rng.normal(5, 1, size),
    "billions": lambda rng, size: rng.normal(1e9, 1, size),
}

DEPENDENT = {
    "autoregressive 0.5": lambda rng: autoregressive(rng, 0.5),
    "autoregressive 0.9": lambda rng: autoregressive(rng, 0.9),
    "autoregressive 0.99": lambda rng: autoregressive(rng, 0.99),
    "a cycle of 24": lambda rng: cycle(rng, 24, 0.3),
    "a cycle of 288": lambda rng: cycle(rng, 288, 1.0),
    "a cycle of 1,440": lambda rng: cycle(rng, 1_440, 1.0),
    "a cycle without noise": lambda rng: cycle(rng, 1_440, 0.0),
    "a faint cycle": lambda rng: cycle(rng, 2_000, 5.0),
    "a long cycle": lambda rng: cycle(rng, 10_000, 1.0),
    "a cycle of the whole": lambda rng: cycle(rng, 86_400, 1.0),
    "a week of days": lambda rng: (TIMES // 1_440 % 7 < 5) * cycle(rng, 1_440, 0.3),
    "a counter": lambda _: TIMES,
    "a noisy counter": lambda rng: TIMES + 1_000 * rng.normal(size=LENGTH),
    "a random walk": lambda rng: np.cumsum(rng.normal(size=LENGTH)),
    "a sawtooth": lambda _: TIMES % 1_000,
    "steps": lambda _: TIMES // 1_000,
    "steps that return": lambda _: TIMES // 100 % 10,
    "a constant": lambda _: np.full(LENGTH, 0.1),
    "mostly zero": lambda rng: rng.exponential(size=LENGTH) * (rng.random(LENGTH) < 0.01),
    "alternating": lambda rng: (-1.0) ** TIMES + 0.1 * rng.normal(size=LENGTH),
    "sorted batches": lambda rng: np.sort(rng.normal(size=(200, 500)), axis=1).ravel(),
    "batches": lambda rng: np.repeat(rng.normal(size=2_000), 50) + rng.normal(size=LENGTH),
    "a spread that changes": lambda rng: rng.normal(size=LENGTH) * (1 + 4 * (TIMES // 3_000 % 2)),
    "regimes": lambda rng: 3 * (np.sin(TIMES // 700 * 1.7) > 0) + rng.normal(size=LENGTH),
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_values_raise_no_alarm(name):
    """In 100,000 values, whatever their distribution."""
    assert reports(quiet(), INDEPENDENT[name](np.random.default_rng(1), LENGTH)) == []


@pytest.mark.parametrize("name", DEPENDENT)
def test_dependent_values_raise_three_alarms_at_most(name):
    """In 100,000 values that never stay where they are, or depend on each other."""
    assert len(reports(quiet(), DEPENDENT[name](np.random.default_rng(1)))) <= 3


@pytest.mark.parametrize("name", ["autoregressive 0.9", "a cycle of 1,440", "a counter"])
def test_a_common_dependence_is_soon_known(name):
    """It raises one alarm at most, before there are enough values to tell."""
    found = reports(quiet(), DEPENDENT[name](np.random.default_rng(2)))
    assert [each.position for each in found if each.position > 2_000] == []
    assert len(found) <= 1


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("at", [600, 5_000, 20_000])
@pytest.mark.parametrize("name", INDEPENDENT)
def test_a_jump_of_one_standard_deviation_is_found(name, at, sign):
    """Within 1,000 values, and nothing before it."""
    values = INDEPENDENT[name](np.random.default_rng(3), at + 1_000).astype(float)
    values[at:] += sign * values[:at].std()
    (found,) = reports(quiet(), values)
    assert at < found.position <= at + 1_000
    assert (found.mean_after > found.mean_before) is (sign > 0)


def test_each_of_several_jumps_is_found():
    """The next one is judged by what came after the last."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=60_000) + np.repeat([0.0, 1.0, -1.0], 20_000)
    assert [each.position // 1_000 for each in reports(quiet(), values)] == [20, 40]


def test_after_three_reports_within_100_000_values_nothing_is_watched():
    """The monitor says so, and stays so; positions are still counted."""
    levels = np.repeat([0.0, 5.0, 0.0, 5.0, 0.0], 5_000)
    values = levels + np.random.default_rng(5).normal(size=len(levels))
    monitor = quiet()
    assert monitor.is_watching
    assert len(reports(monitor, values)) == 3
    assert not monitor.is_watching
    assert reports(monitor, [0.0, np.nan, 1.0]) == []
    assert monitor._position == len(values) + 3
    assert not pickle.loads(pickle.dumps(monitor)).is_watching


def test_reports_that_are_far_apart_end_nothing():
    """Three changes in more than 100,000 values are three reports, and a fourth is the next."""
    levels = np.repeat([0.0, 5.0, 0.0, 5.0, 0.0], 51_000)
    values = levels + np.random.default_rng(6).normal(size=len(levels))
    monitor = quiet()
    assert len(reports(monitor, values)) == 4
    assert monitor.is_watching


@pytest.mark.parametrize("size", [1, 7, 500])
@pytest.mark.parametrize("name", ["a cycle of 288", "regimes", "mostly zero"])
def test_slices_may_be_cut_anywhere(name, size):
    """The same reports at the same values, and the same is remembered."""
    values = np.array(DEPENDENT[name](np.random.default_rng(7)))[:5_000]
    values[777] = np.nan
    one, other = quiet(cooldown=100), quiet(cooldown=100)
    positions = [[each.position for each in reports(one, values, size)]]
    positions.append([each.position for each in reports(other, values)])
    assert positions[0] == positions[1]
    assert pickle.dumps(one._independence) == pickle.dumps(other._independence)


def test_a_saved_monitor_continues_as_if_it_had_not_been_saved():
    """In the middle of a block, too."""
    values = DEPENDENT["regimes"](np.random.default_rng(8))[:6_000]
    straight, saved, found = quiet(cooldown=100), quiet(cooldown=100), []
    for start in range(0, len(values), 501):
        found += reports(saved, values[start : start + 501])
        saved = pickle.loads(pickle.dumps(saved))
    assert (
        [each.position for each in found]
        == [each.position for each in reports(straight, values)]
        != []
    )


def test_memory_is_small_and_bounded():
    """A hundred times as many values take no more room than the first thousands."""
    values, monitor, sizes = INDEPENDENT["normal"](np.random.default_rng(9), LENGTH), quiet(), []
    for part in (values[:9_000], values):
        reports(monitor, part)
        sizes.append(len(pickle.dumps(monitor._independence)))
    assert sizes[0] < sizes[1] < 6_000


def test_a_monitor_of_an_earlier_release_becomes_quiet():
    """It had no such memory; what it has counted goes on."""
    monitor = DriftMonitor("adwin", cooldown=0, scaled=True)
    state = {
        name: value
        for name, value in vars(monitor).items()
        if name not in ("_independence", "_most_reports", "_reported")
    }
    old = object.__new__(DriftMonitor)
    old.__setstate__(state)
    reports(old, TIMES[:1_000])
    assert reports(old, TIMES[1_000:3_000]) != []
    old.become_quiet(most_reports=3)
    assert reports(old, TIMES[3_000:20_000]) == []
    assert old._position == 20_000


def test_a_real_drift_of_a_loss_is_found_again_and_again():
    """A quiet monitor of losses does not end: each rise calls for something."""
    rng = np.random.default_rng(10)
    chances = np.tile(np.repeat([0.1, 0.5], [9_000, 1_000]), 5)
    losses = rng.random(len(chances)) < chances
    found = reports(DriftMonitor("adwin", 1_000, only_increase=True, quiet=True), losses)
    rises = [9_000 + 10_000 * each for each in range(5)]
    for rise, each in zip(rises, found, strict=True):
        assert rise < each.position < rise + 200


def test_losses_that_come_in_bursts_raise_few_alarms():
    """A model that is wrong for a while each day has not drifted; unquiet, that is 69 alarms."""
    rng = np.random.default_rng(11)
    losses = rng.random(LENGTH) < 0.2 + 0.15 * np.sin(2 * np.pi * TIMES / 1_440)
    noisy = DriftMonitor("adwin", 1_000, only_increase=True)
    assert len(reports(noisy, losses)) > 50
    found = reports(DriftMonitor("adwin", 1_000, only_increase=True, quiet=True), losses)
    assert len(found) < 10
