"""What `millrace` exports is what users import: each name is there, documented, and no more."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import millrace


def test_exports_are_sorted_and_unique() -> None:
    """`__all__` lists each name once, in order."""
    assert [*millrace.__all__] == sorted(set(millrace.__all__))
    assert dir(millrace) == [*millrace.__all__]


@pytest.mark.parametrize("name", millrace.__all__)
def test_every_name_is_documented(name: str) -> None:
    """A name can be imported, and says what it is."""
    found = getattr(millrace, name)
    doc = found.__doc__ or ""
    assert doc.strip()
    home = found.__name__ if isinstance(found, ModuleType) else found.__module__
    assert home.startswith("millrace.")
    assert not doc.startswith(f"{name}(")  # which is what a dataclass writes by itself


def test_the_type_checker_sees_the_same_names() -> None:
    """What is imported for the type checker is what can be imported at run time."""
    tree = ast.parse(Path(millrace.__file__).read_text())
    (guarded,) = (each for each in tree.body if isinstance(each, ast.If))
    imports = [each for each in guarded.body if isinstance(each, ast.ImportFrom)]
    seen = {alias.name: each.module for each in imports for alias in each.names}
    assert sorted(seen) == [*millrace.__all__]
    assert {name: millrace._HOME[name] for name in seen} == seen


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there is an error that names it."""
    with pytest.raises(AttributeError, match="module 'millrace' has no attribute 'Pipelines'"):
        millrace.Pipelines  # noqa: B018 - asking is the test


def test_importing_millrace_is_cheap_and_starts_nothing() -> None:
    """Until a name is used, neither River nor pandas, Faust or a Kafka client is imported."""
    heavy = "{'river', 'pandas', 'faust', 'confluent_kafka', 'numpy'}"
    code = f"import millrace, sys; found = {heavy} & {{*sys.modules}}; sys.exit(str(found or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
