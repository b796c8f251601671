"""A copy of a prototype is as good as what its function makes, and shares nothing with others."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from river import compose, ensemble, forest, linear_model, naive_bayes, preprocessing, tree

from millrace import catalogue
from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.prototype import Prototype
from millrace.models.pipeline.parts import shared
from millrace.models.pipeline.tasks import Task

CATALOGUE = [
    (task, {name: catalogue.factory(name, task)})
    for task in (Task.BINARY, Task.REGRESSION, Task.ANOMALY)
    for name in catalogue.names(task)
]
OTHERS = {
    "unseeded": forest.ARFClassifier,
    "rivers": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "union": lambda: (
        compose.Select("a") + (compose.Select("b") | preprocessing.MinMaxScaler())
        | naive_bayes.GaussianNB()
    ),
    "bagging": lambda: ensemble.BaggingClassifier(tree.HoeffdingTreeClassifier(), seed=1),
}


def examples(task: Task, seed: int, length: int = 40) -> list[tuple[dict[str, float], Any]]:
    rng = random.Random(seed)
    xs = [{"a": rng.gauss(0, 1), "b": rng.random()} for _ in range(length)]
    labels = [0.5, 9.0] if task is Task.REGRESSION else [False, True]
    return [(x, labels[x["a"] > x["b"]]) for x in xs]


def answers(models: ModelSet, task: Task, seed: int) -> list[str]:
    """Return what models predict for a stream, as they learn it."""
    found = []
    for x, y in examples(task, seed):
        found.append(repr(models.predict(x)))
        models.learn(x, y)
    return found


@pytest.mark.parametrize(("task", "models"), [*CATALOGUE, (Task.BINARY, OTHERS)])
def test_a_copy_learns_as_what_is_made(make_pipeline, task, models):
    """To the last digit, seeds and all; what one copy learns, another does not know."""
    pipeline = make_pipeline(models, task.value)
    prototype = Prototype(lambda: ModelSet(pipeline))
    first, second = prototype.copy(), prototype.copy()
    assert shared(("first", first), ("second", second)) is None
    assert answers(first, task, 1) == answers(ModelSet(pipeline), task, 1)
    assert shared(("first", first), ("second", second)) is None
    assert answers(second, task, 2) == answers(ModelSet(pipeline), task, 2)


def test_the_first_event_inspects_no_signatures(make_pipeline, monkeypatch):
    """River's pipelines look at their steps when a plan is made, once for all copies."""
    pipeline = make_pipeline({name: OTHERS[name] for name in ("rivers", "union")})
    prototype = Prototype(lambda: ModelSet(pipeline))
    prototype.copy()
    inspected: list[object] = []
    monkeypatch.setattr(inspect, "signature", inspected.append)
    models = prototype.copy()
    models.predict({"a": 1.0, "b": 2.0})
    models.learn({"a": 1.0, "b": 2.0}, True)
    assert inspected == []


def test_it_is_made_once():
    """And not before it is needed."""
    made: list[int] = []
    prototype = Prototype(lambda: made.append(1) or [1.5])
    assert made == []
    copies = [prototype.copy() for _ in range(3)]
    assert copies == [[1.5]] * 3
    assert copies[0] is not copies[1]
    assert made == [1]


def test_what_cannot_be_copied_is_made_each_time():
    """Such as a lock, or a function within a function, which may know what it is part of."""
    made: list[int] = []

    def make() -> Any:
        made.append(1)
        return threading.Lock()

    locks = [each() for each in [Prototype(make).copy] * 3]
    assert len({*map(id, locks)}) == len(made) - 1 == 3


class Unloadable:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return int, ("no number",)


def test_what_cannot_be_loaded_is_made_each_time():
    """A class may pickle and not load."""
    copy = Prototype(Unloadable).copy
    assert type(copy()) is Unloadable
    assert copy() is not copy()


def test_what_the_function_raises_is_raised_at_each_copy():
    """So that a factory that fails once may do better at the next event."""
    made: list[int] = []

    def make() -> list[int]:
        made.append(1)
        if len(made) < 3:
            raise OSError("no file yet")
        return [1]

    prototype = Prototype(make)
    for _ in range(2):
        with pytest.raises(OSError, match="no file yet"):
            prototype.copy()
    assert prototype.copy() == [1]


class Sky(Enum):
    BLUE = 1


class Text(str):
    """Text that has something of its own."""


def test_only_what_never_changes_is_shared():
    """Text, classes, members of enumerations, and sets of text that are frozen."""
    text = Text("text")
    text.marks = []
    prototype = Prototype(lambda: [frozenset("ab"), Sky.BLUE, int, text, frozenset({(1, ())}), [1]])
    one, other = prototype.copy(), prototype.copy()
    assert one == other
    same = [a is b for a, b in zip(one, other, strict=True)]
    assert same == [True, True, True, False, False, False]
    assert one[3].marks is not other[3].marks


def test_what_is_there_twice_is_one_object_in_a_copy():
    """A step of a pipeline is in its plan, too."""
    inner: list[int] = []
    copy = Prototype(lambda: [inner, inner]).copy()
    assert copy[0] is copy[1] is not inner
