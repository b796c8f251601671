"""The modules of a bundle are imported as from files, side by side with those of another."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files as resources_of
from pathlib import Path
from typing import Any

import pytest

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.collecting import collect
from millrace.models.bundles.importing import load
from millrace.models.bundles.naming import import_names, plain_name
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import DefinitionError
from tests.unit.models.bundles.conftest import PIPELINE, SCHEMA, Make, Write

OWN = """
from river import base
from millrace import Pipeline
from helpers import likely


class Own(base.Classifier):
    def __init__(self):
        self.seen = 0

    def learn_one(self, x, y):
        self.seen += 1

    def predict_proba_one(self, x):
        return {True: likely(self.seen) + 0.1}
"""
VISITS = OWN + PIPELINE
HELPERS = "def likely(seen):\n    return seen / 100\n"
BODIES = "from river.naive_bayes import GaussianNB\nfrom millrace import Pipeline\n"


MADE = "def made():\n    return 1"


def model_of(bundle: Bundle) -> Any:
    return load(bundle).models["own"]()


def module_of(pipeline: Pipeline) -> Any:
    return sys.modules[pipeline.models["own"].__module__]


def own(body: str) -> str:
    """Return a pipeline's source with a factory `Own` that gives a model with `made` set."""
    return (
        BODIES
        + "class Model(GaussianNB):\n    made = None\n"
        + body
        + "\ndef Own():\n    model = Model()\n    model.made = made()\n    return model\n"
        + PIPELINE
    )


def test_two_versions_side_by_side(make: Make) -> None:
    """Each predicts by its own code, is pickled under its own name, and found again."""
    bundles = [
        make({"visits.py": VISITS.replace("0.1", f"0.{n}"), "helpers.py": HELPERS}) for n in (1, 2)
    ]
    models = [model_of(each) for each in bundles]
    for _ in range(3):
        for model in models:
            model.learn_one({}, True)
    loaded = [pickle.loads(pickle.dumps(each)) for each in models]
    for found in (models, loaded):
        assert [each.predict_proba_one({})[True] for each in found] == [0.03 + 0.1, 0.03 + 0.2]
    assert [type(each) for each in loaded] == [type(each) for each in models]
    assert len({type(each) for each in models}) == 2


def test_an_unchanged_module_is_the_same_one(make: Make) -> None:
    """In two bundles, although what imports it differs."""
    one, other = (
        module_of(load(make({"visits.py": VISITS + f"\nN = {n}\n", "helpers.py": HELPERS})))
        for n in (1, 2)
    )
    assert one is not other
    assert one.likely is other.likely


def test_an_unchanged_module_of_a_package_is_the_same_one(make: Make) -> None:
    """Although another module of the package has changed; the package knows the right one."""
    package = {"shop/__init__.py": "", "shop/own.py": OWN.replace("helpers", ".helpers")}
    source = (
        "from millrace import Pipeline\nfrom shop.own import Own\nimport shop.rates\n" + PIPELINE
    )
    package |= {"shop/visits.py": source + "rate = lambda: shop.rates.RATE\n"}
    package |= {"shop/helpers.py": HELPERS}
    bundles = [make({**package, "shop/rates.py": f"RATE = {n}\n"}, "shop.visits") for n in (1, 2)]
    one, other = map(load, bundles)
    assert one.models["own"] is other.models["own"]
    rates = [sys.modules[import_names(each)["shop.visits"]].rate() for each in bundles]
    assert rates == [1, 2]


def test_the_package_of_a_bundle_has_its_modules(make: Make) -> None:
    """Whichever of them another bundle had imported before."""
    source = own("import shop.a, shop.b\ndef made():\n    return shop.a.A, shop.b.B, shop.c.C")
    files = {"shop/a.py": "from . import c\nA = 1", "shop/b.py": "B = 1", "shop/c.py": "C = 1"}
    bundles = [make({**files, "shop/b.py": f"B = {n}", "visits.py": source}) for n in (1, 2)]
    assert [model_of(each).made for each in bundles] == [(1, 1, 1), (1, 2, 1)]
    assert [model_of(each).made for each in bundles] == [(1, 1, 1), (1, 2, 1)]


def test_a_changed_module_changes_what_imports_it(make: Make) -> None:
    """Both versions of what imports it, directly or not, have their own."""
    sources = {"visits.py": VISITS, "helpers.py": "from deep import likely\n"}
    models = [
        model_of(make({**sources, "deep.py": HELPERS.replace("100", str(n))})) for n in (10, 20)
    ]
    for model in models:
        model.learn_one({}, True)
    assert [each.predict_proba_one({})[True] for each in models] == [0.1 + 0.1, 0.05 + 0.1]


def test_a_file_of_the_same_name_is_not_taken(make: Make, write: Write) -> None:
    """Neither from `sys.path` nor from `sys.modules`."""
    bundle = make({"visits.py": VISITS, "helpers.py": HELPERS})
    folder = write({"helpers.py": "def likely(seen):\n    raise AssertionError\n"})
    sys.path.insert(0, str(folder))
    __import__("helpers")
    assert model_of(bundle).predict_proba_one({}) == {True: 0.1}


CASES = {
    "relative": ({"shop/rates.py": "from .deep.er import RATE", "shop/deep/er.py": "RATE = 1"}, ""),
    "relative, upwards": (
        {
            "shop/deep/a.py": "from .. import base\nfrom ..base import RATE",
            "shop/base.py": "RATE = 1",
        },
        "from shop.deep.a import RATE",
    ),
    "from . import x": ({"shop/rates.py": "from . import x\nRATE = x.X", "shop/x.py": "X = 1"}, ""),
    "from . import x as y": (
        {"shop/rates.py": "from . import x as y\nRATE = y.X", "shop/x.py": "X = 1"},
        "",
    ),
    "package": (
        {"shop/__init__.py": "from .rates import RATE", "shop/rates.py": "RATE = 1"},
        "from shop import RATE",
    ),
    "package's name": ({"shop/rates.py": "RATE = 1"}, "import shop.rates\nRATE = shop.rates.RATE"),
    "import as": ({"shop/rates.py": "RATE = 1"}, "import shop.rates as r\nRATE = r.RATE"),
    "a function by the name of its module": (
        {
            "shop/__init__.py": "from .rate import rate",
            "shop/rate.py": "rate = 1",
        },
        "from shop import rate as RATE",
    ),
    "star": ({"rates.py": "RATE = 1\n_HIDDEN = 2"}, "from rates import *"),
    "star with modules": (
        {"shop/__init__.py": "__all__ = ['rates']", "shop/rates.py": "RATE = 1"},
        "from shop import *\nRATE = rates.RATE",
    ),
    "circular": (
        {
            "one.py": "import two\ndef rate():\n    return two.RATE",
            "two.py": "import one\nRATE = 1",
        },
        "import one\nRATE = one.rate()",
    ),
    "circular in a package": (
        {
            "shop/__init__.py": "from .one import rate",
            "shop/one.py": "from . import two\ndef rate():\n    return two.RATE",
            "shop/two.py": "from . import one\nimport shop\nRATE = 1",
        },
        "import shop\nRATE = shop.rate()",
    ),
    "like Python's own, in a package": (
        {"shop/types.py": "RATE = 1", "shop/rates.py": "from .types import RATE\nimport types"},
        "",
    ),
    "like installed ones": (
        {"river_helpers.py": "RATE = 1", "utils.py": "from river_helpers import RATE"},
        "from utils import RATE",
    ),
    "by `__import__`": ({"rates.py": "RATE = 1"}, "RATE = __import__('rates').RATE"),
    "optional": (
        {"rates.py": "RATE = 1"},
        "try:\n    import rates.fast\nexcept ImportError:\n    from rates import RATE",
    ),
    "Windows' line endings": ({"rates.py": "RATE = (\r\n  1\r\n)\r\n"}, "from rates import RATE"),
    "another encoding": (
        {"rates.py": "# -*- coding: latin-1 -*-\nRATE = len('ä') - 1"},
        "from rates import RATE",
    ),
}


@pytest.mark.parametrize("is_lazy", [False, True], ids=["at the top", "in a function"])
@pytest.mark.parametrize("case", CASES)
def test_ways_to_import(case: str, is_lazy: bool, make: Make) -> None:
    """Each import statement finds the bundle's module, at the top or in a factory."""
    files, statement = CASES[case]
    statement = statement or "from shop.rates import RATE"
    if is_lazy and "*" not in statement:
        lines = "".join(f"    {line}\n" for line in statement.splitlines())
        body = f"def made():\n{lines}    return RATE"
    else:
        body = f"{statement}\ndef made():\n    return RATE"
    bundle = make({**files, "visits.py": own(body)})
    assert model_of(bundle).made == 1
    assert {plain_name(n) for n in import_names(bundle).values()} == {*bundle.modules}


@pytest.mark.parametrize(
    "factory",
    [
        "lambda: Model(made=made())",
        "partial(Model, made=1)",
        "(lambda made: lambda: Model(made))(1)",
    ],
    ids=["lambda", "partial", "closure"],
)
def test_kinds_of_factories(factory: str, make: Make) -> None:
    """Factories need not have names."""
    body = (
        BODIES + "from functools import partial\nfrom rates import made\n"
        "class Model(GaussianNB):\n    def __init__(self, made=0):\n"
        "        super().__init__()\n        self.made = made\n"
        f"Own = {factory}\n{PIPELINE}"
    )
    bundle = make({"visits.py": body, "rates.py": "def made():\n    return 1\n"})
    assert model_of(bundle).made == 1


SCHEMAS = {
    "with_suffix": "Path(__file__).with_suffix('.avsc')",
    "beside": "Path(__file__).parent / 'visits.avsc'",
    "resolved": "Path(__file__).resolve().parent.joinpath('visits.avsc')",
    "text": "str(Path(__file__).parent / 'visits.avsc')",
    "join": "os.path.join(os.path.dirname(os.path.abspath(__file__)), 'visits.avsc')",
    "from the working directory": "'shop/visits.avsc'",
    "path from the working directory": "Path('shop') / 'visits.avsc'",
    "read": "json.loads((Path(__file__).parent / 'visits.avsc').read_text())",
    "read by pathlib": "json.loads(pathlib.Path(__file__).with_name('visits.avsc').read_bytes())",
    "opened": "read(open(os.path.join(os.path.dirname(__file__), 'visits.avsc')))",
    "opened as a path": "read((Path(__file__).parent / 'visits.avsc').open('rb'))",
    "if it is there": "(lambda p: json.loads(p.read_text()) if p.exists() else 1)"
    "(Path(__file__).parent / 'visits.avsc')",
    "resource": "json.loads((resources.files(__package__) / 'visits.avsc').read_text())",
    "data of the package": "json.loads(pkgutil.get_data(__name__, 'visits.avsc'))",
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_schemas_are_found(schema: str, make: Make) -> None:
    """However the module names, or reads, the file beside it."""
    source = (
        "import json, os, pathlib, pkgutil\nfrom importlib import resources\n"
        "def read(file):\n    with file:\n        return json.load(file)\n"
        f"from pathlib import Path\n{BODIES}Own = GaussianNB\n{PIPELINE}"
    )
    source = source.replace(f"SCHEMA = {SCHEMA}", f"SCHEMA = {schema}")
    files = {"shop/__init__.py": "", "shop/visits.py": source, "shop/visits.avsc": SCHEMA}
    bundle = make({**files, "shop/other.avsc": "no schema"}, "shop.visits")
    assert [*bundle.schemas] == ["shop/visits.avsc"]
    pipeline = load(bundle)
    assert pipeline.event_schema.field_names == ("id", "x")
    assert pipeline.with_name("others").event_schema.field_names == ("id", "x")


def test_a_schema_above(make: Make) -> None:
    """A schema in a folder beside the pipeline's is found, and a changed one is another module."""
    source = BODIES + "from pathlib import Path\nOwn = GaussianNB\n" + PIPELINE
    schema = "Path(__file__).parents[1] / 'schemas' / 'visits.avsc'"
    source = source.replace(f"SCHEMA = {SCHEMA}", f"SCHEMA = {schema}")
    versions = [
        load(
            make(
                {
                    "here/visits.py": source,
                    "schemas/visits.avsc": SCHEMA.replace('"x"', f'"{name}"'),
                },
                "here/visits.py",
            )
        )
        for name in ("x", "y")
    ]
    assert [each.event_schema.field_names[1] for each in versions] == ["x", "y"]


def test_earlier_schemas(make: Make) -> None:
    """They travel too, whichever way they are given."""
    source = BODIES + "from pathlib import Path\nOwn = GaussianNB\n" + PIPELINE
    given = "earlier_schemas=[SCHEMA, Path(__file__).parent / 'v1.avsc', 'v2.avsc'], name="
    more = SCHEMA.replace("\n", ' {"name": "MORE", "type": "int"},', 1)
    files = {"v1.avsc": more.replace("MORE", "a"), "v2.avsc": more.replace("MORE", "b")}
    bundle = make({"visits.py": source.replace("name=", given, 1), **files})
    pipeline = load(bundle).with_name("others")
    names = [each.field_names for each in pipeline.event_schema.earlier]
    assert names == [("id", "x"), ("a", "id", "x"), ("b", "id", "x")]


def test_source_can_be_shown(make: Make) -> None:
    """By `inspect`, and in a traceback with the line."""
    bundle = make({"visits.py": VISITS, "helpers.py": HELPERS.replace("100", "0")})
    model = model_of(bundle)
    assert "self.seen += 1" in inspect.getsource(type(model))
    with pytest.raises(ZeroDivisionError) as raised:
        model.predict_proba_one({})
    shown = "".join(traceback.format_exception(raised.value))
    assert "helpers.py" in shown
    assert "    return seen / 0" in shown


def test_what_raises_is_said_in_one_line(make: Make, write: Write) -> None:
    """With the author's file and line, and without the machinery."""
    bundle = make({"visits.py": VISITS, "helpers.py": HELPERS})
    files = {**bundle.files, "helpers.py": "likely = 1\n1 / 0\n"}
    broken = Bundle(bundle.reference, bundle.modules, files)
    with pytest.raises(DefinitionError, match=r"visits\.py:4: ZeroDivisionError: division by zero"):
        load(broken)
    missing = Bundle(bundle.reference, bundle.modules, {**files, "helpers.py": "import not_there"})
    with pytest.raises(DefinitionError, match="ModuleNotFoundError: No module named 'not_there'"):
        load(missing)
    none = Bundle("helpers:pipeline", bundle.modules, bundle.files)
    with pytest.raises(DefinitionError, match="pipeline must name a Pipeline"):
        load(none)


def test_threads_load_at_once(make: Make) -> None:
    """Several bundles that share modules, each module once."""
    files = {"visits.py": VISITS, "helpers.py": "import time\ntime.sleep(0.02)\n" + HELPERS}
    bundles = [make({**files, "visits.py": VISITS + f"N = {n}\n"}) for n in range(4)] * 2
    with ThreadPoolExecutor(8) as pool:
        modules = [*pool.map(lambda each: module_of(load(each)), bundles)]
    assert [each.N for each in modules] == [0, 1, 2, 3] * 2
    assert len({each.likely for each in modules}) == 1
    assert modules[:4] == modules[4:]


def test_one_after_the_other(make: Make) -> None:
    """A module is never seen that another thread has imported in part."""
    source = "import time, loading\nassert not loading.NOW\nloading.NOW = {}\n"
    source += "time.sleep(0.05)\nloading.NOW = None\n" + own(MADE)
    files = {"loading.py": "NOW = None"}
    bundles = [make({**files, "visits.py": source.replace("{}", n)}) for n in ("1", "2")]
    for name in {each for bundle in bundles for each in import_names(bundle).values()}:
        del sys.modules[name]
    with ThreadPoolExecutor(2) as pool:
        assert [each.name for each in pool.map(load, bundles)] == ["visits"] * 2


def test_a_module_that_was_not_imported_yet_is_unpickled(make: Make) -> None:
    """A pickle may name it: it is imported then, after its package."""
    files = {
        "shop/__init__.py": "IS_BEFORE_LAZY = True",
        "shop/lazy.py": "import sys\nmodules = [*sys.modules.values()]\n"
        "assert any(hasattr(each, 'IS_BEFORE_LAZY') for each in modules)\nclass Kept:\n    pass\n",
        "visits.py": own("def made():\n    from shop.lazy import Kept\n    return Kept()"),
    }
    bundle = make(files)
    pickled = pickle.dumps(model_of(bundle).made)
    name = import_names(bundle)["shop.lazy"]
    for each in (name, import_names(bundle)["shop"]):
        del sys.modules[each]
    assert type(pickle.loads(pickled)).__module__ == name


def test_a_new_process_needs_no_files(make: Make, tmp_path: Path) -> None:
    """It loads the bundle, and reads what another has pickled."""
    bundle = make({"visits.py": VISITS, "helpers.py": HELPERS})
    model = model_of(bundle)
    model.learn_one({}, True)
    (tmp_path / "bundle").write_bytes(bundle.to_bytes())
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    program = (
        "import pickle, sys\nfrom pathlib import Path\n"
        "from millrace.models.bundles.bundle import Bundle\n"
        "from millrace.models.bundles.importing import load\n"
        "load(Bundle.from_bytes(Path('bundle').read_bytes()))\n"
        "print(pickle.loads(Path('model').read_bytes()).predict_proba_one({}))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"{model.predict_proba_one({})}\n"


def test_resources_of_a_loaded_package(make: Make) -> None:
    """From outside, too."""
    source = own("def made():\n    return __package__").replace(
        f"SCHEMA = {SCHEMA}",
        "from pathlib import Path\nSCHEMA = Path(__file__).with_suffix('.avsc')",
    )
    files = {"shop/__init__.py": "", "shop/visits.py": source, "shop/visits.avsc": SCHEMA}
    package = model_of(make(files, "shop.visits")).made
    assert (resources_of(package) / "visits.avsc").read_text() == SCHEMA


@pytest.mark.parametrize("name", ["loans", "shuttle", "phishing", "image_segments"])
def test_examples(name: str) -> None:
    """Each is loaded from its bundle, and is the same pipeline."""
    spec = f"millrace.models.pipelines.{name}"
    loaded, plain = load(collect(spec)), load_pipeline(spec)
    assert [*loaded.models] == [*plain.models]
    assert loaded.event_schema.as_written.header == plain.event_schema.as_written.header
