"""A pipeline is found by its name, and a mistake in its file is reported in one line."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from millrace.models.pipeline.loading import load_pipeline, module_name
from millrace.schemas import DefinitionError
from millrace.schemas.records import Event

GOOD = """
from millrace import Pipeline
from river import tree

SCHEMA = {"type": "record", "name": "Visit", "fields": [
    {"name": "id", "type": "string"}, {"name": "x", "type": "double"}]}


class Tree(tree.HoeffdingTreeClassifier):
    pass


pipeline = Pipeline(
    name="visits", schema=SCHEMA, event_id="id", task="binary", models={"t": lambda: Tree()}
)
other = pipeline.with_name("others")
number = 1
"""

FILE_B = "shop_b/visits.py"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Return a writer of modules into a fresh working directory, and forget them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(source: str, name: str = "visits.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(source)
        return path

    yield write
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_threads_may_load_the_same_file(write: Write) -> None:
    """One after the other: neither takes the other for a file that loads itself."""
    path = write(f"import time\ntime.sleep(0.05)\n{GOOD}")
    with ThreadPoolExecutor(4) as pool:
        loaded = [*pool.map(load_pipeline, [f"{path}:pipeline"] * 4)]
    assert [each.name for each in loaded] == ["visits"] * 4


def test_file_and_attribute(write: Write) -> None:
    """`path/file.py:attribute` loads that attribute."""
    assert load_pipeline(f"{write(GOOD)}:other").name == "others"


def test_attribute_defaults_to_pipeline(write: Write) -> None:
    """Without an attribute, `pipeline` is meant, in a relative path too."""
    write(GOOD)
    assert load_pipeline("visits.py").name == "visits"
    assert load_pipeline("./visits.py:").name == "visits"


def test_module_in_the_working_directory(write: Write) -> None:
    """`package.module:attribute` is found from the working directory."""
    write("", "shop_a/__init__.py")
    write(GOOD, "shop_a/visits.py")
    assert load_pipeline("shop_a.visits:other").name == "others"


def test_modules_beside_a_file_can_be_imported(write: Write) -> None:
    """By file, its folder is searched, and the working directory is not."""
    write("NAME = 'neighbour'", "shop_b/beside_it.py")
    path = write(GOOD + "from beside_it import NAME\npipeline = pipeline.with_name(NAME)\n", FILE_B)
    assert load_pipeline(str(path)).name == "neighbour"
    assert sys.path[-1] == str(path.parent)
    assert str(path.parent.parent) not in sys.path


def test_the_folder_is_searched_last(write: Write) -> None:
    """Modules beside a pipeline shadow neither the standard library nor a dependency."""
    for name in ("colorsys.py", "click.py"):
        write("raise AssertionError('shadows')", name)
    before = [*sys.path]
    path = write("import click\nimport colorsys\n" + GOOD)
    assert load_pipeline(str(path)).name == "visits"
    assert sys.path == [*before, f"{path.parent}/"]


@pytest.mark.parametrize("entry", ["", ".", "{here}", "{here}/"])
@pytest.mark.parametrize("spec", ["visits.py", "visits"])
def test_the_working_directory_never_leads(
    entry: str, spec: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `python -m`, `faust` or PYTHONPATH put it first, it is searched last from then on."""
    path = write("import colorsys\n" + GOOD)
    write("raise AssertionError('shadows')", "colorsys.py")
    before = [each for each in sys.path if Path(each).resolve() != path.parent]
    monkeypatch.setattr(sys, "path", [entry.format(here=path.parent), *before])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    for _ in range(2):
        assert load_pipeline(spec).name == "visits"
        assert sys.path == [*before, f"{path.parent}/"]


def test_a_folder_is_searched_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python searches a folder already that is not the working directory, its place holds."""
    path = write(GOOD, "shop_c/visits.py")
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    before = [*sys.path]
    load_pipeline(str(path))
    assert sys.path == before


@pytest.mark.parametrize("spec", ["visits.py", "visits"])
def test_modules_can_be_imported_later(spec: str, write: Write) -> None:
    """A function may import a module beside the pipeline after it has loaded."""
    write("TWICE = 2", f"later_than_{spec.replace('.', '_')}.py")
    write(
        GOOD + f"def own(fields):\n    from later_than_{spec.replace('.', '_')} import TWICE\n"
        "    return fields['x'] * TWICE\n\n"
        "from millrace import derived\n"
        "pipeline = Pipeline(name='later', schema=SCHEMA, event_id='id', task='binary',\n"
        "    models={'t': Tree}, features=[derived('own', own)])\n"
    )
    (feature,) = load_pipeline(spec).features
    event = Event(event_id="1", key=None, event_time_ms=0, label=None, fields={"x": 2.0})
    assert feature.bind(lambda _: {})(event) == {"own": 4.0}


def test_classes_of_a_file_can_be_unpickled(write: Write) -> None:
    """The class of a file pickles under a name that depends on the file's name only."""
    path = write(GOOD, "my-visits.v2.py")
    model = load_pipeline(str(path)).models["t"]()
    assert type(model).__module__ == module_name(Path("elsewhere/my-visits.v2.py"))
    assert type(model).__module__ == "pipeline_my_visits_v2"  # as saved state names it
    assert type(pickle.loads(pickle.dumps(model))) is type(model)


def test_a_changed_file_is_loaded_again(write: Write) -> None:
    """Loading a file again reads what it says now."""
    assert load_pipeline(str(write(GOOD))).name == "visits"
    changed = write(GOOD.replace('name="visits"', 'name="changed"'))
    assert load_pipeline(str(changed)).name == "changed"


def message(spec: str) -> str:
    with pytest.raises(DefinitionError) as caught:
        load_pipeline(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_file(write: Write) -> None:
    """A file that is not there is named."""
    assert message("nowhere/p.py:x") == "pipeline must be a file that exists; got 'nowhere/p.py'"
    assert message("nowhere/p") == "pipeline must be a file that exists; got 'nowhere/p'"
    assert message("p.py") == "pipeline must be a file that exists; got 'p.py'"


@pytest.mark.parametrize(
    ("spec", "missing"),
    [
        ("no_such_module:p", "no_such_module"),
        ("millrace.models.no_such:p", "millrace.models.no_such"),
        ("no_such.deeper", "no_such"),
    ],
)
def test_missing_module(spec: str, missing: str, write: Write) -> None:
    """A module that is not there is named, and the part of it that is missing."""
    module = spec.partition(":")[0]
    assert message(spec) == (
        f"pipeline must be a module that exists; got {module!r}: there is no {missing!r}"
    )


@pytest.mark.parametrize("spec", ["", ".", "..visits", ":pipeline"])
def test_what_is_no_name_of_a_module(spec: str, write: Write) -> None:
    """The message says what a pipeline is named by."""
    got = spec.partition(":")[0]
    assert message(spec) == f"pipeline must be path/file.py or package.module; got {got!r}"


def test_missing_attribute_lists_what_is_there(write: Write) -> None:
    """A wrong attribute shows the pipelines that exist."""
    spec = f"{write(GOOD)}:pipelin"
    assert message(spec) == (
        f"pipeline must name a Pipeline; got {spec!r}: 'pipelin' is not there,"
        " and the pipelines of the module are ['pipeline', 'other']."
        f" Name one of them: {spec.removesuffix(':pipelin')}:pipeline"
    )


def test_attribute_of_another_type(write: Write) -> None:
    """An attribute that is no pipeline is named with its type."""
    assert "'number' is of type int, and the pip" in message(f"{write(GOOD)}:number")
    assert message(f"{write('x = 1')}:x").endswith("the pipelines of the module are []")


def test_exception_says_type_message_and_place(write: Write) -> None:
    """An exception while importing is shown with the line of the user's file."""
    path = write("import math\n\ndef half():\n    return 1 / 0\n\nhalf()\n")
    assert message(str(path)) == f"{path}:4: ZeroDivisionError: division by zero"


def test_exception_in_a_module_says_the_place(write: Write) -> None:
    """The same is so for a module given by its dotted name."""
    path = write("raise ValueError('no')\n", "broken_module_a.py")
    assert message("broken_module_a") == f"{path}:1: ValueError: no"


def test_syntax_error_says_the_place(write: Write) -> None:
    """A syntax error is shown with its line."""
    path = write("x = 1\nx = = 2\n")
    assert message(str(path)).startswith(f"{path}:2: SyntaxError: invalid syntax")


def test_a_file_that_python_cannot_read_is_named(write: Write) -> None:
    """Where no line can be given, the file is."""
    path = write("x = 1\0")
    assert message(str(path)).startswith(f"{path}: ")
    assert message(str(path)).endswith("null bytes")


def test_wrong_definition_says_the_place(write: Write) -> None:
    """What a Pipeline refuses is reported in its own words, at the user's line."""
    path = write(GOOD.replace('"binary"', '"bynary"'))
    line = GOOD.splitlines().index(next(each for each in GOOD.splitlines() if "Pipeline(" in each))
    assert message(str(path)).startswith(f"{path}:{line + 1}: task must be one of 'binary'")


def test_an_error_in_a_neighbour_is_placed_in_the_pipelines_file(write: Write) -> None:
    """The line of the file that led to it comes first; the exception says the rest."""
    write("def fail():\n    raise ValueError('no')\n", "failing_neighbour.py")
    path = write("import failing_neighbour\n\nfailing_neighbour.fail()\n")
    assert message(str(path)) == f"{path}:3: ValueError: no"


def test_import_inside_the_file_that_fails(write: Write) -> None:
    """A module that the user's file wants and that is not installed is no missing pipeline."""
    path = write("import no_such_package\n")
    assert message(str(path)) == (
        f"{path}:1: ModuleNotFoundError: No module named 'no_such_package'"
    )


def test_a_failed_load_leaves_nothing_behind(write: Write) -> None:
    """After a failure the name is free again, or holds the module that was there."""
    path = write("1 / 0", "fresh_file.py")
    message(str(path))
    assert module_name(path) not in sys.modules
    load_pipeline(str(write(GOOD, "fresh_file.py")))
    good = sys.modules[module_name(path)]
    message(str(write("1 / 0", "fresh_file.py")))
    assert sys.modules[module_name(path)] is good


def test_an_exit_leaves_nothing_behind(write: Write) -> None:
    """A file that ends the process is not kept as a module either."""
    path = write("raise SystemExit(3)", "exiting.py")
    assert message(str(path)) == (
        f"{path}:1: SystemExit: 3. A pipeline's module must not end the process"
    )
    assert module_name(path) not in sys.modules


def test_not_a_python_file(write: Write) -> None:
    """A file that is not Python is refused by its name."""
    path = write("{}", "folder/p.txt")
    assert message(str(path)) == f"pipeline must be a Python file, .py; got {str(path)!r}"


def test_a_path_that_is_no_text():
    """What is given instead of the text is shown, with the form that is needed."""
    with pytest.raises(
        DefinitionError, match=r"spec must be the text 'path/file.py' .*; got .*Path"
    ):
        load_pipeline(Path("loans.py"))
