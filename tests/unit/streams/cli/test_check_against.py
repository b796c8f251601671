"""`millrace check --against` says what a deploy would change, and whether it can be done."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.streams.cli import run

FILE = """
import sys
from own_parts import make, ratio
from millrace import Pipeline, derived, fields

print("printed by the file")
pipeline = Pipeline(
    name="shop",
    schema={"type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "string"},
        {"name": "price", "type": "double"},
        {"name": "is_fraud", "type": ["null", "boolean"], "default": None},
    ]},
    event_id="id", label="is_fraud", task="binary",
    models={"regression": make},
    features=[fields("price"), derived("ratio", ratio)],
)
"""
PARTS = """
from river.linear_model import LogisticRegression

def make():
    return LogisticRegression(l2=0.1)

def ratio(order):
    return order["price"] / 2
"""

Write = Callable[..., str]
Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a pipeline and the module beside it, under the same names in a folder each."""

    def write(folder: str, *changes: tuple[str, str]) -> str:
        (tmp_path / folder).mkdir()
        for name, text in (("shop", FILE), ("own_parts", PARTS)):
            for old, new in changes:
                text = text.replace(old, new)  # noqa: PLW2901 - each change in turn
            (tmp_path / folder / f"{name}.py").write_text(text)
        return str(tmp_path / folder / "shop.py")

    return write


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run `millrace check` as the first command of a process: it returns exit code and output."""

    def check(*arguments: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [*sys.path])  # loading a pipeline appends its folder
            code = run(["check", *arguments])
        sys.modules.pop("own_parts", None)
        found = capsys.readouterr()
        return code, found.out, found.err

    return check


def test_two_versions_of_a_file_and_of_what_lies_beside_it(write: Write, check: Check) -> None:
    """Each is loaded with its own modules; what can be deployed is printed, and the code is 0."""
    code, out, _ = check(write("new", ("0.1", "0.2")), "--against", write("old"))
    assert code == 0
    assert out.splitlines() == [
        "shop: what changes",
        "  models['regression'], the champion, challenges the old 'regression', which goes on until"
        " the new one takes its place",
        "  the other 8 parts go on",
    ]


def test_what_cannot_be_deployed_has_exit_code_2(write: Write, check: Check) -> None:
    """Each reason names the parameter and the way out."""
    new = write("new", ("/ 2", "/ 3"), ('name="shop"', 'name="store"'))
    code, out, _ = check(new, "--against", write("old"))
    assert code == 2
    refused = [line for line in out.splitlines() if line.startswith("  refused: ")]
    assert [line.split()[1] for line in refused] == ["name", "features['ratio']"]


def test_a_description_stands_for_what_was_deployed(
    write: Write, check: Check, tmp_path: Path
) -> None:
    """It is JSON whatever the file prints, and is compared without the file."""
    code, out, err = check(write("old"), "--describe")
    assert (code, err) == (0, "printed by the file\n")
    kept = tmp_path / "deployed.json"
    kept.write_text(out)
    assert check(write("same"), "--against", str(kept))[:2] == (0, "shop: nothing changes\n")
    code, out, _ = check(write("new", ("0.1", "0.2")), "--against", str(kept), "--json")
    assert code == 0
    assert json.loads(out)["candidates"] == {"regression": "challenges"}


def test_the_champion_may_be_another(write: Write, check: Check, tmp_path: Path) -> None:
    """Where another was promoted, the first may be taken away."""
    both = ('"regression": make', '"first": make, "second": make')
    old, new = tmp_path / "old.json", write("new", ('"regression"', '"second"'))
    old.write_text(check(write("old", both), "--describe")[1])
    code, out, _ = check(new, "--against", str(old))
    assert code == 2
    assert "refused: models must keep 'first'" in out
    assert check(new, "--against", str(old), "--champion", "second")[0] == 0
    code, _, err = check(new, "--against", str(old), "--champion", "secnd")
    assert code == 2
    assert "Did you mean 'second'?" in err


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("other.json", None, "a description must be readable"),
        ("other.json", "{", "a description must be readable"),
        ("other.json", "[]", "must be a description, as `millrace check FILE --describe`"),
        ("other.json", "{}", "it lacks ['classes', 'drift'"),
        ("other.py", None, "pipeline must be a file that exists"),
        ("other.py", "1 / 0", "other.py:1: ZeroDivisionError"),
        ("other.py", "import os; os._exit(0)", "must be a file that lets Python go on"),
    ],
)
def test_what_is_no_description_is_said_in_one_line(
    write: Write,
    check: Check,
    tmp_path: Path,
    name: str,
    text: str | None,
    says: str,
) -> None:
    """The file is named, and what is wrong with it."""
    other = tmp_path / name
    if text is not None:
        other.write_text(text)
    code, _, error = check(write("new"), "--against", str(other))
    assert code == 2
    assert says in error.splitlines()[-1]
    assert name in error


@pytest.mark.parametrize("option", [["--json"], ["--champion", "a"]])
def test_options_of_a_comparison_need_one(write: Write, check: Check, option: list[str]) -> None:
    """Each of them is reported."""
    code, _, error = check(write("new"), *option)
    assert code == 2
    assert "--champion and --json need --against" in error
