"""Baselines: what they predict before they know anything, and after."""

import random

import pytest
from river import dummy

from millrace.models.candidates.baselines import (
    AnomalyRate,
    LastAnomaly,
    LastValue,
    MostCommon,
    baselines,
)
from millrace.models.pipeline.tasks import Task


@pytest.mark.parametrize("task", Task)
def test_every_task_has_both_and_a_pipeline_accepts_them(task):
    """No-change and prior, as River models of the task's kind."""
    found = baselines(task)
    assert [*found] == ["no_change", "prior"]
    for name, model in found.items():
        task.check_model(name, model)
        assert model._supervised


def test_baselines_are_fresh_at_every_call():
    """Two pipelines share no state."""
    baselines("regression")["no_change"].learn_one({}, 3.0)
    assert baselines("regression")["no_change"].predict_one({}) is None


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_classes_are_the_last_or_the_most_common(task):
    """And nothing before the first label."""
    found = baselines(task)
    assert [model.predict_one({}) for model in found.values()] == [None, None]
    for label in (False, False, True):
        for model in found.values():
            model.learn_one({"x": 1}, label)
    assert found["no_change"].predict_one({}) is True
    assert found["prior"].predict_one({}) is False
    assert found["prior"].predict_proba_one({}) == {False: 2 / 3, True: 1 / 3}


def test_the_most_common_class_is_that_of_river():
    """At every step; of equally common classes, both predict the one that was seen first."""
    ours, rivers, rng = MostCommon(), dummy.PriorClassifier(), random.Random(2)
    for label in ["c", "a", "b", "b", "a", *rng.choices("abcde", k=200)]:
        ours.learn_one({}, label)
        rivers.learn_one({}, label)
        assert ours.predict_one({}) == rivers.predict_one({})
        assert ours.predict_proba_one({}) == rivers.predict_proba_one({})


def test_values_are_the_last_or_the_mean():
    """A regression's baselines look at no feature."""
    found = baselines("regression")
    for label in (1.0, 2.0, 6.0):
        for model in found.values():
            model.learn_one({"x": 1}, label)
    assert {name: model.predict_one({}) for name, model in found.items()} == {
        "no_change": 6.0,
        "prior": 3.0,
    }


def test_a_value_may_be_zero():
    """Zero is a value, and not the lack of one."""
    model = LastValue()
    model.learn_one({}, 0.0)
    assert model.predict_one({}) == 0.0


def test_anomaly_scores_are_the_last_label_or_the_rate():
    """Both in [0, 1], and 0.0 before the first label."""
    last, rate = LastAnomaly(), AnomalyRate()
    assert (last.score_one({}), rate.score_one({})) == (0.0, 0.0)
    for label in (True, False, False, True):
        last.learn_one({}, label)
        rate.learn_one({}, label)
    assert (last.score_one({}), rate.score_one({})) == (1.0, 0.5)


@pytest.mark.parametrize("model", [LastAnomaly(), AnomalyRate()])
def test_nothing_is_learned_from_an_event_without_a_label(model):
    """Where a task learns without labels, the baselines wait for one."""
    model.learn_one({}, True)
    model.learn_one({}, None)
    model.learn_one({})
    assert model.score_one({}) == 1.0
