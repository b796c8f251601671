"""The bodies of requests: one value in JSON, or an array of them, each with its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from millrace.streams.serve.access import MOST_ITEMS, Access, Held
from millrace.streams.serve.problems import ProblemError, of_reject
from millrace.streams.serve.replies import answered, json_reply
from millrace.streams.serve.service import Answer
from millrace.streams.serve.tokens import Caller

MOST_BODY_BYTES = 8 * 1024 * 1024
"""Largest body of a request."""

_BODY_SECONDS = 30.0


async def answer_each(
    request: Request, caller: Caller, take: Callable[[bytes], Awaitable[Answer]]
) -> Response:
    """Answer for the one value in the body, or for each of an array."""
    async with body_of(request) as body:
        return await _answers(request, caller, body.strip(), take)


async def _answers(
    request: Request, caller: Caller, body: bytes, take: Callable[[bytes], Awaitable[Answer]]
) -> Response:
    if not body.startswith(b"["):
        return answered(await take(body))
    try:
        values = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise of_reject("malformed", f"the body must be an array in JSON: {error}") from None
    if len(values) > MOST_ITEMS:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too_many_items",
            f"an array may have {MOST_ITEMS:,} items; got {len(values):,}",
            fix="Send several.",
        )
    access: Access = request.app.state.access
    access.spend(caller, request, len(values) - 1)
    items = await asyncio.gather(*(_item(take, bytes(each)) for each in values))
    return json_reply({"items": items})


async def _item(take: Callable[[bytes], Awaitable[Answer]], value: bytes) -> dict[str, Any]:
    """Return the answer for one of several."""
    try:
        answer = await take(value)
    except ProblemError as problem:
        return {"status": problem.status_code, "body": problem.document}
    return {"status": answer.status, "body": answer.body}


@asynccontextmanager
async def body_of(request: Request) -> AsyncIterator[bytes]:
    """Give the body of a request, if it is JSON, comes in time and is not too large.

    That it must say so keeps out what a page of the web could send without asking (CORS).
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "wrong_media_type",
            f"the body must be JSON; got {media_type or 'nothing that says what it is'}",
            fix="Send the header Content-Type: application/json.",
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "wrong_encoding",
            "the body must not be compressed",
            fix="Leave out the header Content-Encoding.",
        )
    held: Held = request.app.state.access.held
    with held.body() as body:
        await _read(request, held, body)
        yield bytes(body)


async def _read(request: Request, held: Held, body: bytearray) -> None:
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                if len(body) + len(part) > MOST_BODY_BYTES:
                    raise of_reject("oversized", f"a body may have {MOST_BODY_BYTES:,} bytes")
                held.add(body, part)
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            "slow_body",
            f"the body did not come within {_BODY_SECONDS:g} s",
            fix="Send it again.",
        ) from None
    except ClientDisconnect:  # nobody reads the answer
        detail, fix = "the connection ended before the body did", "Send it again."
        raise ProblemError(HTTPStatus.BAD_REQUEST, "cut_off", detail, fix=fix) from None
