"""The web server answers, whoever is connected beside."""

from __future__ import annotations

import socket
import time
import urllib.request
from contextlib import suppress
from urllib.error import HTTPError

import pytest

from millrace.schemas import SettingsError
from millrace.streams.api import server as module
from millrace.streams.api.pages import Pages, ProcessState
from millrace.streams.api.report import Report
from millrace.streams.api.server import PageServer


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "_CONNECTION_SECONDS", 0.3)
    server = PageServer("127.0.0.1", 0, Pages(lambda: [ProcessState(1, Report("loans"), 0.0)]))
    yield server
    server.close()


def get(server, path, method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as page:
        return page.status, page.headers["Content-Type"], page.read()


def connect(server, sent=b""):
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    client.sendall(sent)
    return client


def test_pages_are_served(server):
    """A query changes nothing, and HEAD has no body."""
    assert get(server, "/livez?x=1") == (200, "application/json", b'{"live": true}')
    assert get(server, "/livez", "HEAD")[2] == b""
    with pytest.raises(HTTPError) as found:
        get(server, "/other")
    with found.value as error:
        assert error.code == 404


@pytest.mark.parametrize(
    "sent", [b"", b"GET /metr", b"GET / HTTP/1.1\r\nX: ", b"\x00" * 100], ids=range(4)
)
def test_half_a_request_is_ended_after_a_while(server, sent):
    """However little of it came, and although nobody closed the connection."""
    with connect(server, sent) as client:
        started = time.monotonic()
        while client.recv(1024):
            pass
        assert time.monotonic() - started < 5


def test_a_request_that_drips_is_ended(server):
    """Each byte comes in time, but the request never does."""
    with connect(server, b"GET / HTTP/1.1\r\n") as client:
        deadline = time.monotonic() + 10
        with suppress(OSError):
            while time.monotonic() < deadline:
                client.sendall(b"a")
                time.sleep(0.05)
        assert time.monotonic() < deadline


def test_many_connections_do_not_keep_others_out_for_long(server):
    """Those beyond the limit are closed; once the idle ones are ended, it answers again."""
    idle = [connect(server) for _ in range(2 * module._MOST_CONNECTIONS)]
    deadline = time.monotonic() + 10
    while True:
        try:
            assert get(server, "/livez")[0] == 200
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    for each in idle:
        each.close()


def test_a_port_that_is_taken_is_one_line(server):
    """It names the setting."""
    expected = rf"^web_port must be a free port .* 127\.0\.0\.1:{server.port}: .*MILLRACE_WEB_PORT"
    with pytest.raises(SettingsError, match=expected):
        PageServer("127.0.0.1", server.port, Pages(list))


def test_a_host_that_is_not_ours_is_an_error():
    """No matter whether its name can be looked up."""
    with pytest.raises(SettingsError, match=r"cannot listen on no-such-host\.invalid:0"):
        PageServer("no-such-host.invalid", 0, Pages(list))


def test_nothing_listens_after_it_is_closed():
    """The port is free again."""
    server = PageServer("127.0.0.1", 0, Pages(list))
    server.close()
    with pytest.raises(OSError, match="refused"):
        connect(server)
