"""Predictions are River's, whatever the model and the task."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from river import (
    anomaly,
    base,
    compose,
    dummy,
    linear_model,
    naive_bayes,
    preprocessing,
    tree,
)

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.predicting import InvalidPredictionError, learner, predictor
from millrace.models.pipeline.tasks import Task

X = {"a": 1.0, "b": -2.0}

MODELS: dict[Task, list[Callable[[], object]]] = {
    Task.BINARY: [
        linear_model.LogisticRegression,
        lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        tree.HoeffdingTreeClassifier,
        linear_model.ALMAClassifier,
        dummy.NoChangeClassifier,
    ],
    Task.MULTICLASS: [
        naive_bayes.GaussianNB,
        tree.HoeffdingTreeClassifier,
        dummy.PriorClassifier,
    ],
    Task.REGRESSION: [linear_model.LinearRegression, tree.HoeffdingTreeRegressor],
    Task.ANOMALY: [lambda: anomaly.HalfSpaceTrees(n_trees=3, window_size=10, seed=1)],
}
CASES = [
    pytest.param(task, make, id=f"{task}-{type(make()).__name__}")
    for task, models in MODELS.items()
    for make in models
]


def stream(task: Task) -> Iterator[tuple[dict[str, float], object]]:
    for i in range(60):
        a, b = (i * 37 % 101) / 50 - 1, (i * 53 % 97) / 50 - 1
        yield (
            {"a": a, "b": b},
            {
                Task.REGRESSION: a - b,
                Task.MULTICLASS: "xyz"[int(a - b > -0.3) + int(a - b > 0.5)],
            }.get(task, a > b),
        )


@pytest.mark.parametrize(("task", "make"), CASES)
def test_predictions_are_those_of_the_model(task, make):
    """A value is `predict_one`'s or `score_one`'s; probabilities are `predict_proba_one`'s."""
    model, alone = make(), make()
    predict, ask, learn = predictor(model, task), predictor(model, task, True), learner(model)
    for x, y in stream(task):
        value = alone.score_one(x) if task is Task.ANOMALY else alone.predict_one(x)
        assert predict(x) == {"value": value, "probabilities": {}}
        by_class = alone.predict_proba_one(x) if task.is_classification else {}
        assert ask(x) == {"value": value, "probabilities": {str(k): p for k, p in by_class.items()}}
        learn(x, y)
        alone.learn_one(*((x, y) if alone._supervised else (x,)))


class Fixed(base.Classifier):
    """Predicts what it is made with."""

    def __init__(self, value: object) -> None:
        self.value = value

    def learn_one(self, x, y):
        pass

    def predict_one(self, x):
        return self.value


class Probable(base.Classifier):
    """Has the probabilities that it is made with."""

    def __init__(self, by_class: dict[object, float]) -> None:
        self.by_class = by_class

    def learn_one(self, x, y):
        pass

    def predict_proba_one(self, x):
        return self.by_class


class Cautious(Probable):
    """Predicts no class, although it has probabilities."""

    def predict_one(self, x):
        return None


def test_a_model_without_probabilities_predicts_a_class():
    """Its probabilities are not requested: River's base class would raise an error."""
    assert predictor(Fixed("sky"), Task.MULTICLASS, True)(X) == {
        "value": "sky",
        "probabilities": {},
    }


def test_a_pipeline_without_probabilities_predicts_a_class():
    """Its last step decides, and not the pipeline, which has all methods."""
    pipeline = compose.Select("a") | Fixed(True)
    assert predictor(pipeline, Task.BINARY, True)(X) == {"value": True, "probabilities": {}}


@pytest.mark.parametrize(
    ("by_class", "value"),
    [
        ({False: 0.25, True: 0.75}, True),
        ({False: 0.5, True: 0.5}, False),
        ({True: 0.5, False: 0.5}, True),
        ({}, None),
    ],
)
def test_the_first_of_the_likeliest_classes_is_predicted(by_class, value):
    """As River's own `predict_one` does, which would ask for the probabilities once more."""
    probabilities = {str(label): each for label, each in by_class.items()}
    found = predictor(Probable(by_class), Task.BINARY, True)(X)
    assert found == {"value": value, "probabilities": probabilities}
    assert found["value"] is Probable(by_class).predict_one(X)


def test_a_models_own_way_to_predict_is_kept():
    """A class of its own `predict_one` is not replaced by the likeliest one."""
    found = predictor(Cautious({True: 1.0}), Task.BINARY, True)(X)
    assert found == {"value": None, "probabilities": {"True": 1.0}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.int64(3), 3), (np.bool_(True), True), (np.str_("sky"), "sky"), ("sky", "sky"), (2, 2)],
)
@pytest.mark.parametrize("probabilities", [False, True])
def test_classes_are_values_of_python(value, expected, probabilities):
    """What NumPy wraps is unwrapped, so that it can be written to a topic."""
    models = [Fixed(value), Probable({value: 1.0})]
    for model in models:
        found = predictor(model, Task.MULTICLASS, probabilities)(X)["value"]
        assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("value", "expected"), [(np.float32(0.5), 0.5), (3, 3.0), (0.1, 0.1)])
def test_numbers_and_scores_are_floats(value, expected):
    """Whatever kind of number a model returns."""

    class Detector(base.AnomalyDetector):
        def learn_one(self, x):
            pass

        def score_one(self, x):
            return value

    for found in (
        predictor(Fixed(value), Task.REGRESSION)(X),
        predictor(Detector(), Task.ANOMALY)(X),
    ):
        assert found == {"value": expected, "probabilities": {}}
        assert type(found["value"]) is float


BAD_NUMBERS = [None, float("nan"), float("inf"), -np.inf, np.float32("nan"), np.longdouble("1e400")]
NO_NUMBERS = ["0.5", b"1", 1j, [1.0], {}, np.array([1.0]), 2**64, 10**400, object, dt.date.max]


@pytest.mark.parametrize("answer", [*BAD_NUMBERS, *NO_NUMBERS], ids=repr)
def test_what_is_no_finite_number_is_no_prediction(answer):
    """Of a regressor or an anomaly detector, whatever it is."""
    with pytest.raises(InvalidPredictionError, match="a prediction"):
        predictor(Fixed(answer), Task.REGRESSION)(X)


@pytest.mark.parametrize("answer", [0.5, 3.0, [True], "\ud800", b"sky", 10**40, math.nan], ids=repr)
@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_what_is_no_class_is_no_prediction(task, answer):
    """A float, a container, bytes, or text that cannot be written."""
    with pytest.raises(InvalidPredictionError, match="a prediction"):
        predictor(Fixed(answer), task)(X)


@pytest.mark.parametrize("answer", [2, -1, "yes", np.int64(7)], ids=repr)
def test_a_binary_class_is_true_or_false(answer):
    """As its labels are; 1 and 0 will do."""
    with pytest.raises(InvalidPredictionError, match="a prediction must be a class"):
        predictor(Fixed(answer), Task.BINARY)(X)
    assert predictor(Fixed(np.int8(1)), Task.BINARY)(X)["value"] is True


@pytest.mark.parametrize(
    "answer",
    [
        {True: math.nan, False: 0.5},
        {True: math.inf},
        {True: "high"},
        {True: None},
        {"\ud800": 1.0},
        [0.5, 0.5],
        None,
    ],
    ids=repr,
)
def test_probabilities_are_finite_numbers_by_class(answer):
    """Anything else is no prediction, whichever class it would be."""
    with pytest.raises(InvalidPredictionError):
        predictor(Probable(answer), Task.BINARY, True)(X)


def test_probabilities_of_numpy_are_floats():
    """A model may compute them with NumPy, and in any kind of dictionary."""
    answer = defaultdict(float, {True: np.float32(0.75), False: np.float64(0.25)})
    found = predictor(Probable(answer), Task.BINARY, True)(X)
    assert found == {"value": True, "probabilities": {"True": 0.75, "False": 0.25}}
    assert {*map(type, found["probabilities"].values())} == {float}


def test_a_baseline_knows_nothing_before_the_first_label():
    """That is no failure of it."""
    found = predictor(baselines(Task.REGRESSION)["no_change"], Task.REGRESSION)(X)
    assert found["value"] is None


class Greedy(base.Classifier):
    """Changes what it is given."""

    def learn_one(self, x, y):
        x.clear()

    def predict_one(self, x):
        x["a"] = "changed"
        return True

    def predict_proba_one(self, x):
        x.pop("b")
        return {True: 1.0}


def emptied(x):
    x.clear()
    return x


def test_a_model_may_change_what_it_is_given():
    """It gets a copy: other candidates, and the store of waiting events, have the original."""
    x = X.copy()
    predictor(Greedy(), Task.BINARY, True)(x)
    learner(Greedy())(x, True)
    learner(compose.FuncTransformer(emptied) | linear_model.LogisticRegression())(x, True)
    assert x == X


class Recorder(base.AnomalyDetector):
    """Keeps the arguments that it learned from."""

    def __init__(self, supervised: bool) -> None:
        self.supervised = supervised
        self.learned: list[tuple[object, ...]] = []

    @property
    def _supervised(self) -> bool:
        return self.supervised

    def learn_one(self, *args):
        self.learned.append(args)

    def score_one(self, x):
        return 0.0


@pytest.mark.parametrize(("supervised", "expected"), [(True, [(X, True)]), (False, [(X,)])])
def test_only_supervised_models_get_the_label(supervised, expected):
    """Others learn from the features alone."""
    model = Recorder(supervised)
    learner(model)(X, True)
    assert model.learned == expected


def test_classes_that_are_one_as_text_are_refused():
    """A user's own model cannot give 1 and "1" one key in the probabilities."""

    class Own(base.Classifier):
        def learn_one(self, x, y):
            pass

        def predict_proba_one(self, x):
            return {1: 0.5, "1": 0.5}

    with pytest.raises(ValueError, match=r"^classes must differ as text; got \[1, '1'\]$"):
        predictor(Own(), Task.MULTICLASS, probabilities=True)({})
