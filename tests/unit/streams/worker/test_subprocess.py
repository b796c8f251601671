"""The environment that a worker of one's own starts with."""

from __future__ import annotations

import pytest

from millrace.streams.settings import Settings
from millrace.streams.worker.subprocess import worker_environment


@pytest.mark.parametrize("given", [None, "", "own:."])
def test_the_import_path_is_inherited(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker imports what its parent does: nothing is added to PYTHONPATH."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if given is not None:
        monkeypatch.setenv("PYTHONPATH", given)
    assert worker_environment(Settings()).get("PYTHONPATH") == given


def test_settings_replace_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's settings are those given, whatever this process was started with."""
    monkeypatch.setenv("MILLRACE_BROKER", "elsewhere:9092")
    monkeypatch.setenv("MILLRACE_UNKNOWN", "x")
    monkeypatch.setenv("OTHER", "kept")
    environment = worker_environment(Settings(broker="here:9092", state_key="secret"))
    assert environment["MILLRACE_BROKER"] == "here:9092"
    assert environment["MILLRACE_STATE_KEY"] == "secret"
    assert "MILLRACE_UNKNOWN" not in environment
    assert (environment["OTHER"], environment["PYTHONUNBUFFERED"]) == ("kept", "1")
