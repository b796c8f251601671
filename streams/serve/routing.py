"""What all routes share: who asks, of what, and which problems any of them may answer with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.convertors import StringConvertor, register_url_convertor

from millrace.streams.serve import openapi
from millrace.streams.serve.access import Access
from millrace.streams.serve.knowledge import MOST_LISTED
from millrace.streams.serve.service import Service
from millrace.streams.serve.tokens import Caller, Right

ALWAYS = openapi.problems(401, 403, 421, 422, 429)
"""The problems that any route may answer with."""

FOR_OPERATORS = ("promote", "rollback", "reset", "set", "pause", "resume", "snapshot")
"""The commands that operators may ask for; administrators may ask for all."""


def may(right: Right | None) -> Callable[[Request], Awaitable[Caller]]:
    """Return what finds out who asks, and refuses those without a right; None asks for none."""

    async def check(request: Request) -> Caller:
        access: Access = request.app.state.access
        return access.caller(request, right)

    return check


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many, the newest first.")]
TO_READ = [Depends(may(Right.READ))]


class _AnyText(StringConvertor):
    """The rest of an address, whatever is in it: ids may have slashes, and line feeds."""

    regex = r"(?s:.*)"


register_url_convertor("any_text", _AnyText())
