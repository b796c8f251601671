"""Accelerated trees equal River's in what they predict and learn, to the last digit."""

import pickle
import random

import pytest
from river import ensemble, forest, tree
from river.tree.nodes.htc_nodes import LeafNaiveBayesAdaptive

from millrace.models.candidates.accelerated import trees
from tests.unit.models.alike import assert_alike

ROUGH = {"grace_period": 40, "delta": 1e-3, "tau": 0.2}  # so that trees split often


def stream(length, *, classes=2, seed=7, text=True, gaps=True):
    """Return instances whose class depends on a number and text, some missing."""
    rng = random.Random(seed)
    for number in range(length):
        x = {"a": rng.gauss(0, 1), "b": rng.uniform(0, 1e6), "flag": rng.random() < 0.5, "one": 1}
        if text:
            x["colour"] = rng.choice(["red", "green", "blue"] + ["mauve"] * (number > length / 2))
        score = x["a"] + x["flag"] + (text and x["colour"] == "red")
        if gaps and rng.random() < 0.1:
            del x[rng.choice([*x])]
        yield x, min(int(abs(score) * classes / 2), classes - 1)


def shape(model):
    """Return the tree's nodes with all that they have counted."""
    root = model._root
    nodes = [*root.iter_dfs()] if isinstance(root, tree.nodes.branch.DTBranch) else [root]
    return [(type(each).__name__.strip("_"), each.depth, each.stats) for each in nodes]


@pytest.mark.parametrize(("classes", "delay"), [(2, 0), (2, 30), (5, 1)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"leaf_prediction": "nb"},
        {"leaf_prediction": "mc"},
        {"binary_split": True},
        {"max_depth": 2},
        {"nominal_attributes": ["flag"]},
        {"remove_poor_attrs": True},
        {"splitter": tree.splitter.HistogramSplitter()},
        {"splitter": tree.splitter.GaussianSplitter(n_splits=3)},
    ],
    ids=str,
)
def test_a_tree_is_rivers(options, classes, delay):
    """Whatever its leaves are, with text, missing features, splits and late labels."""
    options = ROUGH | options
    ours, rivers = trees.HoeffdingTreeClassifier(**options), tree.HoeffdingTreeClassifier(**options)
    gaps = not isinstance(options.get("splitter"), tree.splitter.HistogramSplitter)
    assert_alike(ours, rivers, stream(900, classes=classes, gaps=gaps), delay)
    assert ours.n_branches == rivers.n_branches
    if ours.n_branches:
        assert [each[1:] for each in shape(ours)] == [each[1:] for each in shape(rivers)]


def test_the_trees_compared_do_split():
    """Otherwise single leaves would be compared."""
    model = trees.HoeffdingTreeClassifier(**ROUGH)
    for x, y in stream(900, gaps=False):
        model.learn_one(x, y)
    assert model.n_branches > 3


def test_a_tree_that_has_grown_too_large_is_rivers():
    """River deactivates and activates leaves, also between predicting and learning."""
    options = ROUGH | {"max_size": 0.02, "memory_estimate_period": 50}
    ours, rivers = trees.HoeffdingTreeClassifier(**options), tree.HoeffdingTreeClassifier(**options)
    assert_alike(ours, rivers, stream(1500, text=False), delay=2)
    assert rivers.n_inactive_leaves > 0
    assert ours.summary == rivers.summary


def test_a_tree_measures_the_size_of_rivers():
    """Though it is smaller: both stop growing at the same example."""
    ours, rivers = trees.HoeffdingTreeClassifier(), tree.HoeffdingTreeClassifier()
    for x, y in stream(100, gaps=False, text=False):
        ours.learn_one(x, y)
        rivers.learn_one(x, y)
    assert ours._raw_memory_usage == pytest.approx(rivers._raw_memory_usage, rel=0.01)


def test_a_forest_is_rivers():
    """With Poisson weights, random features and background trees, and a drift half-way."""
    ours, rivers = (
        each(n_models=3, seed=42) for each in (trees.ARFClassifier, forest.ARFClassifier)
    )
    before, after = stream(400, gaps=False), stream(300, seed=8, gaps=False)
    assert_alike(ours, rivers, [*before, *((x, 1 - y) for x, y in after)], delay=3)
    assert ours.n_drifts_detected() == rivers.n_drifts_detected() > 0


def test_bagging_of_trees_is_rivers():
    """Each tree of an ensemble keeps answers of its own."""
    ours, rivers = (
        ensemble.LeveragingBaggingClassifier(each(**ROUGH), n_models=3, seed=42)
        for each in (trees.HoeffdingTreeClassifier, tree.HoeffdingTreeClassifier)
    )
    assert_alike(ours, rivers, stream(200), delay=1)


def test_weights_count():
    """An example may count more than once, or for a part."""
    ours, rivers = trees.HoeffdingTreeClassifier(**ROUGH), tree.HoeffdingTreeClassifier(**ROUGH)
    for number, (x, y) in enumerate(stream(600)):
        for model in (ours, rivers):
            model.learn_one(x, y, w=(1, 0.25, 3)[number % 3])
        assert ours.predict_proba_one(x) == rivers.predict_proba_one(x)


def test_an_instance_that_was_changed_is_another():
    """An answer is kept for the values that the instance had at the prediction."""
    ours, rivers = trees.HoeffdingTreeClassifier(**ROUGH), tree.HoeffdingTreeClassifier(**ROUGH)
    for x, y in stream(300, gaps=False, text=False):
        ours.learn_one(x, y)
        rivers.learn_one(x, y)
    for x, _ in stream(50, seed=9, gaps=False, text=False):
        ours.predict_proba_one(x)
        x["a"] = -x["a"]
        assert ours.predict_proba_one(x) == rivers.predict_proba_one(x)


def test_an_answer_is_kept_until_the_tree_learns(monkeypatch):
    """Naive Bayes is computed once for predicting and learning."""
    calls = []
    compute = trees._naive_bayes
    monkeypatch.setattr(trees, "_naive_bayes", lambda *args: calls.append(1) or compute(*args))
    model = trees.HoeffdingTreeClassifier()
    for x, y in stream(100, gaps=False):
        model.predict_proba_one(x)
        model.predict_proba_one(x)
        model.learn_one(x, y)
    assert len(calls) == 100


def test_a_tree_is_saved_in_little_space():
    """Without the random numbers that each of River's Gaussians holds and never draws."""
    model, rivers = trees.HoeffdingTreeClassifier(**ROUGH), tree.HoeffdingTreeClassifier(**ROUGH)
    assert_alike(model, rivers, stream(500))
    assert len(pickle.dumps(model)) < len(pickle.dumps(rivers)) / 10


def test_a_saved_tree_continues_as_if_it_had_not_been_saved():
    """With the same leaves, and without the answer that it had kept."""
    model, twin = trees.HoeffdingTreeClassifier(**ROUGH), tree.HoeffdingTreeClassifier(**ROUGH)
    first, rest = [*stream(500)][:300], [*stream(500)][300:]
    assert_alike(model, twin, first)
    unasked = pickle.dumps(model)
    model.predict_proba_one(rest[0][0])
    assert pickle.dumps(model) == unasked
    restored = pickle.loads(unasked)
    assert_alike(restored, twin, rest)
    assert all(isinstance(each, LeafNaiveBayesAdaptive) for each in restored._root.iter_leaves())
