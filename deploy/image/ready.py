"""The image's health check: exit code 0 where the worker's `/readyz` returns 200.

It asks where the worker listens: `MILLRACE_WEB_HOST` and `MILLRACE_WEB_PORT`. It imports nothing of
Millrace, so that it takes a tenth of a second.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - is asked for, not bound
_PORT = "6066"
_SECONDS = 2.0


def problem(environment: Mapping[str, str]) -> str:
    """Return what is wrong, in a line; nothing where the worker is ready."""
    host = _setting("MILLRACE_WEB_HOST", environment)
    port = _setting("MILLRACE_WEB_PORT", environment) or _PORT
    connection = HTTPConnection(_LOOPBACK.get(host, host), int(port), timeout=_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return "" if answer.status == 200 else answer.read().decode()
    except (OSError, HTTPException) as error:
        return f"no answer on port {port}: {error!r}"
    finally:
        connection.close()


def _setting(name: str, environment: Mapping[str, str]) -> str:
    """Return what a variable has, or the file that it names."""
    path = environment.get(f"{name}_FILE")
    return environment.get(name, "") if path is None else Path(path).read_text().strip()


if __name__ == "__main__":
    sys.exit(problem(os.environ) or 0)
