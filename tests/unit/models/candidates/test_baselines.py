"""Baselines: what they predict before they know anything, and after."""

import math
import pickle
import random

import pytest
from river import dummy

from millrace.models.candidates.baselines import (
    AnomalyRate,
    LastAnomaly,
    LastValue,
    MostCommon,
    answers,
    baselines,
)
from millrace.models.candidates.ordered import with_ordered_classes
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


def drawn(task, rng, length):
    """Return labels; long runs of one, ties of many, what is equal to another, and none."""
    if task is Task.REGRESSION:
        return [rng.choice([rng.gauss(0, 1e3), 0.0, -0.0, 1e-300]) for _ in range(length)]
    classes = {
        Task.MULTICLASS: ["sky", "grass", 1, True, "brick", 0, False],
        Task.ANOMALY: [False, True, None],
    }.get(task, [False, True])
    labels = []
    while len(labels) < length:
        labels += rng.choices(classes, k=10) + [rng.choice(classes)] * rng.randint(0, 30)
    return labels[:length]


def answer(task, model):
    return model.score_one({}) if task is Task.ANOMALY else model.predict_one({})


@pytest.mark.parametrize("name", ["no_change", "prior"])
@pytest.mark.parametrize("task", Task)
def test_answers_are_those_of_one_label_after_the_other(task, name):
    """The same answers and the same state to the last bit, cut anywhere."""
    rng = random.Random(6)
    labels = drawn(task, rng, length=1_000)
    for largest in (1, 25, 1_000):
        one, many = (with_ordered_classes(baselines(task)[name]) for _ in range(2))
        start = 0
        while start < len(labels):
            part = labels[start : start + rng.randint(0, largest)]
            expected = [answer(task, one)]
            for label in part:
                one.learn_one({}, label)
                expected.append(answer(task, one))
            found = answers(many, part)
            assert repr([*found]) == repr(expected)
            assert pickle.dumps(many) == pickle.dumps(one)
            start += len(part)


def test_a_mean_beyond_a_float_is_no_answer():
    """Nor is any after it."""
    found = answers(baselines("regression")["prior"], [1.0, -1.7e308, 1.7e308, 1.0])
    assert found[:2] == [0.0, 1.0]
    assert math.isfinite(found[2])
    assert found[3:] == [None, None]
