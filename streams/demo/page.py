"""The page beside the demo: `millrace serve`, in a process of its own that ends with the demo's."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from millrace.schemas import MillraceError
from millrace.streams.settings import Settings, read_settings
from millrace.streams.worker.subprocess import cli_command, worker_environment

READY_SECONDS = 60.0
_POLL_SECONDS = 0.1
_STOP_SECONDS = 10.0
_LAST_LINES = 5
_HOST = "127.0.0.1"


def served(settings: Settings, port: int) -> Settings:
    """Return the settings of a worker whose pipeline is served, whatever the environment says.

    The two need one key, by which the server knows the definition for the worker's.
    """
    known = settings.model_dump(exclude={"state_key"})
    serving = {"serve_host": _HOST, "serve_port": port, "serve_tokens": ""}
    return read_settings(**(known | serving | {"state_key": secrets.token_hex()}))


@contextmanager
def page(settings: Settings, name: str) -> Iterator[str]:
    """Serve a pipeline for as long as the block lasts; give the address.

    Raises
    ------
    MillraceError
        The server ended, or does not answer in time; with the end of its log.
    """
    address = f"http://{_HOST}:{settings.serve_port}"
    command = cli_command("serve", "--pipeline", name, "--stop-with-stdin")
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(  # noqa: S603 - Millrace itself
            command,
            env=worker_environment(settings),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            _wait(lambda: _is_ready(address), process, log.fileno())
            yield address
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            process.kill()


def open_if_seen(address: str, open_it: Callable[[str], object] = webbrowser.open) -> bool:
    """Open an address in a browser where there is a display, and return whether there is.

    Without one, `webbrowser` would take the terminal for a browser that shows text.
    """
    has_display = sys.platform in ("darwin", "win32") or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )
    return has_display and bool(open_it(address))


def _wait(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready():
        code = process.poll()
        if code is not None or time.monotonic() > deadline:
            what = f"ended with exit code {code}" if code is not None else "does not answer"
            text = os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")
            said = " | ".join(text.splitlines()[-_LAST_LINES:]) or "its log is empty"
            raise MillraceError(f"the server of the page {what}: {said}")
        time.sleep(_POLL_SECONDS)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=1) as answer:  # noqa: S310 - ours
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
