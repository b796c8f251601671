"""The OpenAPI document and the server agree, whatever is sent: schemathesis tries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from threading import Thread

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from millrace.streams.serve.access import Access
from millrace.streams.serve.run import Server, listening_on
from millrace.streams.serve.service import Service
from tests.unit.streams.serve.conftest import KEY, World

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]

_ENDLESS = ["/v1/stream", "/v1/live"]
_WITHOUT_PARAMETERS = {
    f"/v1/{each}"
    for each in (
        *("models", "definitions", "me", "overview", "comparison", "curves"),
        *("fates", "reasons", "flow"),
    )
}


@pytest.fixture(scope="module")
def served(make_pipeline: Callable[..., object]) -> Iterator[schemathesis.BaseSchema]:
    """Give the document of a server whose workers predict whatever comes."""
    world = World(make_pipeline())
    with listening_on("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        service = Service(world.clients, world.name, state_key=KEY, max_event_bytes=10_000)
        server = Server(service, Access())

        async def run() -> None:
            async with service.running():
                working = asyncio.create_task(world.work())
                await server.serve([listening])
                working.cancel()

        thread = Thread(target=asyncio.run, args=(run(),))
        thread.start()
        try:
            while not server.started:
                thread.join(0.01)
            url = f"http://127.0.0.1:{port}/openapi.json"
            yield schemathesis.openapi.from_url(url).exclude(path=_ENDLESS)
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.mark.parametrize("mode", [*GenerationMode])
def test_answers_are_those_that_the_document_has(
    served: schemathesis.BaseSchema, mode: GenerationMode
) -> None:
    """No request, right or wrong, makes the server fail, or is answered with something else."""
    found = [each.ok() for each in served.get_all_operations()]
    assert len(found) == 20
    for operation in found:
        if mode is GenerationMode.NEGATIVE and operation.path in _WITHOUT_PARAMETERS:
            continue  # nothing can be wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
        def agree(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=_CHECKS)

        agree()
