"""The page beside the demo: its settings, its process, and when a browser is opened."""

from __future__ import annotations

import socket
import sys

import pytest

from millrace.schemas import MillraceError
from millrace.streams.demo import page as module
from millrace.streams.demo.page import open_if_seen, page, served
from millrace.streams.settings import Settings

SERVER = """
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["MILLRACE_SERVE_PORT"])), Ready).serve_forever()
"""


@pytest.fixture
def unused_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_worker_and_server_have_one_key_and_nobody_else_may_ask(monkeypatch):
    """Whatever the environment says of tokens and hosts."""
    monkeypatch.setenv("MILLRACE_SERVE_HOST", "0.0.0.0")
    monkeypatch.setenv("MILLRACE_SERVE_TOKENS", "/nowhere")
    found = served(Settings(broker="embedded://127.0.0.1:1"), 6_067)
    assert (found.serve_host, found.serve_port, found.serve_tokens) == ("127.0.0.1", 6_067, "")
    assert len(found.state_key.get_secret_value()) >= 32
    assert found.broker == "embedded://127.0.0.1:1"


def test_the_server_lasts_as_long_as_the_block(monkeypatch, unused_port):
    """Its address answers within, and not behind it."""
    monkeypatch.setattr(module, "cli_command", lambda *_: (sys.executable, "-c", SERVER))
    settings = served(Settings(broker="b:1"), unused_port)
    with page(settings, "loans") as address:
        assert address == f"http://127.0.0.1:{unused_port}"
        assert module._is_ready(address)
    assert not module._is_ready(address)


def test_a_server_that_ends_says_why(monkeypatch, unused_port):
    """With the end of its log."""
    command = (sys.executable, "-c", "print('no such thing'); raise SystemExit(3)")
    monkeypatch.setattr(module, "cli_command", lambda *_: command)
    settings = served(Settings(broker="b:1"), unused_port)
    with pytest.raises(MillraceError, match="exit code 3: no such thing"), page(settings, "loans"):
        pass


def test_a_server_that_does_not_answer_in_time_is_said(monkeypatch, unused_port):
    """And is ended."""
    monkeypatch.setattr(module, "READY_SECONDS", 0.2)
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    monkeypatch.setattr(module, "cli_command", lambda *_: command)
    settings = served(Settings(broker="b:1"), unused_port)
    with pytest.raises(MillraceError, match="does not answer"), page(settings, "loans"):
        pass


@pytest.mark.parametrize(
    ("platform", "display", "is_opened"),
    [("linux", ":0", True), ("linux", "", False), ("darwin", "", True)],
)
def test_a_browser_is_opened_where_there_is_a_display(monkeypatch, platform, display, is_opened):
    """Elsewhere it would be one that shows text, in the demo's own terminal."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    opened = []
    assert open_if_seen("http://127.0.0.1:1", lambda each: opened.append(each) or True) is is_opened
    assert bool(opened) is is_opened
