"""What is fetched is made once, and what cannot be fetched is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dev import fetched
from dev.fetched import UnavailableError, digest, fetch, made_once
from tests.unit.dev.conftest import Program


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    """It is filled before it has its name, and not again."""
    target = tmp_path / "of" / "jars"

    def make(folder: Path) -> None:
        assert not target.exists()
        (folder / "a.jar").touch()

    assert made_once(target, make) == target
    assert made_once(target, shutil.rmtree) == target
    assert [each.name for each in target.iterdir()] == ["a.jar"]
    assert [*target.parent.iterdir()] == [target]


def test_half_a_folder_is_none(tmp_path: Path) -> None:
    """Where it cannot be made nothing is left, and the next attempt begins anew."""

    def fail(folder: Path) -> None:
        (folder / "half.jar").touch()
        raise UnavailableError("no network")

    with pytest.raises(UnavailableError, match="no network"):
        made_once(tmp_path / "jars", fail)
    assert [*tmp_path.iterdir()] == []


def test_the_first_of_two_processes_wins(tmp_path: Path) -> None:
    """A folder that another has made meanwhile is taken as it is."""
    target = tmp_path / "jars"

    def make(folder: Path) -> None:
        (folder / "late.jar").touch()
        target.mkdir()
        (target / "first.jar").touch()

    made_once(target, make)
    assert [each.name for each in target.iterdir()] == ["first.jar"]


def test_folders_of_other_files_have_other_names(tmp_path: Path) -> None:
    """The digest is that of the contents, in their order."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    assert len({digest(one), digest(other), digest(one, other), digest(other, one)}) == 4
    one.write_text("2")
    assert digest(one) == digest(other)


def test_what_is_printed_is_returned(program: Program, tmp_path: Path) -> None:
    """The program runs in the folder and with the environment that are given."""
    path = program("tool", "pwd; echo $WORD")
    printed = fetch("it", [str(path)], folder=tmp_path, environment={"WORD": "said"})
    assert printed.splitlines() == [str(tmp_path), "said"]


def test_it_is_said_why_something_cannot_be_fetched(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no such program, it fails, or it does not end."""
    program("fails", "echo no such package >&2; exit 1")
    program("hangs", "exec sleep 60")
    monkeypatch.setattr(fetched, "FETCH_SECONDS", 0.1)
    for name, reason in (
        ("no-such-program", "no-such-program must be on PATH; got none"),
        ("fails", "fails says 'no such package'"),
        ("hangs", "hangs must end within 0 s; got no end. Check the network"),
    ):
        with pytest.raises(UnavailableError) as raised:
            fetch("kcat", [name])
        assert str(raised.value) == f"kcat cannot be fetched: {reason}"
