"""The routes of `millrace serve`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
import structlog
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from millrace.schemas import MillraceError
from millrace.streams.formats.json import to_json
from millrace.streams.kafka.commands import Request as CommandRequest
from millrace.streams.serve import openapi
from millrace.streams.serve.access import MOST_ITEMS, Access, Held, forbidden
from millrace.streams.serve.assets import page
from millrace.streams.serve.knowledge import MOST_LISTED
from millrace.streams.serve.problems import MEDIA_TYPE, ProblemError, of_reject, unavailable
from millrace.streams.serve.service import Answer, Service, new_id
from millrace.streams.serve.stream import MOST_LISTENERS
from millrace.streams.serve.tokens import Caller, Right
from millrace.streams.serve.views import views

MOST_BODY_BYTES = 8 * 1024 * 1024
"""Largest body of a request."""

MOST_WAIT_SECONDS = 60.0
"""Longest wait for a prediction."""

_BODY_SECONDS = 30.0
_FOR_OPERATORS = frozenset({"promote", "rollback", "reset", "set", "pause", "resume", "snapshot"})
_PROBES = ["GET", "HEAD"]
_STREAMED = ("predictions", "outcomes", "alerts", "evaluations", "rejects", "audit")
_ALWAYS = openapi.problems(401, 403, 421, 422, 429)
_SENT = _ALWAYS | openapi.problems(400, 408, 409, 413, 415, 501, 503, 504)

_log = structlog.get_logger(__name__)


def _may(right: Right | None) -> Callable[[Request], Awaitable[Caller]]:
    async def check(request: Request) -> Caller:
        access: Access = request.app.state.access
        return access.caller(request, right)

    return check


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Asked = Annotated[Service, Depends(_service)]
Sender = Annotated[Caller, Depends(_may(Right.SEND))]
Commander = Annotated[Caller, Depends(_may(Right.COMMAND))]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many, the newest first.")]
_to_ask = [Depends(_may(Right.ASK))]
_to_read = [Depends(_may(Right.READ))]


class _AnyText(StringConvertor):
    """The rest of an address, whatever is in it: ids may have slashes, and line feeds."""

    regex = r"(?s:.*)"


register_url_convertor("any_text", _AnyText())
router = APIRouter(prefix="/v1", responses=_ALWAYS)


class Command(BaseModel):
    """What is asked of the pipeline."""

    model_config = ConfigDict(extra="forbid")

    command: str = Field(description="Its name: `promote`, for example.")
    arguments: dict[str, str] = Field({}, description="Argument to value.")
    why: str = Field("", max_length=1_000, description="The reason; the audit has it.")
    id: str | None = Field(
        None, min_length=1, max_length=200, description="Of several, one counts."
    )


@router.post(
    "/events",
    openapi_extra=openapi.one_or_more("Event"),
    response_class=Response,
    responses={
        200: openapi.json_of(
            {"anyOf": [openapi.ref("Predicted"), openapi.ref("Answers")]},
            "The prediction; or an answer for each event of an array.",
        ),
        202: openapi.json_of(openapi.ref("Taken"), "The event is on Kafka."),
        **_SENT,
    },
)
async def post_events(
    request: Request,
    caller: Sender,
    service: Asked,
    wait: Annotated[Literal["prediction"] | None, Query()] = None,
    timeout: Annotated[
        float, Query(ge=0.1, le=MOST_WAIT_SECONDS, description="In seconds.")
    ] = 10.0,
) -> Response:
    """Send an event, or an array of them; `wait=prediction` gives the prediction of each.

    An event whose id is known already is not sent again, and is answered with its prediction.
    """
    seconds = None if wait is None else timeout
    return await _each(request, caller, lambda value: service.event(value, seconds))


@router.post(
    "/labels",
    openapi_extra=openapi.one_or_more("Label"),
    status_code=202,
    response_class=Response,
    responses={
        200: openapi.json_of(openapi.ref("Answers"), "An answer for each label of an array."),
        202: openapi.json_of(openapi.ref("Taken"), "The label is on Kafka."),
        **_SENT,
    },
)
async def post_labels(request: Request, caller: Sender, service: Asked) -> Response:
    """Send a label, or an array of them. What became of it, the prediction will say."""
    return await _each(request, caller, service.label)


@router.get(
    "/predictions/{event_id:any_text}",
    dependencies=_to_ask,
    response_class=Response,
    responses={
        200: openapi.json_of(
            openapi.ref("Predicted"), "The prediction, and the fate of its event."
        ),
        **openapi.problems(404),
    },
)
async def get_prediction(
    event_id: Annotated[str, Path(min_length=1, max_length=4_096)], service: Asked
) -> Response:
    """Return the prediction of an event, if it is among the newest 100,000."""
    return _response(service.known(event_id))


@router.post(
    "/commands",
    status_code=202,
    response_class=Response,
    responses={
        202: openapi.json_of(openapi.ref("CommandTaken"), "The command is on Kafka."),
        **openapi.problems(400, 408, 413, 415, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Command.model_json_schema()}},
        }
    },
)
async def post_command(request: Request, caller: Commander, service: Asked) -> Response:
    """Ask something of the pipeline. The audit has who asked for it, and what came of it."""
    async with _body(request) as body:
        try:
            given = Command.model_validate_json(body)
        except ValueError as error:
            raise RequestValidationError(_errors(error)) from error
    if given.command not in _FOR_OPERATORS and not caller.may(Right.ADMINISTER):
        raise forbidden(caller, Right.ADMINISTER)
    command = CommandRequest(
        given.id or new_id(), given.command, given.arguments, caller.name, given.why
    )
    return _response(await service.command(command))


@router.get(
    "/models",
    dependencies=_to_read,
    responses={200: openapi.json_of({"type": "object"}, "The models.")},
)
async def get_models(service: Asked) -> Response:
    """Return every candidate, how it does, and the newest metrics."""
    return _json(service.knowledge.models())


@router.get(
    "/definitions",
    dependencies=_to_read,
    responses={200: openapi.json_of({"type": "object"}, "Definitions.")},
)
async def get_definitions(service: Asked) -> Response:
    """Return the definitions that came into force, oldest first."""
    deployed = [each._asdict() for each in service.knowledge.deployed]
    return _json({"in_force": service.definition.reference, "definitions": deployed})


@router.get(
    "/evaluations",
    dependencies=_to_read,
    responses={200: openapi.json_of(openapi.records_of("evaluations"), "Blocks.")},
)
async def get_evaluations(service: Asked, limit: Limit = 100) -> Response:
    """Return the newest blocks of events, by which candidates are compared."""
    return _newest(service, "evaluations", limit)


@router.get(
    "/alerts",
    dependencies=_to_read,
    responses={200: openapi.json_of(openapi.records_of("alerts"), "Alerts.")},
)
async def get_alerts(service: Asked, limit: Limit = 100) -> Response:
    """Return the newest alerts."""
    return _newest(service, "alerts", limit)


@router.get(
    "/rejects",
    dependencies=_to_read,
    responses={200: openapi.json_of(openapi.records_of("rejects"), "Rejects.")},
)
async def get_rejects(
    service: Asked,
    limit: Limit = 100,
    values: Annotated[bool, Query(description="Without them, each `value` is null.")] = True,
) -> Response:
    """Return the newest records that could not be used, and why. Bytes are in base64."""
    if values:
        return _newest(service, "rejects", limit)
    found = service.knowledge.newest("rejects", limit)
    return _json({"records": [{**each, "value": None} for each in found]})


@router.get(
    "/audit",
    dependencies=_to_read,
    responses={200: openapi.json_of(openapi.records_of("audit"), "The audit.")},
)
async def get_audit(
    service: Asked, limit: Limit = 100, command_id: Annotated[str | None, Query()] = None
) -> Response:
    """Return who has changed what: the newest entries, or those of a command."""
    found = service.knowledge.newest("audit", MOST_LISTED if command_id else limit)
    if command_id:
        found = [each for each in found if each["command_id"] == command_id][:limit]
    return _json({"records": found})


@router.get(
    "/stream",
    dependencies=_to_read,
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **openapi.problems(503),
    },
)
async def get_stream(
    request: Request,
    service: Asked,
    topics: Annotated[str, Query(description="Which, separated by commas.")] = ",".join(_STREAMED),
) -> Response:
    """Stream what workers write, as server-sent events: `event` is the topic, `data` the record."""
    wanted = topics.split(",")
    for each in wanted:
        if each not in _STREAMED:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "wrong_parameter",
                f"topics must be some of {', '.join(_STREAMED)}; got {each!r}",
                field="topics",
                fix="Leave it out for all.",
            )
    if len(service.hub) >= MOST_LISTENERS:
        raise unavailable("too_many_streams", f"{MOST_LISTENERS} streams are open", "Close one.")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    access: Access = request.app.state.access
    events = service.hub.listen(wanted, lambda: access.still_may(request, Right.READ))
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def make_app(service: Service, access: Access) -> FastAPI:
    """Return the application for a service."""
    app = FastAPI(
        title=f"Millrace: {service.name}",
        description="Events and labels in, predictions and all that is known of the models out.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service, app.state.access = service, access
    app.include_router(router)
    app.include_router(views)
    app.include_router(page())
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    app.add_exception_handler(MillraceError, _failure)
    app.add_exception_handler(Exception, _failure)

    @lru_cache(1)
    def described(_reference: str) -> dict[str, Any]:
        return openapi.document(app, service.definition)

    @app.get("/openapi.json", include_in_schema=False, dependencies=[Depends(_may(None))])
    async def get_openapi() -> Response:
        return _json(described(service.definition.reference))

    @app.api_route("/livez", methods=_PROBES, include_in_schema=False)
    async def get_livez() -> Response:
        return _json({"status": "ok"})

    @app.api_route("/readyz", methods=_PROBES, include_in_schema=False)
    async def get_readyz() -> Response:
        if service.problem:
            raise unavailable("not_following", "the pipeline cannot be followed", "See the log.")
        return _json({"status": "ok"})

    return app


async def _each(
    request: Request, caller: Caller, take: Callable[[bytes], Awaitable[Answer]]
) -> Response:
    """Answer for the one value in the body, or for each of an array."""
    async with _body(request) as body:
        return await _answers(request, caller, body.strip(), take)


async def _answers(
    request: Request, caller: Caller, body: bytes, take: Callable[[bytes], Awaitable[Answer]]
) -> Response:
    if not body.startswith(b"["):
        return _response(await take(body))
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
    return _json({"items": items})


async def _item(take: Callable[[bytes], Awaitable[Answer]], value: bytes) -> dict[str, Any]:
    """Return the answer for one of several."""
    try:
        answer = await take(value)
    except ProblemError as problem:
        return {"status": problem.status_code, "body": problem.document}
    return {"status": answer.status, "body": answer.body}


@asynccontextmanager
async def _body(request: Request) -> AsyncIterator[bytes]:
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


def _newest(service: Service, topic: str, limit: int) -> Response:
    return _json({"records": service.knowledge.newest(topic, limit)})


def _response(answer: Answer) -> Response:
    return _json(answer.body, answer.status, answer.headers)


def _json(
    document: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    more = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(to_json(document), status, more, media_type)


async def _http_problem(_request: Request, error: Exception) -> Response:
    """Answer with a problem: one of Millrace's own, or one of a wrong address or method."""
    assert isinstance(error, HTTPException)
    if not isinstance(error, ProblemError):
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        fix = "See /openapi.json for what there is."
        headers = error.headers
        error = ProblemError(error.status_code, kind, str(error.detail), fix=fix, headers=headers)
    return _json(error.document, error.status_code, error.headers, MEDIA_TYPE)


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


def _errors(error: ValueError) -> list[Any]:
    found = getattr(error, "errors", None)
    return [*found(include_url=False)] if found else [{"loc": (), "msg": str(error)}]
