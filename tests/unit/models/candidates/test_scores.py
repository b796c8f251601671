"""The scores of one model: what is measured, what is left out, and how much is kept."""

from __future__ import annotations

import pickle
import random

import pytest
from river import metrics

from millrace.models.candidates.scores import PredictedColumn, Scores
from millrace.models.pipeline.default_metrics import default_metrics
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError
from millrace.schemas.records import Predicted

NO_VALUE = Predicted(value=None, probabilities={"True": 1.0})


def predicted(value: object, **probabilities: float) -> Predicted:
    return {"value": value, "probabilities": probabilities}


def column(predictions):
    values, probabilities = ([each[name] for each in predictions] for name in NO_VALUE)
    return PredictedColumn(values, probabilities)


def measure(scores, labels, predictions):
    assert scores.update_columns(labels, column(predictions)) == []


@pytest.mark.parametrize(
    ("task", "labels", "values", "cumulative", "rolling"),
    [
        (
            Task.BINARY,
            [True, True, False, True],
            [False, True, True, True],
            {"accuracy": 0.5, "f1": 2 / 3},
            {"accuracy": 2 / 3},
        ),
        (
            Task.REGRESSION,
            [1.0, 2.0, 3.0, 5.0],
            [2.0, 2.0, 5.0, 4.0],
            {"mae": 1.0, "rmse": 1.5**0.5, "r2": 1 - 6 / 8.75},
            {"mae": 1.0},
        ),
        (
            Task.ANOMALY,
            [True, True, False, False],
            [0.1, 0.9, 0.5, 0.2],
            {"roc_auc": 0.5},
            {"roc_auc": 1.0},
        ),
    ],
)
def test_metrics_over_all_and_over_the_newest_examples(task, labels, values, cumulative, rolling):
    """The rolling metric leaves out the first of four examples in a window of three."""
    scores = Scores(task, default_metrics(task), rolling_window=3)
    measure(scores, labels, [predicted(each) for each in values])
    assert scores.rolling() == pytest.approx(rolling)
    found = scores.cumulative()
    assert found == pytest.approx(cumulative)
    assert all(type(each) is float for each in found.values())
    assert scores.examples == 4


@pytest.mark.parametrize("task", Task)
def test_predictions_without_a_value_are_not_measured(task):
    """At any place among others; a model that predicted nothing has no metrics."""
    measured, none = (Scores(task, default_metrics(task), 10) for _ in range(2))
    measure(none, [True, True], [NO_VALUE, NO_VALUE])
    assert (none.examples, none.cumulative(), none.rolling()) == (0, {}, {})
    measure(
        measured, [True, False, True, True], [NO_VALUE, predicted(0.0), NO_VALUE, predicted(1.0)]
    )
    alone = Scores(task, default_metrics(task), 10)
    measure(alone, [False, True], [predicted(0.0), predicted(1.0)])
    assert measured.cumulative() == alone.cumulative()
    assert measured.rolling() == alone.rolling() != {}
    assert measured.examples == 2


def test_probabilities_of_a_prediction_without_a_value_are_not_measured():
    """Values and probabilities stay together."""
    scores = Scores(Task.BINARY, {"log_loss": metrics.LogLoss}, 10)
    measure(scores, [True, False], [NO_VALUE, predicted(False, **{"True": 0.5, "False": 0.5})])
    assert scores.cumulative() == {"log_loss": pytest.approx(0.693147, abs=1e-6)}


def test_a_metric_of_probabilities_is_absent_where_there_are_none():
    """River would show 0, which is the best log loss there is."""
    measured = {"accuracy": metrics.Accuracy, "log_loss": metrics.LogLoss}
    scores = Scores(Task.BINARY, measured, 10)
    measure(scores, [True], [predicted(True)])
    assert scores.cumulative() == {"accuracy": 1.0}
    measure(scores, [True], [predicted(True, **{"True": 0.5, "False": 0.5})])
    found = scores.cumulative()
    assert found == {"accuracy": 1.0, "log_loss": pytest.approx(0.693147, abs=1e-6)}


@pytest.mark.parametrize(("label", "loss"), [(True, 1.386294), (False, 0.287682)])
def test_probabilities_of_two_classes_are_those_of_booleans(label, loss):
    """In records, classes are text; for River's metrics, they are booleans."""
    scores = Scores(Task.BINARY, {"log_loss": metrics.LogLoss, "ce": metrics.CrossEntropy}, 10)
    measure(scores, [label], [predicted(False, **{"True": 0.25, "False": 0.75})])
    assert scores.cumulative() == pytest.approx({"log_loss": loss, "ce": loss}, abs=1e-5)


def test_a_class_without_a_probability_has_none():
    """It is taken for 0, which River limits to its smallest probability."""
    scores = Scores(Task.BINARY, {"ce": metrics.CrossEntropy}, 10)
    measure(scores, [False, True], [predicted(True, **{"True": 1.0}), predicted(False, x=1.0)])
    assert scores.cumulative()["ce"] == pytest.approx(34.538, abs=1e-3)


def test_probabilities_of_many_classes_are_named_as_text():
    """As in the record, whatever type the label has."""
    scores = Scores(Task.MULTICLASS, {"entropy": metrics.CrossEntropy}, 10)
    measure(scores, [3], [predicted(3, **{"3": 0.25, "4": 0.75})])
    assert scores.cumulative() == {"entropy": pytest.approx(1.386294, abs=1e-6)}


def test_rolling_roc_auc_needs_both_kinds_of_label():
    """While all of the newest events are ordinary, there is no order to measure."""
    scores = Scores(Task.ANOMALY, default_metrics(Task.ANOMALY), rolling_window=2)
    measure(scores, [True, False], [predicted(0.9), predicted(0.1)])
    assert scores.rolling() == {"roc_auc": 1.0}
    measure(scores, [False], [predicted(0.2)])
    assert scores.rolling() == {}


def test_metrics_of_a_definition_are_rivers():
    """Those that share a confusion matrix, others, and those from a callable of the user's."""
    chosen = {
        "hits": metrics.Accuracy,
        "recall": metrics.Recall,
        "macro": metrics.MacroRecall,
        "auc": metrics.ROCAUC,
        "entropy": metrics.CrossEntropy,
        "f2": lambda: metrics.FBeta(beta=2),
        "kappa": metrics.CohenKappa,
        "mcc": metrics.MCC,
    }
    scores = Scores(Task.BINARY, chosen, 10)
    own = {name: make() for name, make in chosen.items()}
    rng = random.Random(5)
    for _ in range(50):
        label, p = rng.random() < 0.4, rng.random()
        measure(scores, [label], [predicted(p > 0.5, **{"True": p, "False": 1 - p})])
        for metric in own.values():
            metric.update(label, p > 0.5 if metric.requires_labels else {True: p, False: 1 - p})
    assert scores.cumulative() == {name: metric.get() for name, metric in own.items()}


@pytest.mark.parametrize("task", Task)
def test_reading_changes_nothing(task):
    """Scores that are read after every example are saved as those that never were."""
    read, unread = (Scores(task, default_metrics(task), 100) for _ in range(2))
    for i in range(20):
        for each in (read, unread):
            measure(each, [i % 3 == 0], [predicted(i % 2 / 2)])
        assert read.cumulative() | read.rolling()
    assert pickle.dumps(read) == pickle.dumps(unread)


def test_a_metric_that_cannot_measure_the_task_is_refused():
    """Before anything is measured."""
    with pytest.raises(DefinitionError, match=r"metrics\['mine'\] must be a River"):
        Scores(Task.REGRESSION, {"mine": metrics.Accuracy}, 10)
    with pytest.raises(DefinitionError, match=r"metrics\['mine'\] must be a River"):
        Scores(Task.ANOMALY, {"mine": metrics.F1}, 10)


@pytest.mark.parametrize("huge", [1.7e308, -1.7e308, 1e155])
@pytest.mark.parametrize("is_label", [True, False])
def test_numbers_too_large_to_be_squared_are_not_measured(huge, is_label):
    """They would make a metric NaN for good, or raise an error."""
    scores = Scores(Task.REGRESSION, default_metrics(Task.REGRESSION), rolling_window=3)
    label, value = (huge, 1.0) if is_label else (1.0, huge)
    measure(scores, [2.0, label, 4.0], [predicted(1.0), predicted(value), predicted(3.0)])
    assert scores.examples == 2
    assert scores.cumulative() == {"mae": 1.0, "rmse": 1.0, "r2": 0.0}


class Odd(metrics.MAE):
    """Raises at negative labels, and has no value below three examples."""

    def update(self, y_true, y_pred, w=1.0):
        if y_true < 0:
            raise GeneratorExit
        super().update(y_true, y_pred)

    def get(self):
        if self._mean.n < 3:
            raise SystemExit
        return super().get()


def test_a_metric_that_raises_misses_what_it_raised_at():
    """The others do not; each error has the index of its label; no value is no metric."""
    scores = Scores(Task.REGRESSION, {"odd": Odd, "mae": metrics.MAE}, rolling_window=3)
    predicted_none = PredictedColumn([None, 0.0, 0.0, 0.0, 0.0])
    raised = scores.update_columns([1.0, -1.0, 1.0, -1.0, 1.0], predicted_none)
    assert [(place, type(error)) for place, error in raised] == [
        (1, GeneratorExit),
        (3, GeneratorExit),
    ]
    assert scores.cumulative() == {"mae": 1.0}
    measure(scores, [5.0], [predicted(0.0)])
    assert scores.cumulative() == pytest.approx({"odd": 7 / 3, "mae": 9 / 5})


def test_what_ends_a_batch_passes():
    """An interrupt is no error of a metric."""

    class Interrupted(metrics.MAE):
        def update(self, y_true, y_pred, w=1.0):
            raise KeyboardInterrupt

    scores = Scores(Task.REGRESSION, {"mine": Interrupted}, rolling_window=3)
    with pytest.raises(KeyboardInterrupt):
        scores.update_columns([1.0], PredictedColumn([1.0]))


def test_text_among_numbers_is_not_measured():
    """Records of others may hold any value."""
    scores = Scores(Task.REGRESSION, default_metrics(Task.REGRESSION), rolling_window=3)
    measure(scores, [1.0, "1", 2.0], [predicted("1"), predicted(1.0), predicted(1.0)])
    assert (scores.examples, scores.cumulative()["mae"]) == (1, 1.0)


class OddKappa(metrics.CohenKappa):
    """Raises where the label is the first class, and is no metric that shares a matrix."""

    def __init__(self):
        super().__init__()

    def update(self, y_true, y_pred, w=1.0):
        if y_true in ("sky", False):
            raise ValueError(y_true)
        super().update(y_true, y_pred, w)


def drawn(task, rng, length):
    """Return labels and predictions; some without a value or probabilities, some out of bounds."""
    classes = ["sky", "grass", "brick", 7, True] if task is Task.MULTICLASS else [False, True]
    labels, found = [], []
    for _ in range(length):
        numeric = task in (Task.REGRESSION, Task.ANOMALY)
        value = rng.gauss(0.5, 0.3) if numeric else rng.choice(classes)
        label = rng.gauss(0, 1) if task is Task.REGRESSION else rng.choice(classes)
        if rng.random() < 0.1:
            value = rng.choice([None, 1e200, 1e150, -1e151]) if numeric else None
        p = {str(each): rng.random() for each in classes} if rng.random() < 0.7 else {}
        labels.append(label)
        found.append(predicted(value, **p))
    return labels, found


CHOSEN = {
    Task.BINARY: {
        "f1": metrics.F1,
        "odd": OddKappa,
        "loss": metrics.LogLoss,
        "auc": metrics.ROCAUC,
        "ce": metrics.CrossEntropy,
    },
    Task.MULTICLASS: {"macro": metrics.MacroF1, "odd": OddKappa, "ce": metrics.CrossEntropy},
    Task.REGRESSION: {"odd": Odd, **default_metrics(Task.REGRESSION)},
    Task.ANOMALY: None,
}


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("seed", range(5))
def test_columns_may_be_cut_anywhere(task, seed):
    """The same state to the last bit, and the same errors, as from one example after the other."""
    rng = random.Random(seed)
    labels, predictions = drawn(task, rng, length=300)
    chosen = CHOSEN[task] or default_metrics(task)
    states, errors = [], []
    for largest in (1, 2, 40, 300):
        scores, raised, start = Scores(task, chosen, rolling_window=50), [], 0
        while start < len(labels):
            end = start + (largest if largest in (1, 300) else rng.randint(0, largest))
            found = scores.update_columns(labels[start:end], column(predictions[start:end]))
            raised += sorted((start + place, repr(error)) for place, error in found)
            start = end
        states.append(pickle.dumps(scores))
        errors.append(raised)
    assert all(each == states[0] for each in states)
    assert all(each == errors[0] for each in errors)
    assert bool(errors[0]) is any("Odd" in each.__name__ for each in chosen.values())
