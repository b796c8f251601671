"""What both clients do with httpx: how it is set up, and what its answers are."""

from __future__ import annotations

import time
from typing import Any

from millrace.schemas.errors import SettingsError
from millrace.streams.client.events import SILENT_SECONDS
from millrace.streams.client.needed import httpx
from millrace.streams.client.steps import Call, Patience, Reply

LIMITS = httpx.Limits(max_connections=1_000, max_keepalive_connections=100, keepalive_expiry=4.0)
"""The server ends a connection that was idle for 5 s."""

SILENT = httpx.Timeout(SILENT_SECONDS)


def options(url: str, token: str | None) -> dict[str, Any]:
    """Return what an httpx client is made with.

    Raises
    ------
    SettingsError
        The address is none of HTTP, or the token is none.
    """
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"url must begin with http:// or https://; got {url!r}")
    try:
        host, why = httpx.URL(url).host, "it has no host"
    except httpx.InvalidURL as error:
        host, why = "", str(error)
    if not host:
        raise SettingsError(f"url must be the address of a server; got {url!r}: {why}")
    token = (token or "").strip()  # a file that has one ends with a line feed
    if not all("!" <= each <= "~" for each in token):  # what an HTTP header takes
        raise SettingsError(
            "token must be what `millrace token` has printed; got one with a character that is not"
            " ASCII, or with a space"
        )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return {"base_url": url, "headers": headers, "limits": LIMITS}


def arguments(call: Call) -> dict[str, Any]:
    """Return what an httpx client is called with."""
    return {
        "method": call.method,
        "url": call.path,
        "params": dict(call.params),
        "content": call.body,
        "headers": {"Content-Type": "application/json"} if call.body is not None else {},
        "timeout": call.seconds,
    }


def replied(answer: httpx.Response, body: bytes) -> Reply:
    """Return an answer."""
    after = answer.headers.get("Retry-After", "")
    return Reply(answer.status_code, body, float(after) if after.isdecimal() else 0.0)


def no_reply(error: httpx.TransportError) -> Reply:
    """Return why there is no answer."""
    return Reply(0, f"no answer: {error or type(error).__name__}".encode())


def patience(seconds: float) -> Patience:
    """Return how long to ask again."""
    return Patience(seconds, time.monotonic)
