"""The routes behind the page: what its views show that no other route has.

They may be asked by anybody else, too, and are in the OpenAPI document.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from millrace.schemas import SettingsError
from millrace.schemas.records import Prediction
from millrace.streams.control.commands import COMMANDS
from millrace.streams.formats.json import to_json
from millrace.streams.serve import openapi
from millrace.streams.serve.access import Access
from millrace.streams.serve.knowledge import MOST_LISTED, Found
from millrace.streams.serve.payloads import decoded
from millrace.streams.serve.problems import ProblemError, unavailable
from millrace.streams.serve.replies import EVENT_STREAM, event_stream, json_reply
from millrace.streams.serve.routing import ALWAYS, FOR_OPERATORS, TO_READ, Served, may
from millrace.streams.serve.service import Service
from millrace.streams.serve.tokens import Caller, Right
from millrace.streams.serve.watched import Watched
from millrace.streams.tools.deployed import compared

LIVE_SECONDS = 0.5
"""How often `/v1/live` tells what is new."""

MOST_LIVE = 20
"""Predictions that it tells at a time; of more, the newest."""

MOST_SEARCHED = 5_000
"""Predictions among which those are that fit."""

MOST_VIEWERS = 200
"""Who may listen at a time."""

_OBJECT = {"type": "object"}


async def _watched(request: Request) -> Watched:
    service: Service = request.app.state.service
    return service.watched


Asked = Annotated[Watched, Depends(_watched)]
Known = Annotated[Caller, Depends(may(None))]

views = APIRouter(prefix="/v1", responses=ALWAYS)


@views.get("/me", responses={200: openapi.json_of(_OBJECT, "Who asks.")})
async def get_me(request: Request, caller: Known, service: Served) -> Response:
    """Return who asks, by which role, and what that role may do."""
    access: Access = request.app.state.access
    may = [each.name.lower() for each in Right if caller.may(each)]
    commands = {
        name: {"does": spec.does, "arguments": {**spec.arguments}, "optional": {**spec.optional}}
        for name, spec in COMMANDS.items()
        if name in FOR_OPERATORS
    }
    return json_reply(
        {
            "name": caller.name,
            "role": caller.role,
            "may": may,
            "has_tokens": access.tokens is not None,
            "pipeline": service.name,
            "commands": commands,
        }
    )


@views.get(
    "/overview",
    dependencies=TO_READ,
    responses={200: openapi.json_of(_OBJECT, "The state of the pipeline.")},
)
async def get_overview(watched: Asked, service: Served) -> Response:
    """Return the verdict in words, the state, and what needs attention."""
    return json_reply(watched.overview(service.problem))


@views.get(
    "/comparison",
    dependencies=TO_READ,
    responses={200: openapi.json_of(_OBJECT, "How candidates compare.")},
)
async def get_comparison(watched: Asked) -> Response:
    """Return who serves, the evidence of each candidate, and what it means in words."""
    return json_reply(watched.comparison())


@views.get(
    "/curves",
    dependencies=TO_READ,
    responses={200: openapi.json_of(_OBJECT, "Losses over time.")},
)
async def get_curves(watched: Asked) -> Response:
    """Return the mean loss of each candidate over event time, with what happened meanwhile.

    At most 400 points: of a longer history, each is of several blocks.
    """
    return json_reply({**watched.curves.to_json(), "baselines": watched.baselines})


@views.get(
    "/predictions",
    dependencies=TO_READ,
    responses={
        200: openapi.json_of(
            openapi.listed(openapi.ref("Predicted")), "The newest predictions, newest first."
        )
    },
)
async def get_predictions(
    watched: Asked,
    limit: Annotated[
        int, Query(ge=1, le=MOST_LISTED, description="How many, the newest first.")
    ] = 100,
    fate: Annotated[
        Literal["waiting", "joined", "expired", "evicted", "removed"] | None,
        Query(description="Only those whose events ended so, or still wait."),
    ] = None,
    contains: Annotated[
        str,
        Query(max_length=200, description="Only those with this in a value, or in `name=value`."),
    ] = "",
) -> Response:
    """Return the newest predictions, each with what became of its event.

    With `fate` or `contains`, those that fit of the newest 5,000.
    """
    if fate is None and not contains:
        return json_reply({"records": _newest(watched, limit)})
    knowledge, wanted = watched.knowledge, contains.lower()
    found = knowledge.some_predictions(MOST_SEARCHED)
    return json_reply({"records": await asyncio.to_thread(_fitting, found, fate, wanted, limit)})


@views.get(
    "/fates",
    dependencies=TO_READ,
    responses={200: openapi.json_of(_OBJECT, "Fates, delays, and who waits.")},
)
async def get_fates(watched: Asked) -> Response:
    """Return what became of events and labels, how long labels took, and how many are awaited."""
    return json_reply(watched.fates.to_json())


@views.get(
    "/reasons",
    dependencies=TO_READ,
    responses={200: openapi.json_of(_OBJECT, "Rejects by reason.")},
)
async def get_reasons(watched: Asked) -> Response:
    """Return how often records were rejected, by reason."""
    return json_reply({"reasons": watched.rejects()})


@views.get(
    "/payload",
    dependencies=TO_READ,
    responses={200: openapi.json_of(_OBJECT, "The reject."), **openapi.problems(404)},
)
async def get_payload(
    watched: Asked,
    service: Served,
    topic: Annotated[str, Query(max_length=300, description="Where the record was read.")],
    partition: Annotated[int, Query(ge=0, le=2**31 - 1)],
    offset: Annotated[int, Query(ge=0, le=2**63 - 1)],
) -> Response:
    """Return a reject with its payload decoded, and what to mend and send again."""
    place = topic, partition, offset
    for each in watched.knowledge.newest("rejects", MOST_LISTED):
        if (each["topic"], each["partition"], each["offset"]) == place:
            return json_reply(decoded(each, service.definition, watched.prefix))  # type: ignore[arg-type]
    raise ProblemError(
        HTTPStatus.NOT_FOUND,
        "unknown_reject",
        f"no reject of {topic}[{partition}]@{offset} is among the newest {MOST_LISTED:,}",
        fix=f"Read the topic {watched.prefix}rejects.",
    )


@views.get(
    "/flow",
    dependencies=TO_READ,
    responses={200: openapi.json_of(_OBJECT, "Agents and topics.")},
)
async def get_flow(watched: Asked) -> Response:
    """Return agents and topics, with rates and lag over the last hours.

    Lag is known since this process began; rates from an hour before on.
    """
    return json_reply(await asyncio.to_thread(watched.flow.to_json))


@views.get(
    "/difference",
    dependencies=TO_READ,
    responses={200: openapi.json_of(_OBJECT, "What differs."), **openapi.problems(404)},
)
async def get_difference(
    watched: Asked,
    before: Annotated[str, Query(min_length=1, max_length=1_000)],
    after: Annotated[str, Query(min_length=1, max_length=1_000)],
) -> Response:
    """Return what changes between two definitions, each by its command's number or its digest."""
    history = [*watched.knowledge.deployed]
    try:
        found = await asyncio.to_thread(compared, watched.store, history, before, after)
    except SettingsError as error:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "unknown_definition",
            str(error),
            fix="See /v1/definitions for those that there are.",
        ) from None
    return json_reply(found._asdict())


@views.get(
    "/live",
    dependencies=TO_READ,
    response_class=StreamingResponse,
    responses={
        200: EVENT_STREAM,
        **openapi.problems(503),
    },
)
async def get_live(
    request: Request,
    watched: Asked,
    service: Served,
    predictions: Annotated[bool, Query(description="Whether to tell predictions.")] = False,
) -> Response:
    """Tell twice a second what is new, as server-sent events, however much that is.

    An event `counts` has how many records of each topic were read; `predictions` the newest ones.
    """
    state = request.app.state
    viewers = getattr(state, "viewers", 0)
    if viewers >= MOST_VIEWERS:
        raise unavailable("too_many_streams", f"{MOST_VIEWERS} streams are open", "Close one.")

    access: Access = state.access

    def is_allowed() -> bool:
        return access.still_may(request, Right.READ)

    async def told() -> AsyncIterator[str]:
        state.viewers = getattr(state, "viewers", 0) + 1
        try:
            async for each in _live(watched, service, is_allowed, has_predictions=predictions):
                yield each
        finally:
            state.viewers -= 1

    return event_stream(told())


async def _live(
    watched: Watched, service: Service, is_allowed: Callable[[], bool], *, has_predictions: bool
) -> AsyncIterator[str]:
    """Yield what is new until the process stops, or until `is_allowed` says so."""
    known: Mapping[str, int] = {}
    quiet = 0.0
    while not service.hub.is_closed and is_allowed():
        now = {**watched.counts}
        if now != known or quiet >= 10:
            new = now.get("predictions", 0) - known.get("predictions", 0)
            if has_predictions and new and known:
                records = _newest(watched, min(new, MOST_LIVE))
                yield _event("predictions", {"new": new, "records": records})
            yield _event("counts", now | {"problem": service.problem})
            known, quiet = now, 0.0
        await asyncio.sleep(LIVE_SECONDS)
        quiet += LIVE_SECONDS


def _fitting(
    found: Iterable[Found], fate: str | None, wanted: str, limit: int
) -> list[dict[str, Any]]:
    """Return predictions with a fate and a text."""
    fitting: list[dict[str, Any]] = []
    for each in found:
        prediction, outcome = each
        if fate is not None and fate != ("waiting" if outcome is None else outcome["fate"]):
            continue
        if wanted and not any(wanted in text for text in _texts(prediction)):
            continue
        fitting.append({**prediction, "outcome": outcome})
        if len(fitting) == limit:
            break
    return fitting


def _texts(prediction: Prediction) -> Iterator[str]:
    for name in ("event_id", "key", "value", "model"):
        yield str(prediction[name]).lower()
    for name, value in prediction["features"].items():
        yield f"{name}={value}".lower()


def _newest(watched: Watched, limit: int) -> list[dict[str, Any]]:
    """Return the newest predictions, each with what became of its event."""
    knowledge = watched.knowledge
    found = knowledge.newest_predictions(limit)
    return [{**each, "outcome": knowledge.outcome(each["event_id"])} for each in found]


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {to_json(data)}\n\n"
