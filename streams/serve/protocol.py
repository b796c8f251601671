"""HTTP on a connection, for what comes before there is a request, or instead of one.

Whoever connects and sends nothing, or sends a request byte by byte, holds a connection: it is ended
after a while. One connection too many is answered with a problem, and so is what is no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from millrace.streams.formats.json import to_json
from millrace.streams.serve.problems import MEDIA_TYPE, ProblemError, unavailable

MOST_CONNECTIONS = 2_000
"""How many clients may be connected; another one is told so."""

_MORE_CONNECTIONS = 100  # those that are told
_REQUEST_SECONDS = 15.0

Message = MutableMapping[str, Any]


class Protocol(H11Protocol):
    """A connection."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS + _MORE_CONNECTIONS:
            transport.abort()
            return
        if len(self.connections) > MOST_CONNECTIONS:
            self.app = too_many_connections
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._expect_nothing()

    def on_response_complete(self) -> None:
        before = self.cycle
        super().on_response_complete()
        if self.cycle is before:  # no other request has come with this one
            self._expect_request()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        fix = "Send a request of HTTP/1.1, with a head of 16 KiB at most."
        self._refuse(ProblemError(HTTPStatus.BAD_REQUEST, "malformed_request", msg, fix=fix))

    def _expect_request(self) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._end_waiting)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_waiting(self) -> None:
        detail = f"no request came within {_REQUEST_SECONDS:g} s"
        fix = "Send it again."
        self._refuse(ProblemError(HTTPStatus.REQUEST_TIMEOUT, "slow_request", detail, fix=fix))

    def _refuse(self, problem: ProblemError) -> None:
        """Answer with a problem, if there is no other answer yet, and end the connection."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.is_closing():
            return
        status, headers, body = _answer(problem)
        reason = HTTPStatus(status).phrase.encode()
        answer = h11.Response(status_code=status, headers=headers, reason=reason)
        try:
            parts = [self.conn.send(each) for each in (answer, h11.Data(body), h11.EndOfMessage())]
        except h11.LocalProtocolError:  # an answer is under way
            parts = []
        self.transport.write(b"".join(each for each in parts if each))
        self.transport.close()


async def too_many_connections(
    _scope: Message,
    _receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer whatever is asked with 503."""
    detail = f"{MOST_CONNECTIONS:,} clients are connected already"
    problem = unavailable("too_many_connections", detail, "Wait a moment.")
    status, headers, body = _answer(problem)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(problem: ProblemError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    body = to_json(problem.document).encode()
    own = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close"}
    headers = {**own, **(problem.headers or {})}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return problem.status_code, encoded, body
