"""What every model of the catalogue and every baseline must do."""

import math
import pickle
import random
from functools import cache

import pytest

from millrace import catalogue
from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.losses import loss
from millrace.models.candidates.predicting import learner, predictor
from millrace.models.pipeline.tasks import Task

# Half-space trees score 0 before 250 events, a Hoeffding tree does not split before 200, a tree
# of an adaptive forest not before 50; models of ten trees are slow.
LENGTHS = {
    "half_space_trees": 270,
    "adaptive_random_forest": 60,
    "adaptive_random_forest_regressor": 60,
    "aggregated_mondrian_forest": 30,
    "leveraging_bagging": 30,
}
ENOUGH = 220


def cases():
    for task in Task:
        for name in catalogue.names(task):
            adapts = catalogue.factory(name, task, False).keywords.get("numeric") is False
            for numeric in (True, False) if adapts else (False,):
                make, length = catalogue.factory(name, task, numeric), LENGTHS.get(name, ENOUGH)
                kind = "numbers" if numeric else "text"
                yield pytest.param(task, make, numeric, length, id=f"{task}-{name}-{kind}")
        for name in baselines(task):

            def make(task=task, name=name):
                return baselines(task)[name]

            yield pytest.param(task, make, False, ENOUGH, id=f"{task}-{name}")


def is_baseline(case):
    return case.id.endswith(("no_change", "prior"))


CASES = list(cases())  # made once: trained models are cached by factory
each_model = pytest.mark.parametrize(("task", "make", "numeric", "length"), CASES)


def features(rng, numeric):
    x = {"a": rng.gauss(0, 1), "b": rng.gauss(500, 100), "flag": rng.random() < 0.5}
    if not numeric:
        x["colour"] = rng.choice(["red", "green", "blue"])
    return x


def examples(task, numeric, length, seed=1):
    rng = random.Random(seed)
    for _ in range(length):
        x = features(rng, numeric)
        score = x["a"] + 0.3 * rng.gauss(0, 1)
        label = {
            Task.BINARY: score > 0,
            Task.MULTICLASS: "low" if score < -0.6 else "high" if score > 0.6 else "middle",
            Task.REGRESSION: 10 + 5 * score,
            Task.ANOMALY: score > 1.8,
        }[task]
        yield x, label


def probes(numeric):
    """Return usual events, events with features missing, new or both, and one without features."""
    rng = random.Random(99)
    usual = [features(rng, numeric) for _ in range(6)]
    unseen = {"brand_new": 4.0} | ({} if numeric else {"brand_new_text": "x", "colour": "mauve"})
    partial = [{"a": 0.5}, {name: value for name, value in usual[0].items() if name != "a"}]
    return [*usual, *partial, usual[1] | unseen, unseen, {}]


def answers(task, model, numeric):
    """Return what the model predicts for the probes."""
    predict = predictor(model, task)
    return [predict(dict(x)) for x in probes(numeric)]


def train(task, make, numeric, length):
    model = make()
    for x, label in examples(task, numeric, length):
        learner(model)(x, label)
    return model


@cache
def pickled(*case):
    return pickle.dumps(train(*case))


def trained(*case):
    """Return a trained model that no other test has, without training it again."""
    return pickle.loads(pickled(*case))


@each_model
def test_predicts_before_it_has_learned(task, make, numeric, length):
    """An untrained model returns a prediction or None, and raises nothing."""
    for answer in answers(task, make(), numeric):
        check_answer(task, answer)


@each_model
def test_predicts_with_features_missing_and_new(task, make, numeric, length):
    """A trained model predicts whatever features an event has, before and after learning them."""
    model = trained(task, make, numeric, length)
    for answer in answers(task, model, numeric):
        check_answer(task, answer)
        assert answer["value"] is not None
    (_, label), *_ = examples(task, numeric, 1)
    for x in probes(numeric):
        learner(model)(dict(x), label)
    for answer in answers(task, model, numeric):
        check_answer(task, answer)


@each_model
def test_prediction_does_not_mutate(task, make, numeric, length):
    """A model that predicted all the time is the same as one that never did."""
    asked, unasked = make(), make()
    for number, (x, label) in enumerate(examples(task, numeric, length)):
        if number % 10 == 0:
            before = dict(x)
            assert answers(task, asked, numeric) == answers(task, asked, numeric)
            predictor(asked, task)(x)
            assert x == before
        learner(asked)(dict(x), label)
        learner(unasked)(dict(x), label)
    assert answers(task, asked, numeric) == answers(task, unasked, numeric)


@each_model
def test_a_saved_model_continues_as_if_it_had_not_been_saved(task, make, numeric, length):
    """Pickled in the middle of a stream, it predicts and learns the same."""
    model = train(task, make, numeric, length)
    restored = pickle.loads(pickle.dumps(model))
    assert answers(task, restored, numeric) == answers(task, model, numeric)
    for x, label in examples(task, numeric, length // 3, seed=2):
        assert predictor(restored, task)(x) == predictor(model, task)(x)
        learner(model)(x, label)
        learner(restored)(x, label)
    assert answers(task, restored, numeric) == answers(task, model, numeric)


@each_model
def test_training_is_repeatable(task, make, numeric, length):
    """The same examples make the same model, random numbers included."""
    first, second = (train(task, make, numeric, length) for _ in range(2))
    assert answers(task, first, numeric) == answers(task, second, numeric)


@pytest.mark.parametrize(
    ("task", "make", "numeric", "length"),
    [case for case in CASES if case.values[0] is not Task.ANOMALY and not is_baseline(case)],
)
def test_learns(task, make, numeric, length):
    """On an easy stream, a model of the catalogue soon has lower losses than the prior."""
    models = {"model": make(), "prior": baselines(task)["prior"]}
    losses = dict.fromkeys(models, 0.0)
    for number, (x, label) in enumerate(examples(task, numeric, 2 * length)):
        for name, model in models.items():
            if number >= length:
                losses[name] += loss(task, label, predictor(model, task)(x)["value"])
            learner(model)(x, label)
    assert losses["model"] < losses["prior"]


@pytest.mark.parametrize(
    ("task", "make", "numeric", "length"),
    [case for case in CASES if case.values[0] is Task.ANOMALY and not is_baseline(case)],
)
def test_scores_are_higher_for_anomalies(task, make, numeric, length):
    """An event far from all others has a higher score than each of them."""
    score = trained(task, make, numeric, length).score_one
    usual = [x for x, _ in examples(task, numeric, 20, seed=5)]
    assert score({"a": 30.0, "b": 9e3, "flag": True}) > max(score(x) for x in usual)


def check_answer(task, answer):
    value, probabilities = answer["value"], answer["probabilities"]
    if task.is_classification:
        assert value in (None, True, False, "low", "middle", "high")
        assert not probabilities or math.isclose(sum(probabilities.values()), 1.0)
        assert all(0.0 <= each <= 1.0 for each in probabilities.values())
    else:
        assert value is None or (type(value) is float and math.isfinite(value))
    if task is Task.ANOMALY:
        assert 0.0 <= value <= 1.0
