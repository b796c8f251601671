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
from millrace.models.identity.description import identity_of, texts_in
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


def test_a_file_may_be_edited_while_its_code_runs(write: Write) -> None:
    """The code that runs is what counts."""
    own = write(FACTORY + "\nclass Empty:\n    size = 1\n")
    identities = identity_of(own.make), identity_of(own.Empty)
    Path(str(own.__file__)).write_text("# a line more\n" * 20 + FACTORY)
    assert (identity_of(own.make), identity_of(own.Empty)) == identities
    assert identity_of(own.scaled)  # which is looked for here first


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


@pytest.mark.parametrize(
    "keeping",
    ["self._top = top", "self.kept = [top]", "vars(self).update(more)", "self.f = lambda: top"],
)
def test_an_own_object_is_what_it_keeps_of_its_parameters(write: Write, keeping: str) -> None:
    """Under whatever name."""
    source = f"""
        class Ratio:
            def __init__(self, top, **more):
                {keeping}

        class Slots:
            __slots__ = ("_top",)
            def __init__(self, top):
                self._top = top

        one, same, other = (Ratio(each, limit=each) for each in (1, 1, 2))
        slots = [Slots(each) for each in (1, 1, 2)]
        """
    own = write(source)
    assert identity_of(own.one) == identity_of(own.same) != identity_of(own.other)
    one, same, other = map(identity_of, own.slots)
    assert one == same != other


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


DATA = """\
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

LIMIT = 1

@dataclass(frozen=True)
class Data:
    size: int = 3
    more: list = field(default_factory=list)

    @cached_property
    def limit(self):
        return LIMIT

class Cached:
    @lru_cache
    def limit(self):
        return LIMIT
"""


def test_what_a_decorator_has_made_of_a_class(write: Write) -> None:
    """A dataclass is its fields and methods; a cached property or method is its function."""
    first, again = write(DATA), write(DATA)
    for name in ("Data", "Cached"):
        made = getattr(first, name)
        assert identity_of(made()) == identity_of(getattr(again, name)())
        other = getattr(write(DATA.replace("LIMIT = 1", "LIMIT = 2")), name)
        assert identity_of(made()) != identity_of(other()), name
    for old, new in (("size: int = 3", "size: int = 4"), ("frozen=True", "frozen=False")):
        assert identity_of(first.Data) != identity_of(write(DATA.replace(old, new)).Data)
    assert identity_of(first.Data(3)) == identity_of(first.Data()) != identity_of(first.Data(4))


def test_a_default_with_a_name_counts(write: Write) -> None:
    """A parameter that is the default is left out, and the default is part of the class."""
    source = """
        from river import base

        LIMITS = (1, 2)

        class Clip(base.Base):
            def __init__(self, limits=LIMITS):
                self.limits = limits
        """
    first, other = write(source).Clip(), write(source.replace("1, 2", "1, 3")).Clip()
    assert identity_of(first) != identity_of(other)


def test_what_an_object_of_a_library_holds_must_be_seen(write: Write) -> None:
    """Code without a source has no identity, wherever it is."""
    space: dict[str, object] = {"__name__": "nowhere"}
    exec("def hidden(x):\n    return x\n", space)
    with pytest.raises(DefinitionError, match="must be readable"):
        identity_of(compose.FuncTransformer(space["hidden"]))
    with pytest.raises(DefinitionError, match="must be readable"):
        identity_of(map(space["hidden"], ()))


DECORATED = """\
from contextlib import contextmanager
from functools import cache, singledispatch
from helpers import logged

LIMIT = 1

@contextmanager
def managed():
    yield LIMIT

@logged
def own(x):
    return LIMIT

def closed(limit):
    return logged(lambda x: limit)

@cache
def cached(x):
    return LIMIT

@singledispatch
def dispatched(x):
    return LIMIT

used = [managed, own, closed(LIMIT), cached, dispatched]
"""
DECORATOR = """\
from functools import wraps

def logged(function):
    @wraps(function)
    def inner(*args):
        return function(*args)
    return inner
"""


def test_what_a_decorator_has_made_of_a_function(write: Write) -> None:
    """Whoever wrote the decorator, it is the function behind it, and the decorator if it is own."""
    first, again = (write(DECORATED, helpers=DECORATOR).used for _ in range(2))
    other = write(DECORATED.replace("LIMIT = 1", "LIMIT = 2"), helpers=DECORATOR).used
    for one, same, changed in zip(first, again, other, strict=True):
        assert identity_of(one) == identity_of(same) != identity_of(changed)
    otherwise = DECORATOR.replace("function(*args)", "not function(*args)")
    decorated = write(DECORATED, helpers=otherwise).used
    differ = [identity_of(a) != identity_of(b) for a, b in zip(first, decorated, strict=True)]
    assert differ == [False, True, True, False, False]


ENUM = """\
import datetime
import enum
from dataclasses import dataclass

class Colour(enum.Enum):
    RED = 1

class Zone(datetime.timedelta):
    def __repr__(self):
        return "zone"

class Rate(float, enum.Enum):
    LOW = 0.5

@dataclass
class Painted:
    colour: Colour = Colour.RED
    def __reduce__(self):
        return Painted, (Colour.RED,)

def paint(colour=Colour.RED):
    return colour
"""


def test_the_name_of_a_file_is_no_part_of_it(write: Write) -> None:
    """The same code in a file of another name, or in a bundle, is the same."""
    source = """
        from helpers import *
        used = [paint, Colour.RED, Rate.LOW, Painted(), Painted, Zone(1)]
        """
    other = source.replace("helpers", "more")
    first = write(source, helpers=ENUM).used
    identities = [identity_of(each) for each in first]
    assert identities == [identity_of(each) for each in write(other, more=ENUM).used]


PLACED = """\
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
TABLES = {"first": HERE / "first.csv", "second": os.path.join(os.path.dirname(__file__), "x.csv")}

class Reader:
    def __init__(self, path):
        self.path = path

    def __call__(self):
        return self.path

used = [
    lambda: log.info(__name__),
    lambda: __file__,
    lambda: HERE,
    lambda: TABLES["first"],
    Reader(HERE / "first.csv"),
    Reader(str(HERE)),
]
"""


def test_the_place_of_a_file_is_no_part_of_it(write: Write) -> None:
    """Another machine has it in another folder: paths count from there, and loggers not at all."""
    first = [identity_of(each) for each in write(PLACED).used]
    moved = write("from helpers import used\n", helpers=PLACED).used
    assert [identity_of(each) for each in moved] == first
    other = write(PLACED.replace("first.csv", "other.csv")).used
    differ = [identity_of(a) != b for a, b in zip(other, first, strict=True)]
    assert differ == [False, False, False, True, True, False]
    assert identity_of(Path("/data/a.csv")) != identity_of(Path("/data/b.csv"))


def test_the_value_of_an_own_enum_counts(write: Write) -> None:
    """A member means what its class says."""
    source = "from helpers import *\nused = lambda: Rate.LOW\nkept = Rate.LOW\n"
    first = write(source, helpers=ENUM)
    identities = identity_of(first.used), identity_of(first.kept)
    second = write(source, helpers=ENUM.replace("0.5", "0.6"))
    assert identities[0] != identity_of(second.used)
    assert identities[1] != identity_of(second.kept)


def test_texts_are_found_wherever_they_are_written(write: Write) -> None:
    """In constants, closures, helpers, sets and keys; names of variables and docstrings aside."""
    own = write(
        """
        from operator import itemgetter
        from helpers import NAMES, longer

        LIMITS = {"income": 1}

        def keeping(name):
            return lambda event: event[name]

        def ratio(event):
            wages = event["debt"]
            return wages / LIMITS["x"] + sum(event[each] for each in NAMES) + longer(event)

        found = [ratio, keeping("kept"), itemgetter("got")]
        """,
        helpers="NAMES = {'in_a_set'}\ndef longer(e): return e.get('far')\n",
    )
    found = texts_in(own.found)
    assert found >= {"debt", "income", "in_a_set", "far", "kept", "got"}
    assert "wages" not in found


def test_a_module_is_read_without_linecache(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that a file is empty while another thread reads it: nothing is taken for changed."""
    expected = identity_of(write(FACTORY).make)
    monkeypatch.setattr("linecache.getlines", lambda *_: [])
    assert identity_of(write(FACTORY).make) == expected
