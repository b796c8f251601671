"""Accelerated linear models equal River's in what they predict and learn, to the last digit."""

import pickle
import random
from math import nan

import pytest
from river import compose, linear_model, multiclass, optim, preprocessing

from millrace.models.candidates.accelerated import linear
from tests.unit.models.alike import assert_alike


def stream(length, *, gaps=0.0, shuffled=False, seed=7):
    """Return instances whose class depends on two numbers, some missing or shuffled if wanted."""
    rng = random.Random(seed)
    for number in range(length):
        x = {"a": rng.gauss(0, 1), "b": rng.uniform(0, 1e6), "flag": rng.random() < 0.5, "one": 1}
        if number > length / 2:
            x["late"] = rng.expovariate(1)
        label = x["a"] + x["flag"] > 0.5
        names = [name for name in x if rng.random() >= gaps]
        if shuffled:
            rng.shuffle(names)
        yield {name: x[name] for name in names}, label


def scaled(module, **options):
    scaler = module.StandardScaler if module is linear else preprocessing.StandardScaler
    return scaler() | module.LogisticRegression(**options)


def state(model):
    """Return all that a scaled logistic regression has learned."""
    scaler, regression = model.steps.values()
    return (
        dict(scaler.counts),
        {name: scaler.means[name] for name in scaler.counts},
        {name: scaler.vars[name] for name in scaler.counts},
        regression.weights,
        regression.intercept,
        regression.optimizer.n_iterations,
    )


@pytest.mark.parametrize("delay", [0, 30])
@pytest.mark.parametrize(
    "disorder", [{}, {"gaps": 0.2}, {"shuffled": True}, {"gaps": 0.2, "shuffled": True}], ids=str
)
def test_a_scaled_logistic_regression_is_rivers(disorder, delay):
    """Whatever features an instance has, in whatever order."""
    ours, rivers = scaled(linear), scaled(linear_model)
    assert_alike(ours, rivers, stream(300, **disorder), delay)
    assert state(ours) == state(rivers)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": optim.Adam(0.01)},
        {"optimizer": optim.SGD(optim.schedulers.InverseScaling(0.1))},
        {"intercept_lr": optim.schedulers.InverseScaling(0.1)},
        {"loss": optim.losses.Hinge()},
        {"loss": optim.losses.Log(weight_pos=3.0)},
        {"l2": 0.1},
        {"l1": 0.1},
        {"clip_gradient": 0.1},
        {"initializer": optim.initializers.Constant(1.0)},
        {"intercept_init": 40.0},  # the margin is too large for the short formula
    ],
    ids=lambda options: next(iter(options)),
)
def test_any_options_are_rivers(options):
    """Those that the short way does not know are left to River."""
    ours, rivers = scaled(linear, **options).clone(), scaled(linear_model, **options).clone()
    assert_alike(ours, rivers, stream(300))
    assert ours["LogisticRegression"].weights == rivers["LogisticRegression"].weights


@pytest.mark.parametrize("intercept", [17.5, -17.5, 18.0, -18.0, 18.5, -18.5])
@pytest.mark.parametrize("label", [False, True])
def test_large_margins_are_rivers(intercept, label):
    """Beyond 18, River's loss has another formula, which differs in the last digits."""
    options = {"intercept_init": intercept, "intercept_lr": 0.0}
    ours, rivers = linear.LogisticRegression(**options), linear_model.LogisticRegression(**options)
    for each in (ours, rivers):
        each.learn_one({"a": 0.0}, label)
        each.learn_one({"a": 1.0}, label)
    assert ours.weights == rivers.weights != {"a": 0.0}


def test_weights_of_examples_are_rivers():
    """An example may count for a half."""
    ours, rivers = linear.LogisticRegression(), linear_model.LogisticRegression()
    for number, (x, y) in enumerate(stream(200)):
        for each in (ours, rivers):
            each.learn_one(x, y, w=[1.0, 0.5][number % 2])
    assert ours.weights == rivers.weights


def test_many_classes_are_rivers():
    """One against the rest clones the regression, and trains it with booleans."""
    ours, rivers = (
        scaler() | multiclass.OneVsRestClassifier(regression())
        for scaler, regression in (
            (linear.StandardScaler, linear.LogisticRegression),
            (preprocessing.StandardScaler, linear_model.LogisticRegression),
        )
    )
    examples = [(x, min(int(abs(x["a"])), 2)) for x, _ in stream(400)]
    assert_alike(ours, rivers, examples)


@pytest.mark.parametrize("options", [{"with_std": False}, {"window_size": 20}])
def test_any_scaler_is_rivers(options):
    """Without a standard deviation, or over a window, scaling is left to River."""
    ours = linear.StandardScaler(**options) | linear.LogisticRegression()
    rivers = preprocessing.StandardScaler(**options) | linear_model.LogisticRegression()
    assert_alike(ours, rivers, stream(200))


def test_a_scaler_scales_each_instance_by_itself():
    """What was scaled while learning is used once, and only for the same object."""
    ours, rivers = linear.StandardScaler(), preprocessing.StandardScaler()
    for x in ({"a": 1.0}, {"a": 2.0}, {"a": 5.0}):
        for each in (ours, rivers):
            each.learn_one(x)
        assert ours.transform_one({"a": 7.0}) == rivers.transform_one({"a": 7.0})
        assert ours.transform_one(x) == rivers.transform_one(x)
        assert ours.transform_one(x) == rivers.transform_one(x)


def test_nan_spoils_the_weights_as_in_river():
    """It is not caught."""
    ours, rivers = scaled(linear), scaled(linear_model)
    for x, y in [({"a": 1.0}, True), ({"a": 2.0}, False), ({"a": nan}, True), ({"a": 3.0}, True)]:
        ours.learn_one(x, y)
        rivers.learn_one(x, y)
    assert repr(state(ours)) == repr(state(rivers))


def test_a_saved_model_continues_as_if_it_had_not_been_saved():
    """In the middle of a stream."""
    ours, rivers = scaled(linear), scaled(linear_model)
    examples = [*stream(400)]
    assert_alike(ours, rivers, examples[:200])
    assert_alike(pickle.loads(pickle.dumps(ours)), rivers, examples[200:])


def test_the_short_way_is_taken(monkeypatch):
    """Otherwise these tests would compare River with River."""
    model = scaled(linear)
    examples = [*stream(100)][:50]
    model.learn_one(*examples[0])
    monkeypatch.setattr(linear_model.LogisticRegression, "learn_one", None)
    monkeypatch.setattr(preprocessing.StandardScaler, "learn_one", None)
    monkeypatch.setattr(preprocessing.StandardScaler, "transform_one", None)
    for example in examples[1:]:
        model.learn_one(*example)


def test_a_scaled_regression_can_be_part_of_a_longer_pipeline():
    """It is a step like any other."""
    ours = compose.Select("a", "flag") | scaled(linear)
    rivers = compose.Select("a", "flag") | scaled(linear_model)
    assert_alike(ours, rivers, stream(200))


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_a_pipeline_of_two_steps_is_rivers(gaps):
    """Whatever its final model predicts; and where a step is added, all steps are taken."""
    for model in (linear_model.ALMAClassifier, linear_model.PAClassifier):
        ours = linear.StandardScaler() | model()
        rivers = preprocessing.StandardScaler() | model()
        assert type(ours) is linear.Pipeline
        for number, (x, label) in enumerate(stream(200, gaps=gaps)):
            if number == 100:
                for each in (ours, rivers):
                    each._add_step(preprocessing.MinMaxScaler(), at_start=True)
            assert ours.predict_one(dict(x)) == rivers.predict_one(dict(x))
            expected = rivers.predict_proba_one(dict(x))
            assert repr(ours.predict_proba_one(dict(x))) == repr(expected)
            ours.learn_one(x, label)
            rivers.learn_one(x, label)
    assert ours._two is None


def test_a_pipeline_learns_as_it_predicts_where_that_is_asked_for():
    """River's context manager is heeded."""
    ours, rivers = scaled(linear), scaled(linear_model)
    for x, label in stream(50):
        with compose.learn_during_predict():
            assert ours.predict_proba_one(dict(x)) == rivers.predict_proba_one(dict(x))
            ours.learn_one(x, label)
            rivers.learn_one(x, label)
    assert state(ours) == state(rivers)


@pytest.mark.parametrize("size", [10.0, 29.0, 31.0, 800.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_probabilities_far_from_the_boundary_are_rivers(size, sign):
    """Also where River rounds them."""
    ours, rivers = linear.LogisticRegression(), linear_model.LogisticRegression()
    for model in (ours, rivers):
        model.learn_one({"a": 1.0}, True)
        model.intercept = size * sign
    expected = rivers.predict_proba_one({"a": 1.0})
    assert repr(ours.predict_proba_one({"a": 1.0})) == repr(expected)


def test_a_pipeline_survives_pickling():
    """With the shorter way, over the very steps that were pickled with it."""
    ours = scaled(linear)
    for x, label in stream(30):
        ours.learn_one(x, label)
    again = pickle.loads(pickle.dumps(ours))
    for x, label in stream(30, seed=8):
        assert again.predict_proba_one(dict(x)) == ours.predict_proba_one(dict(x))
        again.learn_one(x, label)
        ours.learn_one(x, label)
    assert state(again) == state(ours)
    assert again._two[0] is next(iter(again.steps.values()))


def test_what_was_scaled_for_a_prediction_is_not_scaled_again():
    """It is the same as River's scaler makes of it, also of another example, or after learning."""
    model, river = scaled(linear), scaled(linear_model)
    scaler, theirs = model["StandardScaler"], river["StandardScaler"]
    for x, y in stream(60, gaps=0.1):
        model.predict_proba_one(x.copy())
        assert scaler.scaled(x) == theirs.transform_one(x)
        assert scaler.scaled({"a": 7.0}) == theirs.transform_one({"a": 7.0})
        model.learn_one(x, y)
        river.learn_one(x, y)
        assert scaler.scaled(x) == theirs.transform_one(x)
