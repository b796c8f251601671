"""A pipeline is found by its name, and a mistake in its file is said in one line."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millrace.models.pipeline.loading import load_pipeline, module_name
from millrace.schemas import DefinitionError

GOOD = """
from millrace.models.pipeline.definition import Pipeline
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

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Return a writer of modules into a fresh working directory, and forget them afterwards."""
    monkeypatch.chdir(tmp_path)
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


def test_neighbours_can_be_imported(write: Write) -> None:
    """A file can import the modules beside it while it loads, and the path is as before then."""
    before = [*sys.path]
    write("NAME = 'neighbour'", "beside_it.py")
    path = write(GOOD + "from beside_it import NAME\npipeline = pipeline.with_name(NAME)\n")
    assert load_pipeline(str(path)).name == "neighbour"
    assert sys.path == before


def test_classes_of_a_file_can_be_unpickled(write: Write) -> None:
    """The class of a file pickles under a name that depends on the file's name only."""
    path = write(GOOD, "my-visits.v2.py")
    model = load_pipeline(str(path)).models["t"]()
    assert type(model).__module__ == module_name(Path("elsewhere/my-visits.v2.py"))
    assert type(pickle.loads(pickle.dumps(model))) is type(model)


def test_a_changed_file_is_loaded_anew(write: Write) -> None:
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
    assert message("nowhere/p.py:x") == (
        "a pipeline requires a file that exists; got 'nowhere/p.py'"
    )


@pytest.mark.parametrize(
    "spec", ["no_such_module:p", "millrace.models.no_such:p", "no_such.deeper"]
)
def test_missing_module(spec: str, write: Write) -> None:
    """A module that is not there is named, and the part of it that is missing."""
    assert "a pipeline requires a module that exists; got" in message(spec)
    assert "no_such" in message(spec)


def test_missing_attribute_lists_what_is_there(write: Write) -> None:
    """A wrong attribute shows the pipelines that exist."""
    text = message(f"{write(GOOD)}:pipelin")
    assert "requires a Pipeline called 'pipelin'; got no such name" in text
    assert text.endswith("it has 'pipeline', 'other'")


def test_attribute_of_another_type(write: Write) -> None:
    """An attribute that is no pipeline is named with its type."""
    assert "got a int; it has 'pipeline', 'other'" in message(f"{write(GOOD)}:number")
    assert message(f"{write('x = 1')}:x").endswith("got a int; it has none")


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


def test_wrong_definition_says_the_place(write: Write) -> None:
    """What a Pipeline refuses is said in its own words, at the user's line."""
    path = write(GOOD.replace('"binary"', '"bynary"'))
    line = GOOD.splitlines().index(next(each for each in GOOD.splitlines() if "Pipeline(" in each))
    assert message(str(path)).startswith(f"{path}:{line + 1}: task requires one of 'binary'")


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


def test_not_a_python_file(write: Write) -> None:
    """A file that is not Python is refused by its name."""
    path = write("{}", "folder/p.txt")
    assert "requires a file of Python, .py" in message(str(path))
