"""A worker of one's own: `millrace worker` as a subprocess of a command that needs one.

`replay` and `demo` run the real thing, in a process of its own, and see of it what anybody would:
topics, and the pages of its web server. The worker stops with its parent, however that ends.
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
from types import TracebackType
from typing import Any

from millrace.schemas import MillraceError
from millrace.streams.observability.scraping import Samples
from millrace.streams.settings import Settings

READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_REQUEST_SECONDS = 30.0
_POLL_SECONDS = 0.05
_LAST_LINES = 5
_PREFIX = "MILLRACE_"
_UNPREFIXED = {"schema_registry_url": "SCHEMA_REGISTRY_URL"}


class WorkerProcess:
    """A worker in a subprocess, from its start to its stop.

    Parameters
    ----------
    settings
        The worker's. The broker must be one that another process can reach, so not `embedded`;
        the web server gets a free port on loopback.

    Attributes
    ----------
    web_port
        Where `/metrics`, `/healthz` and `/readyz` are, on 127.0.0.1.
    """

    def __init__(self, settings: Settings) -> None:
        self.web_port = _free_port()
        changes = {"web_host": "127.0.0.1", "web_port": self.web_port, "processes": 1}
        self.settings = settings.model_copy(update=changes)
        self._log = tempfile.TemporaryFile(prefix="millrace-worker-")  # noqa: SIM115 - see stop
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", self.web_port, timeout=_REQUEST_SECONDS
        )
        # -P: the working directory must not shadow what is installed; pipelines search it last.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "millrace.streams.cli", "worker", "--stop-with-stdin"],
            env=worker_environment(self.settings),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for the parent, who stops the worker in order
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
            The worker ended, with the last lines of its log, or took too long.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            self.check_alive()
            status, page = self._get("/readyz")
            if status == http.client.OK:
                return
            if time.monotonic() > deadline:
                waiting = json.loads(page)["waiting"] if page else "its web server"
                raise MillraceError(
                    f"the worker requires to be ready within {timeout_seconds:.0f} s;"
                    f" got none of {waiting}; {self.last_lines()}"
                )
            time.sleep(_POLL_SECONDS)

    def metrics(self) -> Samples:
        """Return what `/metrics` says now; nothing where the worker is too busy to answer.

        Raises
        ------
        MillraceError
            The worker ended, with the last lines of its log.
        """
        _, page = self._get("/metrics")
        if not page:
            self.check_alive()
        return Samples.parse(page)

    def failing(self) -> dict[str, str]:
        """Return the agents that do not do their work, and why."""
        _, page = self._get("/healthz")
        failing: dict[str, str] = json.loads(page)["failing"] if page else {}
        return failing

    def check_alive(self) -> None:
        """Raise where the worker has ended.

        Raises
        ------
        MillraceError
            With the last lines of its log.
        """
        code = self._process.poll()
        if code is not None:
            raise MillraceError(f"the worker ended with exit code {code}: {self.last_lines()}")

    def last_lines(self) -> str:
        """Return the end of the worker's log in one line, or its error alone."""
        log = self._log.fileno()  # pread: the worker shares the position and writes there
        text = os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")
        lines = [line for line in text.replace("\b", "").splitlines() if line.strip()]
        errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        return errors[-1] if errors else " | ".join(lines[-_LAST_LINES:]) or "its log is empty"

    def stop(self) -> None:
        """End the worker: in order where it can, by force where it takes too long."""
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
        """Return the status and the text of a page; 0 and nothing where nobody answers."""
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


def worker_environment(settings: Settings) -> dict[str, str]:
    """Return this process' environment with the settings in the place of its own."""
    values = settings.model_dump()
    values["state_key"] = settings.state_key.get_secret_value()
    inherited = {name: v for name, v in os.environ.items() if not name.startswith(_PREFIX)}
    return {
        **inherited,
        **{_UNPREFIXED.get(name, _PREFIX + name.upper()): _text(v) for name, v in values.items()},
        "PYTHONUNBUFFERED": "1",
    }


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)
