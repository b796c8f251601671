"""Metrics that are updated with columns have the state that River's own update gives."""

from __future__ import annotations

import pickle
import random

import pytest
from river import metrics, stats

from millrace.models.candidates.metric_columns import _UPDATES, update_column
from millrace.models.candidates.running_mean import means

MADE = [*_UPDATES, lambda: metrics.ROCAUC(n_thresholds=3, pos_val=False)]


def drawn(rng, metric, length):
    labels, values = [], []
    for _ in range(length):
        if isinstance(metric, (metrics.ROCAUC, metrics.LogLoss)):
            labels.append(rng.random() < 0.2)
            values.append(rng.choice([rng.random(), 0, 1, True, 1 / 9, 0.5, -3.0, 1e300]))
        else:
            labels.append(rng.choice([rng.gauss(0, 1e3), 0.1, -0.0, 9e149, 1e-200]))
            values.append(rng.choice([rng.gauss(0, 1e3), 0.1, 3, False, -9e149, 1e-200]))
    return labels, values


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("seed", range(4))
def test_the_state_is_rivers_to_the_last_bit(make, seed):
    """However the columns are cut, and with River's own updates in between."""
    rng, ours, rivers = random.Random(seed), make(), make()
    for _ in range(30):
        labels, values = drawn(rng, ours, rng.choice([1, 7, 8, 50, 200]))
        if not update_column(ours, labels, values):
            assert len(values) < 8
            for label, value in zip(labels, values, strict=True):
                ours.update(label, value)
        for label, value in zip(labels, values, strict=True):
            rivers.update(label, value)
        assert pickle.dumps(ours) == pickle.dumps(rivers)
        assert repr(ours.get()) == repr(rivers.get())


def test_what_is_not_rivers_own_is_left_to_its_update():
    """A class derived from one of River's may do anything; so may text among the numbers."""

    class Own(metrics.MAE):
        pass

    for metric, values in ((Own(), [1.0] * 20), (metrics.ROCAUC(), [*[0.5] * 20, "x"])):
        before = pickle.dumps(vars(metric))
        assert not update_column(metric, [1.0] * len(values), values)
        assert pickle.dumps(vars(metric)) == before


def test_a_running_mean_is_that_of_one_value_after_the_other():
    """The mean before the first value and after each, to the last digit."""
    rng, ours, rivers = random.Random(2), stats.Mean(), stats.Mean()
    for _ in range(20):
        expected = [rivers.get()]
        values = [rng.gauss(1e6, 1e3) for _ in range(rng.randint(0, 30))]
        for value in values:
            rivers.update(value)
            expected.append(rivers.get())
        assert means(ours, values) == expected
        assert pickle.dumps(ours) == pickle.dumps(rivers)
