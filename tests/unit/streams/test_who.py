"""Whoever runs a process has something to be called by."""

from __future__ import annotations

import getpass
import os

import pytest

from millrace.streams.who import user_name


def test_a_user_has_a_name() -> None:
    """That of the system."""
    assert user_name() == getpass.getuser()


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_name_is_a_number(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs as any number."""

    def unknown() -> str:
        raise error("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert user_name() == f"uid {os.getuid()}"
