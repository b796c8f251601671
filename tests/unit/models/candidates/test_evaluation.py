"""Prequential evaluation agrees with River to the last digit, for each model by itself."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator

import pytest
from river import evaluate, metrics, utils

from millrace import catalogue
from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.evaluation import Prequential
from millrace.models.candidates.predicting import learner, predictor
from millrace.models.candidates.scores import PredictedColumn
from millrace.models.pipeline.default_metrics import metric_name
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError
from millrace.schemas.records import Predicted

RIVERS = {
    Task.BINARY: [metrics.Accuracy, metrics.F1, metrics.LogLoss],
    Task.MULTICLASS: [metrics.Accuracy, metrics.MacroF1, metrics.CohenKappa],
    Task.REGRESSION: [metrics.MAE, metrics.RMSE, metrics.R2],
    Task.ANOMALY: [metrics.ROCAUC],
}
FAST = {
    Task.BINARY: ["logistic_regression", "hoeffding_tree", "gaussian_naive_bayes"],
    Task.MULTICLASS: ["logistic_regression", "hoeffding_tree"],
    Task.REGRESSION: ["linear_regression", "hoeffding_tree_regressor"],
    Task.ANOMALY: ["half_space_trees"],
}
CASES = [
    *((task, catalogue.factory(name, task)) for task in Task for name in FAST[task]),
    *(
        (task, lambda task=task, name=name: baselines(task)[name])
        for task in (Task.BINARY, Task.MULTICLASS, Task.REGRESSION)
        for name in ("no_change", "prior")
    ),
]


def stream(task: Task, length: int = 400) -> Iterator[tuple[dict[str, float], object]]:
    rng = random.Random(11)
    for _ in range(length):
        x = {"a": rng.gauss(0, 1), "b": rng.random()}
        noisy = x["a"] + rng.gauss(0, 0.7)
        yield (
            x,
            {
                Task.BINARY: noisy > 0.3,
                Task.MULTICLASS: "low" if noisy < -0.5 else "high" if noisy > 0.5 else "middle",
                Task.REGRESSION: noisy,
                Task.ANOMALY: noisy > 1.8,
            }[task],
        )


def measure(scores: Prequential, label: object, predicted: dict[str, Predicted]) -> None:
    columns = {
        name: PredictedColumn([each["value"]], [each["probabilities"]])
        for name, each in predicted.items()
    }
    assert scores.update_columns([label], columns) == []


def run(task: Task, make: Callable[[], object], length: int = 400) -> Prequential:
    """Predict, measure, learn, as the operators do."""
    chosen = {metric_name(each): each for each in RIVERS[task]}
    scores, model = Prequential(task, ["model"], chosen, rolling_window=100), make()
    predict, learn = predictor(model, task, probabilities=True), learner(model)
    for x, label in stream(task, length):
        measure(scores, label, {"model": predict(x)})
        learn(x, label)
    return scores


@pytest.mark.parametrize(("task", "make"), CASES)
def test_cumulative_metrics_equal_rivers_to_the_last_digit(task, make):
    """Each is what `progressive_val_score` returns for the same model and stream."""
    measured = metrics.base.Metrics([each() for each in RIVERS[task]])
    evaluate.progressive_val_score(stream(task), make(), measured)
    expected = {metric_name(type(each)): each.get() for each in measured}
    assert run(task, make).cumulative() == {"model": expected}


@pytest.mark.parametrize(
    ("task", "name", "metric"),
    [
        (Task.BINARY, "accuracy", utils.Rolling(metrics.Accuracy, window_size=100)),
        (Task.MULTICLASS, "accuracy", utils.Rolling(metrics.Accuracy, window_size=100)),
        (Task.REGRESSION, "mae", utils.Rolling(metrics.MAE, window_size=100)),
        (Task.ANOMALY, "roc_auc", metrics.RollingROCAUC(window_size=100)),
    ],
)
def test_rolling_metrics_are_those_of_the_newest_examples(task, name, metric):
    """They equal River's rolling metrics, except for the rounding errors that those add up."""
    make = catalogue.factory(FAST[task][0], task)
    model = make()
    predict, learn = predictor(model, task), learner(model)
    for x, label in stream(task):
        metric.update(label, predict(x)["value"])
        learn(x, label)
    found = run(task, make).rolling()["model"]
    assert found == pytest.approx({name: metric.get()}, rel=1e-12)


@pytest.mark.parametrize("task", Task)
def test_a_saved_evaluation_continues_as_if_it_had_not_been_saved(task):
    """To the last digit."""
    scores = run(task, catalogue.factory(FAST[task][0], task))
    restored = pickle.loads(pickle.dumps(scores))
    label = {Task.MULTICLASS: "low", Task.REGRESSION: 1.0}.get(task, True)
    for each in (scores, restored):
        measure(each, label, {"model": {"value": label, "probabilities": {}}})
    assert restored.cumulative() == scores.cumulative()
    assert restored.rolling() == scores.rolling()
    assert restored.examples == scores.examples
    assert scores.examples["model"] >= 400


@pytest.mark.parametrize("task", Task)
def test_columns_give_what_one_example_after_the_other_gives(task):
    """For two models, cut anywhere: the same metrics, and the same state to the last bit."""
    model = catalogue.factory(FAST[task][0], task)()
    predict, learn = predictor(model, task, probabilities=True), learner(model)
    labels, columns = [], {name: PredictedColumn([], []) for name in ("one", "other")}
    for x, label in stream(task):
        predicted = predict(x)
        for values, probabilities in columns.values():
            values.append(predicted["value"])
            probabilities.append(predicted["probabilities"])
        columns["other"].values[-1] = None if len(labels) % 7 == 3 else predicted["value"]
        labels.append(label)
        learn(x, label)
    chosen, rng, states = {metric_name(each): each for each in RIVERS[task]}, random.Random(3), []
    for largest in (1, 30, len(labels)):
        scores, start = Prequential(task, [*columns], chosen, rolling_window=100), 0
        while start < len(labels):
            end = start + (rng.randint(1, largest) if largest == 30 else largest)
            part = {
                name: PredictedColumn(*(each[start:end] for each in column))
                for name, column in columns.items()
            }
            assert scores.update_columns(labels[start:end], part) == []
            start = end
        states.append(pickle.dumps(scores))
    assert states == [states[0]] * 3
    expected = run(task, catalogue.factory(FAST[task][0], task)).cumulative()["model"]
    assert scores.cumulative()["one"] == expected
    assert scores.examples["other"] < scores.examples["one"] <= 400


class Odd(metrics.MAE):
    """Raises at what its name says."""

    def update(self, y_true, y_pred, w=1.0):
        if y_true < 0:
            raise ValueError(f"{y_pred} at {y_true}")
        super().update(y_true, y_pred, w)


def test_the_first_error_at_each_label_comes_back():
    """In order of the labels; of several models and metrics, that of the first model."""
    chosen = {"mae": metrics.MAE, "odd": Odd, "same": Odd}
    scores = Prequential("regression", ["a", "b"], chosen, rolling_window=10)
    columns = {"b": PredictedColumn([1.0, 2.0, 3.0]), "a": PredictedColumn([None, 5.0, 6.0])}
    raised = scores.update_columns([-1.0, 1.0, -2.0], columns)
    assert [(place, str(error)) for place, error in raised] == [
        (0, "1.0 at -1.0"),
        (2, "6.0 at -2.0"),
    ]
    assert scores.examples == {"a": 2, "b": 3}
    assert scores.cumulative()["b"]["mae"] == (2 + 1 + 5) / 3


def test_a_saved_evaluation_of_an_earlier_release_goes_on():
    """It held examples back, all of which were measured when it was saved."""
    scores = run(Task.BINARY, catalogue.factory("logistic_regression", "binary"))
    restored = object.__new__(Prequential)
    restored.__setstate__(vars(scores) | {"_unmeasured": [], "_at_a_time": 1})
    assert pickle.dumps(restored) == pickle.dumps(scores)


@pytest.mark.parametrize("task", Task)
def test_reading_changes_nothing(task):
    """An evaluation that is read after every example is saved as one that never was."""
    read, unread = (Prequential(task, ["model"], None, 100) for _ in range(2))
    value = {Task.MULTICLASS: "low", Task.REGRESSION: 0.5}.get(task, False)
    for _, label in stream(task, length=20):
        for each in (read, unread):
            measure(each, label, {"model": {"value": value, "probabilities": {}}})
        assert read.cumulative() | read.rolling() | read.examples
    assert pickle.dumps(read) == pickle.dumps(unread)


def test_models_are_measured_apart():
    """A model that made no prediction has no metrics, and unknown models are ignored."""
    scores = Prequential("binary", ["right", "wrong", "absent"], None, 10)
    values = {"right": True, "wrong": False, "unknown": True}
    predicted = {name: {"value": each, "probabilities": {}} for name, each in values.items()}
    measure(scores, True, predicted)
    found = {"right": {"accuracy": 1.0}, "wrong": {"accuracy": 0.0}, "absent": {}}
    assert scores.rolling() == found
    assert scores.examples == {"right": 1, "wrong": 1, "absent": 0}


def test_metrics_are_the_tasks_own_or_the_definitions():
    """A definition without metrics leaves them to the task."""
    predicted = {"a": {"value": True, "probabilities": {}}}
    for chosen, names in ((None, ["accuracy", "f1"]), ({"mine": metrics.Recall}, ["mine"])):
        scores = Prequential("binary", ["a"], chosen, 10)
        measure(scores, True, predicted)
        assert [*scores.cumulative()["a"]] == names


def test_a_metric_that_cannot_measure_the_task_is_refused():
    """The message names the metric."""
    with pytest.raises(DefinitionError, match=r"metrics\['mine'\] must be a River"):
        Prequential("regression", ["a"], {"mine": metrics.Accuracy}, 10)


@pytest.mark.parametrize("task", Task)
def test_metrics_read_on_the_way(task):
    """They are those after so many labels, and to read them changes nothing that is saved."""
    model = catalogue.factory(FAST[task][0], task)()
    predict, learn = predictor(model, task, probabilities=True), learner(model)
    labels, predicted = [], []
    for x, label in stream(task):
        labels.append(label)
        predicted.append(predict(x))
        learn(x, label)
    columns = {
        "model": PredictedColumn(
            [each["value"] for each in predicted], [each["probabilities"] for each in predicted]
        )
    }
    chosen = {metric_name(each): each for each in RIVERS[task]}
    at_once, in_parts = (Prequential(task, ["model"], chosen, 100) for _ in range(2))
    read = {0: {}, 7: {}, 150: {}, len(labels): {}}
    assert at_once.update_columns(labels, columns) == []
    assert in_parts.update_in_parts(labels, columns, read) == []
    assert pickle.dumps(in_parts) == pickle.dumps(at_once)
    for count, found in read.items():
        scores = Prequential(task, ["model"], chosen, 100)
        part = {name: each.part(slice(count)) for name, each in columns.items()}
        scores.update_columns(labels[:count], part)
        assert found == scores.values()
    assert read[0] == {}
    cumulative = {name: each["cumulative"] for name, each in read[150]["model"].items()}
    assert {*cumulative} == {*chosen}


class Raises(metrics.MAE):
    """Raises at every third label."""

    seen = 0

    def update(self, y_true, y_pred, w=1.0):
        self.seen += 1
        if self.seen % 3 == 0:
            raise ValueError("a third")
        super().update(y_true, y_pred, w)


def test_what_metrics_raise_in_parts():
    """Each error has the place of its label among all."""
    scores = Prequential(Task.REGRESSION, ["model"], {"mae": Raises}, 10)
    columns = {"model": PredictedColumn([0.0] * 10)}
    failed = scores.update_in_parts([1.0] * 10, columns, {4: {}, 5: {}})
    assert [place for place, _ in failed] == [2, 5, 8]
