"""The names of the catalogue's models: apart from the models, so that to know them takes no River.

A new model is a function in `catalogue`, and its name here.
"""

from __future__ import annotations

from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError

_CLASSIFIERS = (
    *("logistic_regression", "hoeffding_tree", "hoeffding_adaptive_tree"),
    *("adaptive_random_forest", "leveraging_bagging", "aggregated_mondrian_forest"),
    *("gaussian_naive_bayes", "knn", "alma"),
)
_NAMES = {
    Task.BINARY: _CLASSIFIERS,
    Task.MULTICLASS: _CLASSIFIERS,
    Task.REGRESSION: (
        *("linear_regression", "hoeffding_tree_regressor", "adaptive_random_forest_regressor"),
    ),
    Task.ANOMALY: ("half_space_trees",),
}


def names(task: Task | str) -> tuple[str, ...]:
    """Return the names of the models that can do `task`.

    Examples
    --------
    >>> names("regression")
    ('linear_regression', 'hoeffding_tree_regressor', 'adaptive_random_forest_regressor')
    """
    return _NAMES[Task(task)]


def check_name(name: str, task: Task | str) -> None:
    """Refuse a model that the catalogue does not have for the task.

    Raises
    ------
    DefinitionError
        Listing those that it has.
    """
    if name not in names(task):
        raise DefinitionError(
            f"for the task {Task(task).value!r}, model must be one of {', '.join(names(task))};"
            f" got {name!r}"
        )
