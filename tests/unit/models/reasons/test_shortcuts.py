"""The shorter way for linear models: the answers of the long way, and only where it is safe."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import compose, linear_model, multiclass, naive_bayes, preprocessing, tree

from millrace import catalogue
from millrace.models.candidates.predicting import learner, predictor
from millrace.models.pipeline.tasks import Task
from millrace.models.reasons.family import Question
from millrace.models.reasons.registry import find
from millrace.models.reasons.shortcuts import shortcut


def _scaled(model):
    return preprocessing.StandardScaler() | model


MODELS = {
    "logistic": (catalogue.logistic_regression, "binary"),
    "alma": (catalogue.alma, "binary"),
    "passive-aggressive": (lambda: _scaled(linear_model.PAClassifier()), "binary"),
    "linear": (lambda: _scaled(linear_model.LinearRegression()), "regression"),
    "Bayesian": (lambda: _scaled(linear_model.BayesianLinearRegression()), "regression"),
    "scaled target": (catalogue.linear_regression, "regression"),
    "many classes": (catalogue.factory("logistic_regression", "multiclass"), "multiclass"),
}
events = st.lists(
    st.dictionaries(
        st.sampled_from("abc"),
        st.one_of(st.floats(-100, 100), st.booleans(), st.just(7)),
        max_size=3,
    ),
    min_size=2,
    max_size=20,
)


@pytest.mark.parametrize(("make", "task"), MODELS.values(), ids=MODELS)
@given(events=events)
@settings(max_examples=20)
def test_its_answers_are_those_of_the_long_way(make, task, events):
    """Part by part, with constants, booleans and missing features; or it leaves the event to it."""
    task = Task(task)
    model, n_short = make(), 0
    predict, learn, short = predictor(model, task), learner(model), shortcut(model)
    for number, x in enumerate(events):
        value = predict(x)["value"]
        before = pickle.dumps(model)
        try:
            found = short(x, value)
        except KeyError:
            found = None
        assert pickle.dumps(model) == before
        if found is not None:
            n_short += 1
            of = True if task is Task.BINARY else value if task.is_classification else None
            long = find(model).explain(model, x, Question(of, find))
            assert found[:1] + found[3:] == long[:1] + long[3:]
            assert found.base == pytest.approx(long.base, rel=1e-9, abs=1e-9)
            assert found.contributions == pytest.approx(long.contributions, rel=1e-9, abs=1e-9)
        label = {Task.BINARY: number % 2 == 0, Task.REGRESSION: float(number)}.get(
            task, "ab"[number % 2]
        )
        if x:  # River's Bayesian regression cannot begin with an event without features
            learn(x, label)


@pytest.mark.parametrize(
    "make",
    [
        linear_model.LogisticRegression,
        compose.Pipeline,
        lambda: _scaled(tree.HoeffdingTreeClassifier()),
        lambda: _scaled(multiclass.OneVsRestClassifier(naive_bayes.GaussianNB())),
        lambda: _scaled(preprocessing.TargetStandardScaler(linear_model.LinearRegression())),
        lambda: preprocessing.MinMaxScaler() | linear_model.LogisticRegression(),
        lambda: preprocessing.StandardScaler(with_std=False) | linear_model.LogisticRegression(),
        lambda: preprocessing.StandardScaler(window_size=9) | linear_model.LogisticRegression(),
        lambda: catalogue.logistic_regression(numeric=False),
    ],
)
def test_other_models_go_the_long_way(make):
    """Other scalers, other models, no scaler, or more steps."""
    assert shortcut(make()) is None


def test_a_prediction_at_its_limits_goes_the_long_way():
    """Which tells what the limits add."""
    model = catalogue.linear_regression()
    for number in range(50):
        model.learn_one({"a": number % 7}, float(number % 7))
    near, far = {"a": 3}, {"a": 1e9}
    assert shortcut(model)(near, model.predict_one(near)) is not None
    assert shortcut(model)(far, model.predict_one(far)) is None
