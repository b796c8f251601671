"""Classes and values of text have one order, whatever Python's hash seed is."""

import pickle
from copy import deepcopy

import pytest
from river import forest, metrics, neighbors, preprocessing

from millrace.models.candidates.candidate import Candidate
from millrace.models.candidates.ordered import (
    ConfusionMatrix,
    NominalSplitter,
    OrderedSet,
    order_matrices,
    with_ordered_classes,
)
from millrace.models.candidates.scores import Scores
from millrace.models.pipeline.tasks import Task


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["b", "a", "c"], ["a", "b", "c"]),
        ([10**10, -1, 3], [-1, 3, 10**10]),
        ([True, False], [False, True]),
        (["b", 2, "a", 1, True], [1, 2, "a", "b"]),
        ([], []),
    ],
)
def test_a_set_in_order(values, expected):
    """By size or alphabet, numbers before text; copied or saved, it stays one."""
    ordered = OrderedSet(values)
    for each in (ordered, deepcopy(ordered), pickle.loads(pickle.dumps(ordered))):
        assert type(each) is OrderedSet
        assert [*each] == expected
    ordered.add("zzz")
    assert [*ordered][-1] == "zzz"


def test_classes_of_any_classifier_are_in_order():
    """Of a model alone or at the end of a pipeline, of a user's own or of a saved one."""
    model = preprocessing.StandardScaler() | neighbors.KNNClassifier()
    model.learn_one({"x": 1.0}, "b")
    Candidate(model, Task.MULTICLASS)
    assert type(model["KNNClassifier"].classes) is OrderedSet
    assert model["KNNClassifier"].classes == {"b"}
    assert type(with_ordered_classes(forest.AMFClassifier(seed=1))._classes) is OrderedSet


class Slotted:
    """A model without attributes of its own."""

    __slots__ = ()


def test_what_has_no_classes_is_left_alone():
    """A model may have slots."""
    model = Slotted()
    assert with_ordered_classes(model) is model


def test_matrices_of_own_metrics_are_in_order():
    """Made by a class or by a function, one or several; of saved scores too."""
    own = metrics.MacroF1()
    several = metrics.MacroRecall() + metrics.Accuracy()
    order_matrices([own, several, metrics.LogLoss()])
    assert {type(each.cm) for each in (own, *several)} == {ConfusionMatrix}
    own_beta = {"f2": lambda: metrics.MacroFBeta(beta=2), "f1": metrics.MacroF1}
    scores = Scores(Task.MULTICLASS, own_beta, rolling_window=9)
    for each in scores._metrics.values():
        assert type(each.cm) is ConfusionMatrix
        each.cm.__class__ = metrics.ConfusionMatrix  # as 0.1 saved it
    restored = pickle.loads(pickle.dumps(scores))
    assert {type(each.cm) for each in restored._metrics.values()} == {ConfusionMatrix}


def test_equally_good_splits_are_taken_in_order():
    """The first value of text, in the alphabet, where several split the classes alike."""
    splitter = NominalSplitter()
    for value, label in [("c", 0), ("b", 0), ("a", 1), ("d", 1)] * 5:
        splitter.update(value, label, 1.0)
    assert [*splitter._att_values] == ["a", "b", "c", "d"]


def test_a_copy_of_a_matrix():
    """It is what River's copy would be, and shares nothing that changes."""
    matrix = ConfusionMatrix()
    for label, value in (("a", "b"), ("b", "b"), ("c", "a")):
        matrix.update(label, value)
    copied, saved = deepcopy(matrix), pickle.dumps(matrix)
    assert type(copied) is ConfusionMatrix
    assert pickle.dumps(copied) == pickle.dumps(pickle.loads(saved))
    copied.update("a", "d")
    copied._init_classes.add("z")
    assert pickle.dumps(matrix) == saved
    assert (copied["a"], matrix["a"]) == ({"b": 1.0, "d": 1.0}, {"b": 1.0})
