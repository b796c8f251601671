"""Answers: documents, streams, and problems for whatever goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from millrace.schemas import MillraceError
from millrace.streams.formats.json import to_json
from millrace.streams.serve.problems import MEDIA_TYPE, ProblemError
from millrace.streams.serve.service import Answer

EVENT_STREAM: dict[str, Any] = {
    "description": "Events.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
"""What the OpenAPI document says of a stream."""

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_log = structlog.get_logger(__name__)


def answered(answer: Answer) -> Response:
    """Return an answer of the service."""
    return json_reply(answer.body, answer.status, answer.headers)


def json_reply(
    document: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """Return a document as an answer that nobody keeps."""
    return Response(to_json(document), status, {**_HEADERS, **(headers or {})}, media_type)


def event_stream(events: AsyncIterator[str]) -> StreamingResponse:
    """Return server-sent events as an answer."""
    headers = {**_HEADERS, "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def answer_with_problems(app: FastAPI) -> None:
    """Let an application answer with a problem, whatever goes wrong."""
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    app.add_exception_handler(MillraceError, _failure)
    app.add_exception_handler(Exception, _failure)


async def _http_problem(_request: Request, error: Exception) -> Response:
    """Answer with a problem: one of Millrace's own, or one of a wrong address or method."""
    assert isinstance(error, HTTPException)
    if not isinstance(error, ProblemError):
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        fix = "See /openapi.json for what there is."
        headers = error.headers
        error = ProblemError(error.status_code, kind, str(error.detail), fix=fix, headers=headers)
    return json_reply(error.document, error.status_code, error.headers, MEDIA_TYPE)


async def _wrong_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(each) for each in first["loc"] if each not in ("query", "path", "body"))
    problem = ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "wrong_parameter",
        f"{field or 'the body'}: {first['msg']}",
        field=field or None,
        fix="See /openapi.json for what there is.",
    )
    return await _http_problem(request, problem)


async def _failure(request: Request, error: Exception) -> Response:
    """Answer that Millrace failed; the log says how."""
    _log.error("a request failed", path=request.url.path, exc_info=error)
    status, fix = HTTPStatus.INTERNAL_SERVER_ERROR, "Report it, with the log."
    problem = ProblemError(status, "internal_error", "Millrace failed", fix=fix)
    return await _http_problem(request, problem)
