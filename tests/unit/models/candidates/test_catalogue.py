"""The models of the catalogue fit their tasks, and are River's."""

import random

import pytest
from river import linear_model, multiclass, preprocessing, tree

from millrace import catalogue
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError

ALL = [(task, name) for task in Task for name in catalogue.names(task)]


def last_step(model):
    return getattr(model, "_last_step", model)


@pytest.mark.parametrize(("task", "name"), ALL)
def test_every_model_can_do_its_task(task, name):
    """The definition of a pipeline accepts it, with text features or without."""
    for numeric in (True, False):
        task.check_model(name, catalogue.factory(name, task, numeric)())


@pytest.mark.parametrize("name", sorted({name for _, name in ALL}))
def test_every_function_stands_in_a_definition_as_it_is(name):
    """Called without arguments it returns a model, and a fresh one each time."""
    function = getattr(catalogue, name)
    assert function() is not function()


def test_names_are_known_for_every_task():
    """Names that others rely on."""
    assert {"hoeffding_tree", "logistic_regression", "knn", "alma"} <= {*catalogue.names("binary")}
    assert catalogue.names("multiclass") == catalogue.names("binary")
    assert "linear_regression" in catalogue.names(Task.REGRESSION)
    assert catalogue.names(Task.ANOMALY) == ("half_space_trees",)


@pytest.mark.parametrize(
    ("name", "task"), [("hofding_tree", "binary"), ("linear_regression", "multiclass")]
)
def test_an_unknown_model_is_refused_with_those_there_are(name, task):
    """A name that is misspelt, or that cannot do the task."""
    with pytest.raises(
        DefinitionError,
        match=rf"for the task '{task}', model must be one of .*hoeffding_tree.*got '{name}'",
    ):
        catalogue.factory(name, task)


def test_the_hoeffding_tree_is_rivers_own():
    """Nothing before it and no parameter changed, so that published numbers hold."""
    model = catalogue.factory("hoeffding_tree", "binary", numeric=False)()
    assert isinstance(model, tree.HoeffdingTreeClassifier)
    assert model._get_params() == tree.HoeffdingTreeClassifier()._get_params()


def test_logistic_regression_is_rivers_scaled_one_to_the_last_bit():
    """On numbers, predictions are identical to those of the pipeline in River's documentation."""
    own = catalogue.factory("logistic_regression", "binary")()
    rivers = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    rng = random.Random(3)
    for _ in range(200):
        x = {"a": rng.gauss(50, 9), "b": rng.random(), "c": rng.random() < 0.3}
        assert own.predict_proba_one(x) == rivers.predict_proba_one(x)
        label = x["a"] > 50
        own.learn_one(x, label)
        rivers.learn_one(x, label)


@pytest.mark.parametrize("name", ["logistic_regression", "alma"])
def test_models_of_two_classes_are_wrapped_for_many(name):
    """One against the rest, and only where there are many."""
    many = catalogue.factory(name, "multiclass")()
    assert isinstance(last_step(many), multiclass.OneVsRestClassifier)
    two = catalogue.factory(name, "binary")()
    assert not isinstance(last_step(two), multiclass.OneVsRestClassifier)


def test_numbers_beside_text_are_scaled():
    """A large number and a text feature: the weight of the number is that of a scaled one."""
    mixed = catalogue.logistic_regression(numeric=False)
    scaled = catalogue.logistic_regression()
    rng = random.Random(3)
    for _ in range(100):
        amount = rng.gauss(1e6, 1e5)
        mixed.learn_one({"amount": amount, "country": "CH"}, amount > 1e6)
        scaled.learn_one({"amount": amount}, amount > 1e6)
    weights = last_step(mixed).weights
    assert set(weights) == {"amount", "country_CH"}
    assert weights["amount"] == pytest.approx(last_step(scaled).weights["amount"], rel=0.05)


def test_the_partial_of_a_factory_gives_fresh_models():
    """What one model learns, the next one does not know."""
    make = catalogue.factory("linear_regression", "regression", numeric=False)
    first, second = make(), make()
    first.learn_one({"x": 1.0, "y": "a"}, 5.0)
    assert first.predict_one({"x": 1.0, "y": "a"}) != 0.0 == second.predict_one({"x": 1.0})
