"""The names of the catalogue's models.

They are apart from the models, so that a name can be checked without importing what all models
need, which takes two seconds. To add a model, write its function in `catalogue` and its name here.
"""

from __future__ import annotations

from millrace.models.parameters import choice, one_of
from millrace.models.pipeline.tasks import Task

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
    """Return the names of the models for `task`.

    Examples
    --------
    >>> names("regression")
    ('linear_regression', 'hoeffding_tree_regressor', 'adaptive_random_forest_regressor')
    """
    return _NAMES[Task(task)]


def check_name(name: str, task: Task | str) -> None:
    """Raise an error if the catalogue has no model of this name for the task.

    Raises
    ------
    DefinitionError
        Listing the names that it has.
    """
    task = choice("task", task, Task)
    known = names(task)
    one_of(f"for the task {task.value!r}, model must be one of {', '.join(known)}", name, known)
