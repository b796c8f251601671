"""The routes of `millrace serve`."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from millrace.streams.kafka.commands import Request as CommandRequest
from millrace.streams.serve import openapi
from millrace.streams.serve.access import Access, forbidden
from millrace.streams.serve.assets import page
from millrace.streams.serve.bodies import answer_each, body_of
from millrace.streams.serve.knowledge import MOST_LISTED
from millrace.streams.serve.problems import ProblemError, unavailable
from millrace.streams.serve.replies import (
    EVENT_STREAM,
    answer_with_problems,
    answered,
    event_stream,
    json_reply,
)
from millrace.streams.serve.routing import ALWAYS, FOR_OPERATORS, TO_READ, Limit, Served, may
from millrace.streams.serve.service import Service, new_id
from millrace.streams.serve.stream import MOST_LISTENERS
from millrace.streams.serve.tokens import Caller, Right
from millrace.streams.serve.views import views

MOST_WAIT_SECONDS = 60.0
"""Longest wait for a prediction."""

_PROBES = ["GET", "HEAD"]
_STREAMED = ("predictions", "outcomes", "alerts", "evaluations", "rejects", "audit")
_SENT = ALWAYS | openapi.problems(400, 408, 409, 413, 415, 501, 503, 504)

Sender = Annotated[Caller, Depends(may(Right.SEND))]
Commander = Annotated[Caller, Depends(may(Right.COMMAND))]
_to_ask = [Depends(may(Right.ASK))]

router = APIRouter(prefix="/v1", responses=ALWAYS)


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
    service: Served,
    wait: Annotated[Literal["prediction"] | None, Query()] = None,
    timeout: Annotated[
        float, Query(ge=0.1, le=MOST_WAIT_SECONDS, description="In seconds.")
    ] = 10.0,
) -> Response:
    """Send an event, or an array of them; `wait=prediction` gives the prediction of each.

    An event whose id is known already is not sent again, and is answered with its prediction.
    """
    seconds = None if wait is None else timeout
    return await answer_each(request, caller, lambda value: service.event(value, seconds))


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
async def post_labels(request: Request, caller: Sender, service: Served) -> Response:
    """Send a label, or an array of them. What became of it, the prediction will say."""
    return await answer_each(request, caller, service.label)


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
    event_id: Annotated[str, Path(min_length=1, max_length=4_096)], service: Served
) -> Response:
    """Return the prediction of an event, if it is among the newest 100,000."""
    return answered(service.known(event_id))


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
async def post_command(request: Request, caller: Commander, service: Served) -> Response:
    """Ask something of the pipeline. The audit has who asked for it, and what came of it."""
    async with body_of(request) as body:
        try:
            given = Command.model_validate_json(body)
        except ValueError as error:
            raise RequestValidationError(_errors(error)) from error
    if given.command not in FOR_OPERATORS and not caller.may(Right.ADMINISTER):
        raise forbidden(caller, Right.ADMINISTER)
    command = CommandRequest(
        given.id or new_id(), given.command, given.arguments, caller.name, given.why
    )
    return answered(await service.command(command))


@router.get(
    "/models",
    dependencies=TO_READ,
    responses={200: openapi.json_of({"type": "object"}, "The models.")},
)
async def get_models(service: Served) -> Response:
    """Return every candidate, how it does, and the newest metrics."""
    return json_reply(service.knowledge.models())


@router.get(
    "/definitions",
    dependencies=TO_READ,
    responses={200: openapi.json_of({"type": "object"}, "Definitions.")},
)
async def get_definitions(service: Served) -> Response:
    """Return the definitions that came into force, oldest first."""
    deployed = [each._asdict() for each in service.knowledge.deployed]
    return json_reply({"in_force": service.definition.reference, "definitions": deployed})


@router.get(
    "/evaluations",
    dependencies=TO_READ,
    responses={200: openapi.json_of(openapi.records_of("evaluations"), "Blocks.")},
)
async def get_evaluations(service: Served, limit: Limit = 100) -> Response:
    """Return the newest blocks of events, by which candidates are compared."""
    return _newest(service, "evaluations", limit)


@router.get(
    "/alerts",
    dependencies=TO_READ,
    responses={200: openapi.json_of(openapi.records_of("alerts"), "Alerts.")},
)
async def get_alerts(service: Served, limit: Limit = 100) -> Response:
    """Return the newest alerts."""
    return _newest(service, "alerts", limit)


@router.get(
    "/rejects",
    dependencies=TO_READ,
    responses={200: openapi.json_of(openapi.records_of("rejects"), "Rejects.")},
)
async def get_rejects(
    service: Served,
    limit: Limit = 100,
    values: Annotated[bool, Query(description="Without them, each `value` is null.")] = True,
) -> Response:
    """Return the newest records that could not be used, and why. Bytes are in base64."""
    if values:
        return _newest(service, "rejects", limit)
    found = service.knowledge.newest("rejects", limit)
    return json_reply({"records": [{**each, "value": None} for each in found]})


@router.get(
    "/audit",
    dependencies=TO_READ,
    responses={200: openapi.json_of(openapi.records_of("audit"), "The audit.")},
)
async def get_audit(
    service: Served, limit: Limit = 100, command_id: Annotated[str | None, Query()] = None
) -> Response:
    """Return who has changed what: the newest entries, or those of a command."""
    found = service.knowledge.newest("audit", MOST_LISTED if command_id else limit)
    if command_id:
        found = [each for each in found if each["command_id"] == command_id][:limit]
    return json_reply({"records": found})


@router.get(
    "/stream",
    dependencies=TO_READ,
    response_class=StreamingResponse,
    responses={
        200: EVENT_STREAM,
        **openapi.problems(503),
    },
)
async def get_stream(
    request: Request,
    service: Served,
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
    access: Access = request.app.state.access
    events = service.hub.listen(wanted, lambda: access.still_may(request, Right.READ))
    return event_stream(events)


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
    answer_with_problems(app)

    @lru_cache(1)
    def described(_reference: str) -> dict[str, Any]:
        return openapi.document(app, service.definition)

    @app.get("/openapi.json", include_in_schema=False, dependencies=[Depends(may(None))])
    async def get_openapi() -> Response:
        return json_reply(described(service.definition.reference))

    @app.api_route("/livez", methods=_PROBES, include_in_schema=False)
    async def get_livez() -> Response:
        return json_reply({"status": "ok"})

    @app.api_route("/readyz", methods=_PROBES, include_in_schema=False)
    async def get_readyz() -> Response:
        if service.problem:
            raise unavailable("not_following", "the pipeline cannot be followed", "See the log.")
        return json_reply({"status": "ok"})

    return app


def _newest(service: Service, topic: str, limit: int) -> Response:
    return json_reply({"records": service.knowledge.newest(topic, limit)})


def _errors(error: ValueError) -> list[Any]:
    found = getattr(error, "errors", None)
    return [*found(include_url=False)] if found else [{"loc": (), "msg": str(error)}]
