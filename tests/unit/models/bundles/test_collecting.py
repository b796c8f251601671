"""A bundle holds the author's own files that a pipeline needs, and nothing else."""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path

import pytest

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.collecting import collect
from millrace.models.bundles.importing import load
from millrace.schemas import DefinitionError
from tests.unit.models.bundles.conftest import PIPELINE, SCHEMA, Make, Write

VISITS = (
    "from river.naive_bayes import GaussianNB as Own\nfrom millrace import Pipeline\n" + PIPELINE
)
BY_PATH = VISITS.replace(f"SCHEMA = {SCHEMA}", "SCHEMA = {}")


def test_what_is_imported_and_nothing_else(make: Make) -> None:
    """Directly or not; installed, Python's own and unused modules stay behind."""
    bundle = make(
        {
            "visits.py": "import os, click, one\nfrom pack.deep import two\n" + VISITS,
            "one.py": "def later():\n    import three\n",
            "three.py": "",
            "pack/__init__.py": "",
            "pack/deep/two.py": "",
            "pack/unused.py": "",
            "unused.py": "",
            "unused.avsc": "",
            "click.py": "raise AssertionError('shadows')",
            "colorsys.py": "",
        }
    )
    assert bundle.modules == {
        "pipeline_visits": "visits.py",
        "one": "one.py",
        "pack": "pack/__init__.py",
        "pack.deep": "pack/deep/__init__.py",
        "pack.deep.two": "pack/deep/two.py",
        "three": "three.py",
    }
    assert {*bundle.files} == {*bundle.modules.values()}
    assert bundle.reference == "pipeline_visits:pipeline"
    assert bundle.made_with.keys() == {"millrace", "river", "python"}


def test_the_same_on_every_machine(write: Write) -> None:
    """Wherever the folder is, by module or another attribute's name, with its description."""
    files = {"visits.py": "import one\n" + VISITS, "one.py": "# é\r\n", "two.py": ""}
    one = write(files)
    bundles = [collect("visits.py", {"n": 1})]
    other = write(files)
    bundles += [collect("./visits.py:pipeline"), collect(f"{other}/visits.py")]
    assert len({each.digest for each in bundles}) == 1
    assert not any(str(folder) in bundles[0].to_bytes().decode() for folder in (one, other))
    assert [each.description for each in bundles] == [{"n": 1}, {}, {}]
    assert bundles[0].files["one.py"] == "# é\r\n"


def test_by_module(write: Write) -> None:
    """A module is imported from the folder that its package is in."""
    write({"shop/__init__.py": "", "shop/visits.py": "import beside\n" + VISITS, "beside.py": ""})
    bundle = collect("shop.visits:pipeline")
    assert bundle.reference == "shop.visits:pipeline"
    assert [*bundle.modules] == ["shop", "shop.visits", "beside"]


def test_a_package_is_a_pipeline(make: Make) -> None:
    """Its `__init__` may be the pipeline's module."""
    bundle = make({"shop/__init__.py": "from . import one\n" + VISITS, "shop/one.py": ""}, "shop")
    assert bundle.modules == {"shop": "shop/__init__.py", "shop.one": "shop/one.py"}
    assert load(bundle).name == "visits"


def test_for_type_checkers_only(write: Write) -> None:
    """Imports that are never run need no module."""
    checked = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from one import One\n"
    write({"visits.py": checked + VISITS, "one.py": ""})
    assert [*collect("visits.py").modules] == ["pipeline_visits"]


def test_a_folder_that_is_searched(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules below the pipeline's folder are the author's, however they are found."""
    folder = write({"visits.py": "import one\n" + VISITS, "lib/one.py": ""})
    monkeypatch.setattr(sys, "path", [*sys.path, f"{folder}/lib"])
    assert collect("visits.py").modules["one"] == "lib/one.py"


@pytest.mark.parametrize("entry", ["", ".", "{folder}", "{folder}/"])
def test_the_working_directory(entry: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is searched, modules in it are the author's, though the pipeline lies below."""
    files = {"a/b/visits.py": "import one\nfrom more import two\n" + VISITS, "one.py": ""}
    folder = write({**files, "more/two.py": "from one import *"})
    monkeypatch.setattr(sys, "path", [entry.format(folder=folder), *sys.path])
    bundle = collect("a/b/visits.py")
    assert bundle.modules == {
        "pipeline_visits": "visits.py",
        "one": "../../one.py",
        "more": "../../more/__init__.py",
        "more.two": "../../more/two.py",
    }
    monkeypatch.chdir("a")
    assert load(Bundle.from_bytes(bundle.to_bytes())).name == "visits"


def test_what_is_installed_below(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment in the folder stays behind."""
    folder = write(
        {
            "visits.py": "import inst\n" + VISITS,
            ".venv/lib/site-packages/inst.py": "",
        }
    )
    monkeypatch.setattr(sys, "path", [*sys.path, f"{folder}/.venv/lib/site-packages"])
    assert [*collect("visits.py").modules] == ["pipeline_visits"]


EXTENSION = importlib.machinery.EXTENSION_SUFFIXES[0]
LATER = "\ndef later():\n    "
REFUSED = {
    "no file": ({}, "nothing.py", "pipeline must be a file that exists; got 'nothing.py'"),
    "no module": ({}, "nothing", "pipeline must be a module that exists; got 'nothing'"),
    "__main__": ({}, "__main__:pipeline", "pipeline must be in a file of its own"),
    "missing": (
        {"visits.py": VISITS + LATER + "import shop.gone", "shop/__init__.py": ""},
        "visits.py",
        r"visits.py:\d+: each module that is imported must be there; got 'shop.gone'",
    ),
    "missing, relative": (
        {"shop/visits.py": VISITS + LATER + "from .gone import x", "shop/__init__.py": ""},
        "shop.visits",
        r"visits.py:\d+: each module that is imported must be there; got 'shop.gone'",
    ),
    "import_module": (
        {"visits.py": VISITS + LATER + "importlib.import_module('one')", "one.py": ""},
        "visits.py",
        r"visits.py:\d+: a module beside the pipeline must be imported by a statement; got"
        r" import_module\('one'\).*Write: import one",
    ),
    "compiled": (
        {"visits.py": VISITS + LATER + "import fast", f"fast{EXTENSION}": ""},
        "visits.py",
        f"a module beside the pipeline must be of Python source.*got fast{EXTENSION}. Install it",
    ),
    "compiled, in a package": (
        {"visits.py": VISITS + LATER + "from shop import fast", f"shop/fast{EXTENSION}": ""},
        "visits.py",
        f"got fast{EXTENSION}. Install it",
    ),
    "without source": (
        {"visits.py": VISITS + LATER + "import old", "old.pyc": ""},
        "visits.py",
        "must be of Python source.*got old.pyc",
    ),
    "no Python": (
        {"visits.py": VISITS + LATER + "import bad", "bad.py": "x = 1\ny = ("},
        "visits.py",
        r"bad.py:2: SyntaxError: '\(' was never closed",
    ),
    "one too large": (
        {"visits.py": VISITS + LATER + "import big", "big.py": "#" * 1_000_001},
        "visits.py",
        "a file of a definition must have 1,000,000 bytes or less; got big.py of 1,000,001",
    ),
    "together too large": (
        {"visits.py": VISITS + LATER + "import a, b", "a.py": "#" * 600_000, "b.py": "#" * 500_000},
        "visits.py",
        "together; got 1,100,[0-9]{3}, the largest are a.py 600,000, b.py 500,000, visits.py",
    ),
    "binary schema": (
        {"visits.py": VISITS + "'bad.avsc'", "bad.avsc": "\udcff"},
        "visits.py",
        "bad.avsc: a file of a definition must be text",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_travel(case: str, write: Write) -> None:
    """It is refused in one line that names it."""
    files, spec, message = REFUSED[case]
    write(files)
    with pytest.raises(DefinitionError, match=message) as raised:
        collect(spec)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("read", ["Path(__file__).with_name('x.csv').read_text()", "open(X)"])
def test_other_files(read: str, make: Make) -> None:
    """A module that reads them when it is imported is told that they stay behind."""
    source = (
        f"import os\nfrom pathlib import Path\nX = os.path.dirname(__file__) + '/x.csv'\n{read}\n"
    )
    with pytest.raises(
        DefinitionError, match=r"visits.py:4: FileNotFoundError: .* not travel: .*x.csv"
    ):
        make({"visits.py": source + VISITS, "x.csv": "1"})


def test_a_schema_elsewhere(write: Write, tmp_path: Path) -> None:
    """A path that is no other machine's is refused."""
    elsewhere = tmp_path / "elsewhere.avsc"
    elsewhere.write_text(SCHEMA)
    write({"visits.py": BY_PATH.replace("SCHEMA = {}", f"SCHEMA = {str(elsewhere)!r}")})
    with pytest.raises(
        DefinitionError,
        match=r"visits.py:\d+: schemas and modules must lie beside .* got '/.*/elsewhere.avsc'",
    ):
        collect("visits.py")


def test_an_absolute_path(make: Make) -> None:
    """What names a schema by the path that it has on this machine is refused."""
    source = "from pathlib import Path\n" + BY_PATH
    source = source.replace("SCHEMA = {}", "SCHEMA = Path.cwd() / 'visits.avsc'")
    with pytest.raises(DefinitionError, match=r"by Path\(__file__\).parent / 'name.avsc'"):
        make({"visits.py": source, "visits.avsc": SCHEMA})


def test_data_that_a_library_reads(write: Write) -> None:
    """That it is missing is no riddle, though it lies beside the pipeline."""
    reads = (
        "import os\nsize = os.stat(os.path.join(os.path.dirname(__file__), 'rates.csv')).st_size\n"
    )
    write({"visits.py": reads + BY_PATH, "rates.csv": "0.1"})
    with pytest.raises(
        DefinitionError, match=r"No such file .*rates.csv'. Beside modules, only schemas .* travel"
    ):
        collect("visits.py")
