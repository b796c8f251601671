"""Prequential evaluation: agrees with River, leaves out what was not measured, is bounded."""

import pickle
import random

import pytest
from river import evaluate, metrics, utils

from millrace import catalogue
from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.evaluation import Prequential, loss, metric_name
from millrace.models.candidates.model_set import learner, predictor
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError

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


def stream(task, length=400):
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


def predicted(value, **probabilities):
    return {"value": value, "probabilities": probabilities}


def run(task, model, window=100):
    """Predict, measure, learn, as the operators do."""
    metrics = {metric_name(each): each for each in RIVERS[task]}
    scores = Prequential(task, ["model"], metrics, window)
    predict = predictor(model, task, probabilities=True)
    for x, label in stream(task):
        scores.update("model", label, predict(x))
        learner(model)(x, label)
    return scores


@pytest.mark.parametrize(
    ("task", "make"),
    [(task, catalogue.factory(name, task)) for task in Task for name in FAST[task]]
    + [
        (task, lambda task=task, name=name: baselines(task)[name])
        for task in (Task.BINARY, Task.MULTICLASS, Task.REGRESSION)
        for name in ("no_change", "prior")
    ],
)
def test_cumulative_metrics_equal_rivers_to_the_last_digit(task, make):
    """Each is what `progressive_val_score` gives for a model and stream of the same making."""
    found = run(task, make()).cumulative()["model"]
    assert found == {
        metric_name(each): evaluate.progressive_val_score(stream(task), make(), each()).get()
        for each in RIVERS[task]
    }


@pytest.mark.parametrize(
    ("task", "rivers"),
    [
        (Task.BINARY, {"accuracy": utils.Rolling(metrics.Accuracy, window_size=100)}),
        (Task.MULTICLASS, {"accuracy": utils.Rolling(metrics.Accuracy, window_size=100)}),
        (Task.REGRESSION, {"mae": utils.Rolling(metrics.MAE, window_size=100)}),
        (Task.ANOMALY, {"roc_auc": metrics.RollingROCAUC(window_size=100)}),
    ],
)
def test_rolling_metrics_are_those_of_the_newest_examples(task, rivers):
    """As River's own rolling metrics, without their drift in the last digits."""
    name = FAST[task][0]
    model = catalogue.factory(name, task)()
    predict = predictor(model, task)
    (metric,) = rivers.values()
    for x, label in stream(task):
        metric.update(label, predict(x)["value"])
        learner(model)(x, label)
    found = run(task, catalogue.factory(name, task)()).rolling()["model"]
    assert found == pytest.approx({each: rivers[each].get() for each in rivers}, rel=1e-12)


@pytest.mark.parametrize("task", Task)
def test_a_pickled_evaluation_goes_on_as_if_nothing_had_happened(task):
    """Written and read back, it gives the same numbers, then and later."""
    scores = run(task, catalogue.factory(FAST[task][0], task)())
    restored = pickle.loads(pickle.dumps(scores))
    label = "low" if task is Task.MULTICLASS else 1.0 if task is Task.REGRESSION else True
    assert restored.examples == scores.examples
    for each in (scores, restored):
        each.update("model", label, predicted(label if task is Task.MULTICLASS else 1.0))
    assert restored.cumulative() == scores.cumulative()
    assert restored.rolling() == scores.rolling()
    assert restored.examples == scores.examples
    assert scores.examples["model"] >= 400


@pytest.mark.parametrize("task", Task)
def test_reading_changes_nothing(task):
    """An evaluation that is looked at after every example is saved as one that never was."""
    looked_at, alone = (Prequential(task, ["model"], None, 100) for _ in range(2))
    for _, label in stream(task, length=60):
        said = predicted(
            "low" if task is Task.MULTICLASS else 0.5 if task is Task.REGRESSION else False
        )
        for each in (looked_at, alone):
            each.update("model", label, said)
        assert looked_at.cumulative() | looked_at.rolling() | looked_at.examples
    assert pickle.dumps(looked_at) == pickle.dumps(alone)


def test_models_are_measured_apart():
    """What one gets wrong does not count against another."""
    scores = Prequential("binary", ["right", "wrong"], None, 10)
    scores.update("right", True, predicted(True))
    scores.update("wrong", True, predicted(False))
    assert scores.rolling() == {"right": {"accuracy": 1.0}, "wrong": {"accuracy": 0.0}}


def test_no_prediction_is_not_measured():
    """A value of None counts for nothing, and what has measured nothing is absent."""
    scores = Prequential("binary", ["tree"], None, 10)
    scores.update("tree", True, predicted(None))
    assert (scores.examples, scores.cumulative()) == ({"tree": 0}, {"tree": {}})
    assert scores.rolling() == {"tree": {}}


def test_log_loss_is_absent_without_probabilities():
    """River would show 0, which is the best there is."""
    measured = {"accuracy": metrics.Accuracy, "log_loss": metrics.LogLoss}
    scores = Prequential("binary", ["tree"], measured, 10)
    scores.update("tree", True, predicted(True))
    assert scores.cumulative() == {"tree": {"accuracy": 1.0}}
    scores.update("tree", True, predicted(True, **{"True": 0.5, "False": 0.5}))
    assert scores.cumulative()["tree"]["log_loss"] == pytest.approx(0.693147, abs=1e-6)


def test_rolling_roc_auc_is_absent_while_all_labels_are_alike():
    """Without an anomaly among the newest there is no order to measure."""
    scores = Prequential("anomaly", ["trees"], None, 2)
    scores.update("trees", True, predicted(0.9))
    scores.update("trees", False, predicted(0.1))
    assert scores.rolling() == {"trees": {"roc_auc": 1.0}}
    scores.update("trees", False, predicted(0.2))
    assert scores.rolling() == {"trees": {}}


def test_the_users_metrics_stand_in_for_the_defaults():
    """Under the user's names: classes that share a matrix, others, and ones from a callable."""
    chosen = {
        "hits": metrics.Accuracy,
        "recall": metrics.Recall,
        "macro": metrics.MacroRecall,
        "auc": metrics.ROCAUC,
        "entropy": metrics.CrossEntropy,
        "f2": lambda: metrics.FBeta(beta=2),
    }
    scores = Prequential("binary", ["lr"], chosen, 10)
    own = {name: make() for name, make in chosen.items()}
    rng = random.Random(5)
    for _ in range(50):
        label, p = rng.random() < 0.4, rng.random()
        scores.update("lr", label, predicted(p > 0.5, **{"True": p, "False": 1 - p}))
        for metric in own.values():
            metric.update(label, p > 0.5 if metric.requires_labels else {True: p, False: 1 - p})
    assert scores.cumulative() == {"lr": {name: metric.get() for name, metric in own.items()}}


def test_metrics_of_probabilities_work_for_many_classes_of_any_type():
    """Classes are named as text in a record, and so is the label for these metrics."""
    scores = Prequential("multiclass", ["lr"], {"entropy": metrics.CrossEntropy}, 10)
    scores.update("lr", 3, predicted(3, **{"3": 0.25, "4": 0.75}))
    assert scores.cumulative()["lr"]["entropy"] == pytest.approx(1.386294, abs=1e-6)


@pytest.mark.parametrize(
    ("task", "metric", "wanted"),
    [
        ("binary", metrics.MAE, "ClassificationMetric"),
        ("regression", metrics.Accuracy, "RegressionMetric"),
        ("anomaly", metrics.F1, "metric of scores, for example metrics.ROCAUC"),
        ("multiclass", dict, "ClassificationMetric"),
    ],
)
def test_a_metric_that_cannot_measure_the_task_is_refused(task, metric, wanted):
    """The message names the metric and what the task needs."""
    with pytest.raises(DefinitionError, match=rf"metrics\['mine'\] requires a River {wanted}"):
        Prequential(task, ["a"], {"mine": metric}, 10)


@pytest.mark.parametrize(
    ("task", "label", "value", "expected"),
    [
        ("binary", True, True, 0.0),
        (Task.BINARY, True, False, 1.0),
        ("multiclass", "sky", "path", 1.0),
        (Task.MULTICLASS, 3, 3, 0.0),
        ("regression", 2.0, 5.5, 3.5),
        ("anomaly", True, 0.75, 0.25),
        ("anomaly", False, 0.75, 0.75),
        (Task.ANOMALY, False, 17.0, 1.0),
        ("binary", True, None, None),
        ("anomaly", None, 0.5, None),
    ],
)
def test_loss(task, label, value, expected):
    """0 or 1 for a class, a distance for a number, None where there is nothing to compare."""
    found = loss(task, label, value)
    assert found == expected
    assert found is None or type(found) is float


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (metrics.Accuracy, "accuracy"),
        (metrics.LogLoss, "log_loss"),
        (metrics.F1, "f1"),
        (metrics.MacroF1, "macro_f1"),
        (metrics.CohenKappa, "cohen_kappa"),
        (metrics.RMSE, "rmse"),
        (metrics.R2, "r2"),
        (metrics.ROCAUC, "roc_auc"),
        (metrics.RollingROCAUC, "rolling_roc_auc"),
        (metrics.FBeta, "f_beta"),
    ],
)
def test_metric_names(metric, name):
    """Snake case, acronyms being words."""
    assert metric_name(metric) == name
