"""The identity of a part changes when the part means something else, and only then."""

from __future__ import annotations

import importlib
import math
import random
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from river import compose, forest, linear_model, optim, preprocessing, tree

from millrace.models.candidates import catalogue
from millrace.models.identity.description import identity_of
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError

Write = Callable[..., ModuleType]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules, each in a folder of its own, and import the last."""
    written = [0]

    def make(source: str, **helpers: str) -> ModuleType:
        written[0] += 1
        folder = tmp_path / str(written[0])
        folder.mkdir()
        for name, text in {**helpers, "own": source}.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
            sys.modules.pop(name, None)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        return importlib.import_module("own")

    yield make
    for name in ("own", "helpers", "more"):
        sys.modules.pop(name, None)


FACTORY = """\
from river import linear_model, preprocessing
RATE = 0.1

def scaled(model):
    return preprocessing.StandardScaler() | model

def make():
    return scaled(linear_model.LogisticRegression(l2=RATE))
"""


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(
            FACTORY.replace("RATE = 0.1", "\n\n# a comment\nRATE = 0.1  # here, too"), id="comments"
        ),
        pytest.param(
            FACTORY.replace("def make():", 'def make():\n    """Return a model."""'), id="docstring"
        ),
        pytest.param(FACTORY.replace("def make():", "def make() -> object:"), id="hints"),
        pytest.param(FACTORY.replace("(l2=RATE)", "(\n        l2=RATE,\n    )"), id="layout"),
        pytest.param(FACTORY + "\ndef other():\n    return 1\n", id="another function"),
        pytest.param(FACTORY + "\nLIMIT = 5\n", id="another constant"),
        pytest.param(FACTORY.replace("RATE = 0.1", "RATE = 1 / 10"), id="the same value"),
    ],
)
def test_it_stays_where_the_meaning_does(write: Write, same: str) -> None:
    """Positions, comments, docstrings, type hints and code around it are no part of a part."""
    assert identity_of(write(FACTORY).make) == identity_of(write(same).make)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(FACTORY.replace("RATE = 0.1", "RATE = 0.2"), id="constant"),
        pytest.param(FACTORY.replace("l2=RATE", "l1=RATE"), id="parameter"),
        pytest.param(FACTORY.replace("StandardScaler()", "MinMaxScaler()"), id="helper"),
        pytest.param(FACTORY.replace("LogisticRegression", "Perceptron"), id="class"),
    ],
)
def test_it_changes_with_the_meaning(write: Write, other: str) -> None:
    """What the code does, and all that it refers to, is part of it."""
    assert identity_of(write(FACTORY).make) != identity_of(write(other).make)


def test_two_lambdas_of_a_line_differ(write: Write) -> None:
    """Each has its own syntax, though they share a line."""
    own = write("a, b, c = (lambda x: x + 1), (lambda x: x + 2), (lambda y: (lambda x: x + 1))\n")
    identities = {identity_of(each) for each in (own.a, own.b, own.c, own.c(0))}
    assert identity_of(own.a) == identity_of(own.c(0))
    assert len(identities) == 3


def test_closures_are_told_apart_by_what_they_keep(write: Write) -> None:
    """Functions of one source differ by their closures, and by their defaults."""
    own = write(
        """
        def bounded(limit):
            return lambda x: min(x, limit)

        later = [lambda x, n=n: x + n for n in range(3)]
        """
    )
    assert identity_of(own.bounded(1)) == identity_of(own.bounded(1))
    assert identity_of(own.bounded(1)) != identity_of(own.bounded(2))
    assert len({identity_of(each) for each in own.later}) == 3


def test_a_helper_in_another_module_is_part_of_it(write: Write) -> None:
    """Modules are followed: by what is imported from them, and by what they are asked for."""
    helpers = "def double(x):\n    return 2 * x\n\ndef unused(x):\n    return x\n"
    changed, unused = helpers.replace("2 * x", "3 * x"), helpers.replace("return x", "return -x")
    for source in (
        "from helpers import double\n\nused = lambda x: double(x)\n",
        "import helpers\n\nused = lambda x: helpers.double(x)\n",
        "import more\n\nused = lambda x: more.helpers.double(x)\n",
    ):
        more = "import helpers\n"
        first = identity_of(write(source, helpers=helpers, more=more).used)
        assert first == identity_of(write(source, helpers=unused, more=more).used)
        assert first != identity_of(write(source, helpers=changed, more=more).used)


CLASS = """\
from river import base

FIRST = 0

class Parent(base.Classifier):
    def predict_one(self, x):
        return self.newest

class Newest(Parent):
    start = FIRST

    def __init__(self, memory=3):
        self.memory = memory
        self.newest = None

    @property
    def size(self):
        return self.memory

    def learn_one(self, x, y):
        self.newest = y
"""


def test_an_own_class_is_its_code_and_parameters(write: Write) -> None:
    """Its methods, what it inherits, its attributes and an object's parameters count."""
    first = write(CLASS)
    identity = identity_of(first.Newest())
    assert identity == identity_of(write(CLASS).Newest(memory=3))
    assert identity != identity_of(write(CLASS).Newest(memory=4))
    for old, new in (
        ("self.newest = y", "self.newest = not y"),
        ("return self.newest", "return None"),
        ("FIRST = 0", "FIRST = 1"),
        ("return self.memory", "return 0"),
    ):
        assert identity != identity_of(write(CLASS.replace(old, new)).Newest()), new


def test_functions_that_refer_to_each_other_end(write: Write) -> None:
    """A cycle of references is no endless one."""
    source = """
        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n and even(n - 1)
        """
    assert identity_of(write(source).even) == identity_of(write(source).even)
    assert identity_of(write(source).even) != identity_of(
        write(source.replace("n and even", "n > 0 and even")).even
    )


def test_a_river_model_is_its_class_and_what_is_not_the_default() -> None:
    """Steps, their order and nested parameters count; a default that is written out does not."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.01))
    assert identity_of(model) == identity_of(
        preprocessing.StandardScaler() | linear_model.LogisticRegression()
    )
    others = [
        preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.02)),
        preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.Adam()),
        preprocessing.MinMaxScaler() | linear_model.LogisticRegression(),
        compose.Pipeline(
            ("scale", preprocessing.StandardScaler()), linear_model.LogisticRegression()
        ),
        forest.ARFClassifier(seed=1),
        forest.ARFClassifier(seed=2),
        forest.ARFClassifier(n_models=5, seed=1),
    ]
    assert len({identity_of(each) for each in [model, *others]}) == len(others) + 1


def test_a_default_that_depends_on_the_interpreter_is_no_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """River's trees derive a depth from the recursion limit."""
    before = identity_of(tree.HoeffdingTreeClassifier())
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(limit + 500)
        assert identity_of(tree.HoeffdingTreeClassifier()) == before
    finally:
        sys.setrecursionlimit(limit)
    assert identity_of(tree.HoeffdingTreeClassifier(max_depth=5)) != before


def test_a_faster_model_of_the_catalogue_is_rivers() -> None:
    """It has River's results, and so River's identity."""
    assert identity_of(catalogue.logistic_regression()) == identity_of(
        preprocessing.StandardScaler() | linear_model.LogisticRegression()
    )


def test_what_a_library_has_made_is_told_apart() -> None:
    """Compiled functions, and objects that hide what they were made with, count as well."""
    made = [
        np.log,
        np.exp,
        len,
        math.log,
        itemgetter("a"),
        itemgetter("b"),
        {}.get,
        re.compile("a"),
    ]
    made += [re.compile("b"), np.array([1, 2]), np.array([1.0, 2.0]), np.float32(1), timedelta(1)]
    made += [ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Zurich"), Task.BINARY, partial(len), 1, 1.0]
    made += [True, "1", b"1", None, [], (), {}, {1}, float("nan")]
    assert len({identity_of(each) for each in made}) == len(made) - 1  # [] and () are alike
    assert identity_of(random.Random()) == identity_of(random.Random())


def test_a_wrapped_function_is_part_of_what_wraps_it(write: Write) -> None:
    """Decorators hide functions, and a cache is no function at all."""
    source = """
        from functools import cache, wraps

        def doubled(function):
            @wraps(function)
            def call(*args):
                return 2 * function(*args)
            return call

        @DECORATOR
        def price(x):
            return x + 1
        """
    for decorator in ("cache", "doubled"):
        text = source.replace("DECORATOR", decorator)
        first = identity_of(write(text).price)
        assert first == identity_of(write(text).price)
        assert first != identity_of(write(text.replace("x + 1", "x + 2")).price)


def test_code_without_a_source_is_refused() -> None:
    """Its changes would not be seen."""
    space: dict[str, object] = {"__name__": "nowhere"}
    exec("def made():\n    return 1\n", space)
    with pytest.raises(DefinitionError, match="must be readable"):
        identity_of(space["made"])
