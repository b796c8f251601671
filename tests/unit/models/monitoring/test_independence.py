"""Values are independent, but for one change of their level, or are not."""

from __future__ import annotations

import random

import pytest

from millrace.models.monitoring.independence import Independence


def holds(values, **options):
    independence = Independence()
    independence.extend(values, **options)
    return independence.hold()


def noise(length, seed=1):
    rng = random.Random(seed)
    return [rng.gauss(0, 1) for _ in range(length)]


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 64, 500, 5_000])
def test_noise_is_independent(length):
    """Any number of values; of few, nothing can be said against it."""
    assert holds(noise(length))


def test_values_that_are_alike_their_neighbours_are_not():
    """A ramp, and one that goes up and down within a block."""
    assert not holds([float(each) for each in range(200)])
    assert not holds([float(each % 10) for each in range(2_000)])


def test_values_that_are_unlike_their_neighbours_are_not():
    """They are no more independent."""
    assert not holds([(-1.0) ** each for each in range(2_000)])


@pytest.mark.parametrize("period", [600, 5_000, 20_000])
def test_a_slow_cycle_under_noise_is_found(period):
    """Means of some length are alike, though neighbours are not."""
    values = [each + 2 * (at % period > period / 2) for at, each in enumerate(noise(3 * period))]
    assert holds(values[: period // 2])
    assert not holds(values)


@pytest.mark.parametrize("place", [100, 1_000, 3_000, 3_950])
@pytest.mark.parametrize("size", [0.5, 5.0, 1e6])
def test_one_change_of_level_is_no_dependence(place, size):
    """Wherever it is and however large."""
    assert holds([each + size * (at >= place) for at, each in enumerate(noise(4_000))])


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9, 1e-9])
def test_constants_are_independent(constant):
    """And so is one change from a constant to another."""
    assert holds([constant] * 3_001)
    assert holds([constant] * 1_007 + [constant + 0.3] * 1_000)


def test_levels_can_be_forgotten():
    """After two changes that make dependence, values are judged by what follows."""
    independence = Independence()
    values = noise(4_500)
    steps = [each + 5 * (place // 1_000 % 2) for place, each in enumerate(values)]
    independence.extend(steps)
    assert not independence.hold()
    independence.forget_levels()
    independence.extend(noise(900, seed=2))
    assert independence.hold()


def test_a_change_of_unit_is_no_change_of_values():
    """Means are kept in one unit, whatever centre and unit the values come in."""
    independence = Independence()
    independence.extend([each / 2 for each in noise(1_000)], 0.0, 2.0)
    independence.drop_block()
    independence.extend([each - 3 for each in noise(1_000, seed=2)], 3.0, 1.0)
    independence.drop_block()
    independence.extend([each / 50 for each in noise(1_000, seed=3)], 0.0, 50.0)
    assert independence.hold()
    assert independence._block == independence._block[: 1_000 % 32]
