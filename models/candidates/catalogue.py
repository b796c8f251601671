"""The catalogue: River models that are known to work in a pipeline, each with its seed.

Each function returns a fresh model, so that it can stand in `Pipeline.models` as it is::

    models={"tree": catalogue.hoeffding_tree, "linear": catalogue.logistic_regression}

`factory` chooses a model by name, and adapts it to many classes and to text. Models outside the
catalogue work as well: any callable that returns a fresh River model is a factory.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from functools import partial
from typing import cast

from river import (
    anomaly,
    base,
    compose,
    ensemble,
    forest,
    linear_model,
    multiclass,
    naive_bayes,
    neighbors,
    preprocessing,
    tree,
)

from millrace.models.candidates.accelerated import linear, trees
from millrace.models.candidates.names import check_name, names
from millrace.models.candidates.ordered import with_ordered_classes
from millrace.models.candidates.passive_aggressive import PassiveAggressiveRegressor
from millrace.models.parameters import named
from millrace.models.pipeline.model import Model, ModelFactory
from millrace.models.pipeline.tasks import Task

__all__ = [
    "adaptive_random_forest",
    "adaptive_random_forest_regressor",
    "aggregated_mondrian_forest",
    "alma",
    "factory",
    "gaussian_naive_bayes",
    "half_space_trees",
    "hoeffding_adaptive_tree",
    "hoeffding_tree",
    "hoeffding_tree_regressor",
    "knn",
    "leveraging_bagging",
    "linear_regression",
    "logistic_regression",
    "names",
]

SEED = 42
"""Seed of every model that draws random numbers."""


@named
def logistic_regression(*, many_classes: bool = False, numeric: bool = True) -> Model:
    """Return scaled logistic regression; for many classes, one against the rest of each.

    Examples
    --------
    >>> logistic_regression().predict_proba_one({"x": 1.0})
    {False: 0.5, True: 0.5}
    """
    model = linear.LogisticRegression()
    return _scaled(numeric) | (multiclass.OneVsRestClassifier(model) if many_classes else model)


@named
def alma(*, many_classes: bool = False, numeric: bool = True) -> Model:
    """Return scaled ALMA, an approximate large margin classifier (Gentile 2001)."""
    model = linear_model.ALMAClassifier()  # type: ignore[no-untyped-call]  # River's
    return _scaled(numeric) | (multiclass.OneVsRestClassifier(model) if many_classes else model)


@named
def gaussian_naive_bayes(*, numeric: bool = True) -> Model:
    """Return naive Bayes with a normal distribution for each feature and class."""
    model = naive_bayes.GaussianNB()  # type: ignore[no-untyped-call]  # River's
    return model if numeric else _encoded() | model


@named
def hoeffding_tree() -> Model:
    """Return a Hoeffding tree (Domingos and Hulten 2000), which splits on text as it is.

    It is equivalent to River's and faster, as are the trees of the ensembles; see
    `accelerated.trees`.
    """
    return trees.HoeffdingTreeClassifier()


@named
def hoeffding_adaptive_tree() -> Model:
    """Return a Hoeffding tree that replaces branches when they drift (Bifet and Gavalda 2009)."""
    return with_ordered_classes(trees.HoeffdingAdaptiveTreeClassifier(seed=SEED))


@named
def adaptive_random_forest() -> Model:
    """Return an adaptive random forest of 10 trees (Gomes et al. 2017)."""
    return trees.ARFClassifier(seed=SEED)


@named
def leveraging_bagging() -> Model:
    """Return leveraging bagging of 10 Hoeffding trees (Bifet, Holmes and Pfahringer 2010)."""
    return ensemble.LeveragingBaggingClassifier(trees.HoeffdingTreeClassifier(), seed=SEED)


@named
def knn(*, numeric: bool = True) -> Model:
    """Return the vote of the 5 nearest of the newest 1,000 examples, scaled.

    The search is exact. River's default, an approximate graph, is faster and needs a seed:
    `neighbors.KNNClassifier(engine=neighbors.SWINN(seed=42))`.
    """
    nearest = neighbors.LazySearch(window_size=1_000)
    return _scaled(numeric) | with_ordered_classes(neighbors.KNNClassifier(engine=nearest))


@named
def aggregated_mondrian_forest(*, numeric: bool = True) -> Model:
    """Return an aggregated Mondrian forest of 10 trees (Mourtada, Gaiffas and Scornet 2021)."""
    model = with_ordered_classes(forest.AMFClassifier(seed=SEED))
    return model if numeric else _encoded() | model


@named
def linear_regression(*, numeric: bool = True) -> Model:
    """Return linear regression of the scaled target on scaled features.

    It does not diverge, whatever the units of the numbers, however far an outlier lies and however
    many features there are: see `passive_aggressive`. A prediction is within ten standard
    deviations of the mean of the targets so far.
    """
    return _scaled(numeric) | _target_scaled()


@named
def hoeffding_tree_regressor(*, numeric: bool = True) -> Model:
    """Return a Hoeffding tree with a linear regression or the mean in each leaf.

    It is River's, with `linear_regression` for its leaves: River's own takes numbers as they are,
    and diverges on large ones.
    """
    model = tree.HoeffdingTreeRegressor(leaf_model=_leaf_model())
    return model if numeric else _encoded() | model


@named
def adaptive_random_forest_regressor(*, numeric: bool = True) -> Model:
    """Return an adaptive random forest of 10 such trees (Gomes et al. 2018)."""
    model = forest.ARFRegressor(leaf_model=_leaf_model(), seed=SEED)
    return model if numeric else _encoded() | model


@named
def half_space_trees(*, numeric: bool = True) -> Model:
    """Return half-space trees (Tan, Ting and Liu 2011), on features brought into [0, 1].

    Scores are in [0, 1], and 0 until the first 250 events have been seen. The trees look at the
    features of the first event, and at no later ones.
    """
    scaler = preprocessing.MinMaxScaler()
    return (scaler if numeric else _encoded(scaler)) | anomaly.HalfSpaceTrees(seed=SEED)


_TWO_CLASSES = frozenset({"logistic_regression", "alma"})
_TEXT_AS_IT_IS = frozenset(
    {
        "hoeffding_tree",
        "hoeffding_adaptive_tree",
        "adaptive_random_forest",
        "leveraging_bagging",
    }
)


@named
def factory(name: str, task: Task | str, numeric: bool = True) -> ModelFactory:
    """Return the factory of a model, for `Pipeline.models`.

    Parameters
    ----------
    name
        One of `names(task)`.
    task
        What it predicts: for `multiclass`, models of two classes are wrapped, one against the rest.
    numeric
        Whether every feature is a number or a boolean. If not, models that cannot take text
        get it one-hot encoded: each distinct text becomes a feature, and is kept.

    Raises
    ------
    DefinitionError
        The catalogue has no such model for the task; the message lists those that it has.

    Examples
    --------
    >>> model = factory("logistic_regression", "multiclass", numeric=False)()
    >>> model.learn_one({"size": 1.5, "colour": "red"}, "apple")
    >>> model.learn_one({"size": 9.0, "colour": "green"}, "melon")
    >>> model.predict_one({"size": 2.0, "colour": "red"})
    'apple'
    """
    check_name(name, task)
    task = Task(task)
    options = {}
    if task is Task.MULTICLASS and name in _TWO_CLASSES:
        options["many_classes"] = True
    if not numeric and name not in _TEXT_AS_IT_IS:
        options["numeric"] = False
    made: Callable[..., Model] = globals()[name]
    return partial(made, **options)


def _target_scaled() -> base.Regressor:
    regressor = PassiveAggressiveRegressor(limit=0.01)
    clipped = preprocessing.PredClipper(regressor, y_min=-10.0, y_max=10.0)
    return preprocessing.TargetStandardScaler(clipped)


def _leaf_model() -> base.Regressor:
    return cast(base.Regressor, linear.StandardScaler() | _target_scaled())


def _scaled(numeric: bool) -> base.Transformer:
    """Scale numbers; for models of distances and sums, an absent one-hot feature is a zero."""
    scaler = linear.StandardScaler()
    return scaler if numeric else _encoded(scaler, drop_zeros=True)


def _encoded(scaler: base.Transformer | None = None, drop_zeros: bool = False) -> base.Transformer:
    """Encode text as one feature for each distinct value, beside the numbers."""
    number = compose.SelectType(numbers.Number)
    text = compose.SelectType(str) | preprocessing.OneHotEncoder(drop_zeros=drop_zeros)
    return compose.TransformerUnion(number if scaler is None else number | scaler, text)
