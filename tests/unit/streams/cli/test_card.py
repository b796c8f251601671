"""`millrace card`: the card of a pipeline by its name or its file, in two forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.models.pipelines.loans import pipeline
from millrace.streams.kafka.fakes import FakeBroker
from tests.unit.streams.serve.conftest import KEY, World

LOANS = "millrace.models.pipelines.loans"


@pytest.fixture
def broker() -> FakeBroker:
    """Give the broker of a pipeline that was deployed."""
    return World(pipeline).broker


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let this user have no key yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_by_name(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The definition comes from the topics; none of the pipeline's code is loaded."""
    monkeypatch.setenv("MILLRACE_STATE_KEY", KEY.decode())
    monkeypatch.setattr("millrace.streams.settings.load_pipeline", lambda _: pytest.fail("loaded"))
    code, out, _ = call("card", "-p", "loans")
    assert code == 0
    assert out.startswith("# loans\n\nPredicts which of two classes each event is of (granted).")
    assert "| application_id | string | event id |" in out


def test_by_name_without_a_key(call: Any) -> None:
    """Definitions are signed: the error names the setting."""
    code, _, err = call("card", "-p", "loans")
    assert code == 2
    assert "MILLRACE_STATE_KEY" in err


def test_by_file(call: Any) -> None:
    """Without a key, what the file says counts."""
    code, out, _ = call("card", "-p", LOANS)
    assert code == 0
    assert "the definition from a file" in out


@pytest.mark.parametrize(
    ("name", "arguments", "begin"),
    [
        ("card.html", [], "<!doctype html>"),
        ("card.md", [], "# loans"),
        ("card", ["--format", "html"], "<!doctype html>"),
        ("card.html", ["--format", "markdown"], "# loans"),
    ],
)
def test_to_a_file(name: str, arguments: list[str], begin: str, call: Any, tmp_path: Path) -> None:
    """The form follows from the name of the file, if it is not given."""
    code, out, _ = call("card", "-p", LOANS, "--output", str(tmp_path / name), *arguments)
    assert (code, out) == (0, "")
    assert (tmp_path / name).read_text().startswith(begin)


def test_errors(call: Any, tmp_path: Path) -> None:
    """A pipeline that is not there, and a file that cannot be written, are named."""
    code, _, err = call("card", "-p", LOANS, "--output", str(tmp_path / "no" / "card.md"))
    assert code != 0
    assert "--output must be a file that can be written" in err
    code, _, err = call("card", "-p", "millrace.models.pipelines.phishing")
    assert code != 0
    assert "there is no topic phishing.audit" in err
    code, _, err = call("card")
    assert code == 2
    assert "pipeline" in err
