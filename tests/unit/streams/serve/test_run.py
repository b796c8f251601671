"""Who may ask, as the settings have it, and where it listens."""

from __future__ import annotations

import pytest

from millrace.schemas import SettingsError
from millrace.streams.serve.access import ANYBODY
from millrace.streams.serve.run import access_of, listening_on
from millrace.streams.serve.tokens import Role, create_token
from millrace.streams.settings import Settings


def settings(**changes):
    return Settings(broker="localhost:9092", **changes)


def test_this_machine_needs_no_tokens():
    """By its own names."""
    access = access_of(settings(), is_insecure=False)
    assert access.tokens is None
    assert access.names == {"127.0.0.1", "::1", "localhost"}
    assert ANYBODY.role is Role.ADMIN


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "example.org"])
def test_others_need_tokens(tmp_path, host):
    """Or somebody who says --insecure."""
    with pytest.raises(SettingsError, match=r"serve_tokens must be set .*--insecure"):
        access_of(settings(serve_host=host), is_insecure=False)
    open_to_all = access_of(settings(serve_host=host), is_insecure=True)
    assert (open_to_all.tokens, open_to_all.names) == (None, None)
    create_token(tmp_path / "tokens", "anna", Role.VIEWER)
    with_tokens = settings(serve_host=host, serve_tokens=str(tmp_path / "tokens"), serve_rate=5)
    access = access_of(with_tokens, is_insecure=False)
    assert access.tokens is not None
    assert access.rate == 5


def test_a_port_that_is_taken_is_refused():
    """The message names the setting."""
    with listening_on("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"serve_port must be a free port .*:{port}"):
            listening_on("127.0.0.1", port)
