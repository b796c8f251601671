"""The catalogue's names: one for each of its functions, and one function for each."""

from __future__ import annotations

import inspect

import pytest

from millrace.models.candidates import catalogue
from millrace.models.candidates.names import check_name, names
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError


def test_every_name_is_a_model_of_the_catalogue_and_every_model_has_a_name():
    """`factory` and `names` are the catalogue's only other functions."""
    named = {name for task in Task for name in names(task)}
    public = {name for name in catalogue.__all__ if inspect.isfunction(getattr(catalogue, name))}
    assert {*catalogue.__all__} == public == named | {"factory", "names"}


@pytest.mark.parametrize("task", Task)
def test_names_are_those_of_models_that_the_task_accepts(task):
    """And no model of another task has one, but for the two kinds of classification."""
    for other in Task:
        for name in names(other):
            if name in names(task):
                task.check_model(name, catalogue.factory(name, task)())
            else:
                with pytest.raises(DefinitionError):
                    task.check_model(name, catalogue.factory(name, other)())


def test_classifiers_are_the_same_for_two_and_for_many_classes():
    """A name is known for both, the most used first."""
    assert names("multiclass") == names(Task.BINARY)
    assert names("binary")[:2] == ("logistic_regression", "hoeffding_tree")


@pytest.mark.parametrize("task", ["binary", Task.BINARY])
def test_an_unknown_name_is_refused(task):
    """The message has the task, all names and what was given."""
    check_name("knn", task)
    with pytest.raises(DefinitionError) as caught:
        check_name("knnn", task)
    known = ", ".join(names(task))
    expected = (
        f"for the task 'binary', model must be one of {known}; got 'knnn'. Did you mean 'knn'?"
    )
    assert str(caught.value) == expected
