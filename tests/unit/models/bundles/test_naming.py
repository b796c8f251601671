"""A module's name changes with what it is made of, and a part's identity does not know the name."""

from __future__ import annotations

import pickle

import pytest

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.collecting import collect
from millrace.models.bundles.importing import load
from millrace.models.bundles.naming import import_names, plain_name, renamed
from millrace.models.identity.definition import identities
from millrace.models.pipeline.loading import load_pipeline
from tests.unit.models.bundles.conftest import Make, Write

FILES = {
    "pipeline_v": "import shop.rates\nfrom shop.own import Own\nfrom . import x",
    "shop": "",
    "shop.own": "from .base import Base\nfrom . import text",
    "shop.base": "",
    "shop.text": "SCHEMA = 'v.avsc'",
    "shop.rates": "import plain",
    "plain": "def later():\n    import deep",
    "deep": "",
}
PACKAGES = {"shop"}


def bundle_of(**changes: str) -> Bundle:
    paths = {
        name: name.replace(".", "/") + ("/__init__" if name in PACKAGES else "") + ".py"
        for name in FILES
    }
    texts = FILES | {name.replace("_DOT_", "."): text for name, text in changes.items()}
    schema = {"v.avsc": texts.pop("schema", "{}")}
    return Bundle("pipeline_v:p", paths, {paths[name]: texts[name] for name in paths} | schema)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ("pipeline_v", {"pipeline_v"}),
        ("deep", {"deep", "plain", "shop.rates", "shop", "pipeline_v"}),
        ("shop_DOT_base", {"shop.base", "shop.own", "shop", "pipeline_v"}),
        ("shop_DOT_rates", {"shop.rates", "shop", "pipeline_v"}),
        ("shop", {"shop", "shop.own", "shop.base", "shop.text", "shop.rates", "pipeline_v"}),
        ("schema", {"shop.text", "shop.own", "shop", "pipeline_v"}),
    ],
)
def test_names_change_with_what_is_imported(changed: str, names: set[str]) -> None:
    """The name of a module, of what imports it, and of the package that can be asked for it."""
    before, now = import_names(bundle_of()), import_names(bundle_of(**{changed: "# other"}))
    assert {name for name in before if before[name] != now[name]} == names
    assert {plain_name(each) for each in now.values()} == {*FILES}


def test_what_the_package_itself_may_define() -> None:
    """A name that its `__init__` has is not taken for that of the module."""
    text = "from .other import text"
    before = import_names(bundle_of(shop=text))
    now = import_names(bundle_of(shop=text, shop_DOT_rates="# other"))
    assert before["shop.own"] != now["shop.own"]


PARTS = {
    "shop/__init__.py": "",
    "shop/kinds.py": "from enum import Enum\nclass Kind(Enum):\n    A = 1\n    B = 2\n",
    "shop/rates.py": "RATE = 2\ndef twice(x):\n    return x * RATE\n",
    "helpers.py": """
import pathlib, shop.rates
from pathlib import Path
from shop import rates
from shop.kinds import Kind
from river import linear_model, metrics, drift

class Own(linear_model.LogisticRegression):
    def __init__(self, kind=Kind.A, more=None):
        super().__init__()
        self.kind, self.more = kind, more

    def predict_one(self, x):
        from later import half
        return half(rates.twice(1)) > shop.rates.RATE

def where(fields, folder=Kind.B):
    return float(len(str(Path("a") / "b")) + len(pathlib.Path("c").name)) * rates.twice(1)

def maker(kind):
    def make():
        return Own(kind)
    return make

class Metric(metrics.Accuracy):
    pass

class Detector(drift.PageHinkley):
    pass
""",
    "later.py": "def half(x):\n    return x / 2\n",
    "visits.py": """
from functools import partial
from pathlib import Path
from millrace import DriftSettings, Feature, Pipeline, derived, fields
from helpers import Detector, Kind, Metric, Own, maker, where
from shop.kinds import Kind as K
import shop.rates as r

class Twice(Feature):
    names = ("twice",)
    fields = ("x",)
    def bind(self, stores):
        return lambda event: {"twice": r.twice(event["fields"]["x"])}

pipeline = Pipeline(
    name="visits", schema=Path(__file__).with_name("visits.avsc"), event_id="id", task="binary",
    features=[fields("x"), derived("where", where), derived("half", lambda f: f["x"] / 2)],
    models={
        "own": Own, "kind": partial(Own, K.B), "made": maker(Kind.B),
        "lambda": lambda: Own(Kind.A, more=where), "folder": lambda: Own(more={"k": K.B}),
    },
    metrics={"own": Metric}, drift=DriftSettings(loss=Detector),
)
""",
    "visits.avsc": '{"type": "record", "name": "V", "fields": ['
    '{"name": "id", "type": "string"}, {"name": "x", "type": "double"}]}',
}


def test_identities_are_those_of_the_file(write: Write) -> None:
    """The same for each part, whether the pipeline comes from its file or its bundle."""
    write(PARTS)
    bundle = collect("visits.py")
    plain, found = identities(load_pipeline("visits.py")), identities(load(bundle))
    assert found == plain
    assert len(found) == 13


@pytest.mark.parametrize("name", ["loans", "shuttle", "phishing", "image_segments"])
def test_identities_of_examples(name: str) -> None:
    """They are the same, too."""
    spec = f"millrace.models.pipelines.{name}"
    assert identities(load(collect(spec))) == identities(load_pipeline(spec))


def test_identities_of_unchanged_parts(make: Make) -> None:
    """A change of a helper changes those that refer to it, though all modules have other names."""
    one, other = (
        identities(load(make({**PARTS, "helpers.py": PARTS["helpers.py"] + more})))
        for more in ("", "\ndef unused():\n    pass\nwhere = lambda fields: 1.0\n")
    )
    assert {name for name in one if one[name] != other[name]} == {
        "features['where']",
        "models['lambda']",
    }


def test_what_a_pickle_of_the_file_names(write: Write) -> None:
    """Each class and function by its exact name, to the bundle's."""
    classes = (
        "\nclass Outer:\n    class In:\n        pass\n\nif True:\n    def made():\n        pass\n"
    )
    folder = write({**PARTS, "later.py": PARTS["later.py"] + classes})
    names = renamed(collect("visits.py"))
    assert ("helpers", "Path") not in names
    assert {name for module, name in names if module == "later"} == {
        *("half", "made", "Outer", "Outer.In"),
    }
    assert {plain for plain, _ in names} >= {"pipeline_visits", "helpers", "shop.kinds"}
    assert all(plain_name(new) == plain for (plain, _), (new, _) in names.items())
    plain = load_pipeline(f"{folder}/visits.py").models["own"]
    kind = pickle.loads(pickle.dumps(plain))
    assert (kind.__module__, kind.__qualname__) in names
