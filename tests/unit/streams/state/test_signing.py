"""The key that signs state is the one that is set, or this user's own."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from millrace.streams.settings import Settings
from millrace.streams.state.signing import state_key


@pytest.fixture(autouse=True)
def no_key_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away a key that this machine may have."""
    monkeypatch.delenv("MILLRACE_STATE_KEY", raising=False)


def test_the_one_that_is_set(tmp_path: Path) -> None:
    """A key that is set counts, and no file is made."""
    settings = Settings(broker="kafka:9092", state_key="é-key")
    assert state_key(settings, tmp_path) == "é-key".encode()
    assert [*tmp_path.iterdir()] == []


def test_embedded_keeps_nothing(tmp_path: Path) -> None:
    """State of an embedded broker goes with the process, and so does its key."""
    settings = Settings()
    first, second = state_key(settings, tmp_path), state_key(settings, tmp_path)
    assert len(first) == 32
    assert first != second
    assert [*tmp_path.iterdir()] == []


def test_a_users_own(tmp_path: Path) -> None:
    """Else a random key is made once, in a file that only its user can read."""
    settings = Settings(broker="kafka:9092")
    folder = tmp_path / "new" / "millrace"
    key = state_key(settings, folder)
    assert len(bytes.fromhex(key.decode())) == 32
    assert state_key(settings, folder) == key
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert state_key(settings, tmp_path / "other") != key
