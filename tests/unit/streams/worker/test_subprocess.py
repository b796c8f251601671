"""A worker in a subprocess: started with the settings given, watched, and stopped."""

from __future__ import annotations

import sys

import pytest

from millrace.schemas import MillraceError
from millrace.streams.settings import Settings, read_settings
from millrace.streams.worker.subprocess import WorkerProcess, worker_command, worker_environment

SERVER = """
import http.server, json, os, sys
PAGES = {pages!r}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        status, text = PAGES[self.path]
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *_): pass
print("a line\\n\\nanother line", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["MILLRACE_WEB_PORT"])), Handler).serve_forever()
"""
READY = (200, '{"ready": true, "waiting": []}')
WAITING = (503, '{"ready": false, "waiting": ["ingest", "drift"]}')


@pytest.fixture
def start():
    """Start a program in place of a worker; it is stopped at the end."""
    started = []

    def start(program):
        started.append(WorkerProcess(Settings(broker="fake"), [sys.executable, "-c", program]))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def serve(start):
    """Start a program that serves pages as a worker does."""

    def serve(**pages):
        return start(SERVER.format(pages={f"/{name}": page for name, page in pages.items()}))

    return serve


def test_a_worker_is_waited_for(serve):
    """Until /readyz says that it is ready."""
    serve(readyz=READY).wait_ready(30)


def test_a_worker_that_is_not_ready_in_time_is_an_error(serve):
    """The error names the agents that wait, and shows the end of the log."""
    worker = serve(readyz=WAITING)
    while not worker._get("/readyz")[0]:
        worker.check_alive()
    expected = r"not ready within 0 s, waiting for ingest, drift; .* is: a line \| another line"
    with pytest.raises(MillraceError, match=expected):
        worker.wait_ready(0)


def test_a_worker_that_does_not_serve_its_pages_is_an_error(start):
    """The error says what is waited for, and that the log is empty."""
    with pytest.raises(MillraceError, match=r"waiting for its web server; .* its log is empty"):
        start("import time; time.sleep(60)").wait_ready(0.2)


def test_a_worker_that_ended_is_an_error(start):
    """With its exit code, and only its error where it has printed one."""
    worker = start("import sys; print('noise'); print('Error: no broker'); sys.exit(2)")
    with pytest.raises(MillraceError, match=r"^the worker ended with exit code 2: no broker$"):
        worker.wait_ready(30)
    with pytest.raises(MillraceError, match="exit code 2"):
        worker.metrics()


def test_only_the_end_of_the_log_is_shown(start):
    """Five lines, which are not empty, in one."""
    worker = start("for n in range(9): print(n, flush=True)")
    with pytest.raises(MillraceError, match=r"exit code 0: 4 \| 5 \| 6 \| 7 \| 8$"):
        worker.wait_ready(30)


def test_metrics_and_failing_agents_are_read(serve):
    """From /metrics and /healthz."""
    worker = serve(
        readyz=READY,
        metrics=(200, 'made_total{what="pig"} 2.0\n'),
        healthz=(503, '{"healthy": false, "failing": {"drift": "why"}}'),
    )
    worker.wait_ready(30)
    assert worker.metrics().total("made_total") == 2.0
    assert worker.failing() == {"drift": "why"}


def test_a_worker_that_does_not_answer_has_no_metrics(start):
    """It may be busy: that is no error."""
    worker = start("import time; time.sleep(60)")
    assert worker.metrics().total("made_total") == 0
    assert worker.failing() == {}


def test_a_worker_stops_on_sigterm(start):
    """And its exit code says so."""
    worker = start("import time; time.sleep(60)")
    worker.stop()
    assert worker._process.returncode == -15


def test_a_worker_that_does_not_stop_is_killed(start, monkeypatch):
    """After some seconds."""
    monkeypatch.setattr("millrace.streams.worker.subprocess._STOP_SECONDS", 0.2)
    worker = start(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)\n"
        "while True: time.sleep(1)"
    )
    while "deaf" not in worker.last_lines():
        worker.check_alive()
    worker.stop()
    assert worker._process.returncode == -9


def test_the_worker_of_the_command_line_is_started():
    """It stops with its standard input, and imports nothing from the working directory."""
    command = worker_command()
    assert command[:4] == (sys.executable, "-P", "-m", "millrace.streams.cli")
    assert command[4:] == ("worker", "--stop-with-stdin")


def test_a_worker_has_a_port_of_its_own(start):
    """On loopback, and it is one process, whatever the settings say."""
    first, second = start("pass"), start("pass")
    assert first.web_port != second.web_port
    assert (first.settings.web_host, first.settings.processes) == ("127.0.0.1", 1)
    assert first.settings.web_port == first.web_port


@pytest.mark.parametrize("given", [None, "", "own:."])
def test_the_import_path_is_inherited(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker imports what its parent does: nothing is added to PYTHONPATH."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if given is not None:
        monkeypatch.setenv("PYTHONPATH", given)
    assert worker_environment(Settings()).get("PYTHONPATH") == given


def test_settings_replace_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's settings are those given, whatever the environment of this process has."""
    monkeypatch.setenv("MILLRACE_BROKER", "elsewhere:9092")
    monkeypatch.setenv("MILLRACE_UNKNOWN", "x")
    monkeypatch.setenv("OTHER", "kept")
    environment = worker_environment(Settings(broker="here:9092", state_key="secret"))
    assert environment["MILLRACE_BROKER"] == "here:9092"
    assert environment["MILLRACE_STATE_KEY"] == "secret"
    assert "MILLRACE_UNKNOWN" not in environment
    assert (environment["OTHER"], environment["PYTHONUNBUFFERED"]) == ("kept", "1")


def test_a_worker_reads_the_settings_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting survives its way through the environment."""
    given = Settings(
        broker="here:9092",
        kafka={"client.id": "1"},
        schema_registry_url="http://given",
        processing_guarantee="at_least_once",
        retention_hours=1.5,
        accept_gaps=True,
        state_key="secret",
    )
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://inherited")
    for name, value in worker_environment(given).items():
        monkeypatch.setenv(name, value)
    assert read_settings() == given
    for name, value in worker_environment(Settings(schema_registry_url="")).items():
        monkeypatch.setenv(name, value)
    assert read_settings().schema_registry_url == ""
