"""A worker as a subprocess of a command that needs one: `replay` and `demo`.

The command sees of it what any user would: its topics, and the pages of its web server. The
worker stops when its parent ends, however that ends.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType

from pydantic import SecretStr

from millrace.schemas import MillraceError
from millrace.streams.environment import variable
from millrace.streams.observability.scraping import Samples
from millrace.streams.settings import Settings

READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_REQUEST_SECONDS = 30.0
_POLL_SECONDS = 0.05
_LAST_LINES = 5


def cli_command(*arguments: str) -> Sequence[str]:
    """Return the command line of `millrace` with these arguments."""
    # -P: the working directory must not shadow what is installed; pipelines search it last.
    return (sys.executable, "-P", "-m", "millrace.streams.cli", *arguments)


def worker_command() -> Sequence[str]:
    """Return the command of a worker that stops when its standard input ends."""
    return cli_command("worker", "--stop-with-stdin")


def worker_environment(settings: Settings) -> dict[str, str]:
    """Return this process' environment, with these settings in place of its own."""
    values = settings.model_dump()
    inherited = {name: v for name, v in os.environ.items() if not name.startswith(variable(""))}
    given = {variable(name): _text(value) for name, value in values.items()}
    return {**inherited, **given, "PYTHONUNBUFFERED": "1"}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value) if isinstance(value, dict) else str(value)


class WorkerProcess:
    """A worker in a subprocess, from its start to its stop.

    Parameters
    ----------
    settings
        The worker's. Another process must be able to reach the broker, so it is not `embedded`.
        The web server gets a free port on loopback.
    command
        What to run, if not `worker_command()`.

    Attributes
    ----------
    web_port
        Of `/metrics`, `/healthz` and `/readyz`, on 127.0.0.1.
    """

    def __init__(self, settings: Settings, command: Sequence[str] = ()) -> None:
        self.web_port = _free_port()
        changes = {"web_host": "127.0.0.1", "web_port": self.web_port, "processes": 1}
        self.settings = settings.model_copy(update=changes)
        self._log = tempfile.TemporaryFile(prefix="millrace-worker-")  # noqa: SIM115 - see stop
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", self.web_port, timeout=_REQUEST_SECONDS
        )
        self._process = subprocess.Popen(  # noqa: S603 - Millrace's own command
            command or worker_command(),
            env=worker_environment(self.settings),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for the parent, which stops the worker cleanly
        )

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        """Wait until every agent has its partitions.

        Raises
        ------
        MillraceError
            The worker ended, or took too long; with the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            self.check_alive()
            status, page = self._get("/readyz")
            if status == http.client.OK:
                return
            if time.monotonic() > deadline:
                waiting = ", ".join(json.loads(page)["waiting"]) if page else "its web server"
                raise MillraceError(
                    f"the worker was not ready within {timeout_seconds:.0f} s, waiting for"
                    f" {waiting}; the end of its log is: {self.last_lines()}"
                )
            time.sleep(_POLL_SECONDS)

    def metrics(self) -> Samples:
        """Return the samples of `/metrics`; none if the worker is too busy to answer.

        Raises
        ------
        MillraceError
            The worker ended; with the end of its log.
        """
        _, page = self._get("/metrics")
        if not page:
            self.check_alive()
        return Samples.parse(page)

    def failing(self) -> dict[str, str]:
        """Return the agents that fail, and why."""
        _, page = self._get("/healthz")
        failing: dict[str, str] = json.loads(page)["failing"] if page else {}
        return failing

    def check_alive(self) -> None:
        """Raise an error if the worker has ended.

        Raises
        ------
        MillraceError
            With the end of its log.
        """
        code = self._process.poll()
        if code is not None:
            raise MillraceError(f"the worker ended with exit code {code}: {self.last_lines()}")

    def last_lines(self) -> str:
        """Return the last lines of the worker's log in one line, or only its error."""
        log = self._log.fileno()  # pread: the worker shares the position and writes there
        text = os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")
        lines = [line for line in text.replace("\b", "").splitlines() if line.strip()]
        errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        return errors[-1] if errors else " | ".join(lines[-_LAST_LINES:]) or "its log is empty"

    def stop(self) -> None:
        """Stop the worker cleanly, or kill it if that takes too long."""
        self._connection.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        finally:
            self._log.close()

    def _get(self, page: str) -> tuple[int, str]:
        """Return the status and the text of a page; 0 and nothing if there is no answer."""
        try:
            self._connection.request("GET", page)
            response = self._connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0, ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
