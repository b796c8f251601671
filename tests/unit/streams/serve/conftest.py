"""A pipeline whose workers are played by the tests: its topics, and a service that serves it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx
import pytest

from millrace.models.bundles.bundle import Bundle
from millrace.models.identity.definition import describe
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Prediction
from millrace.streams.formats import Outputs
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.serve.access import Access
from millrace.streams.serve.app import make_app
from millrace.streams.serve.run import Server, listening_on
from millrace.streams.serve.service import Service
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.topology.codec import SHIPPED
from millrace.streams.topology.topics import TOPICS

KEY = b"a key for tests"
PARTITIONS = 2
_SECONDS = 20.0


class World:
    """A broker with a pipeline on it, whose workers the test plays.

    Attributes
    ----------
    broker, clients
        With the pipeline's topics.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.name = pipeline.name
        self.broker = FakeBroker({self.full(each): PARTITIONS for each in TOPICS})
        for each in ("commands", "definitions", "evaluations"):
            self.broker.create(self.full(each), 1)
        self.clients = FakeClients(self.broker)
        self.deploys = 0
        self.deploy(pipeline)

    def full(self, topic: str) -> str:
        """Return the full name of a topic."""
        return f"{self.name}.{topic}"

    def deploy(self, pipeline: Pipeline, key: bytes = KEY) -> str:
        """Put a definition in force; return its digest."""
        self.deploys += 1
        files = {"own.py": f"# {self.deploys}"}
        bundle = Bundle("own:pipeline", {"own": "own.py"}, files, describe(pipeline))
        DefinitionStore(self.clients, self.full(""), key).publish(bundle)
        self.write(
            "audit",
            audit(
                number=self.deploys,
                command_id=f"deploy-{self.deploys}",
                after=str(self.deploys),
                evidence={"command": "deploy", "definition": bundle.digest},
            ),
        )
        return bundle.digest

    def write(self, topic: str, record: Mapping[str, Any], partition: int = 0) -> None:
        """Write what a worker would."""
        value = Outputs().encoder(SHIPPED[TOPICS[topic].types[0]]).encode(record)
        self.broker.put(self.full(topic), value, None, partition)

    def predict(self, event_id: str, value: Any = True) -> None:
        """Write the prediction of an event."""
        self.write("predictions", prediction(event_id, value))

    def reject(self, reason: str, detail: str = "", **place: Any) -> None:
        """Write a reject: by default of the first event."""
        defaults = {"topic": self.full("events"), "partition": 0, "offset": 0, "value": b"{}"}
        self.write("rejects", reject(reason, detail, **(defaults | place)))

    def sent(self, topic: str) -> list[dict[str, Any]]:
        """Return what was produced to a topic, as JSON has it."""
        return [json.loads(each or b"") for each in self.broker.values(self.full(topic))]

    def serve(
        self,
        test: Callable[[httpx.AsyncClient, Service], Awaitable[None]],
        access: Access | None = None,
        **more: Any,
    ) -> None:
        """Run a test against a service of the pipeline, with more parameters."""

        async def run() -> None:
            service = Service(
                *(self.clients, self.name),
                **{"state_key": KEY, "max_event_bytes": 10_000, "command_key": b"", **more},
            )
            async with service.running():
                app = make_app(service, access or Access())
                transport = httpx.ASGITransport(app, raise_app_exceptions=False)
                url = "http://localhost"
                async with httpx.AsyncClient(transport=transport, base_url=url) as client:
                    await test(client, service)

        asyncio.run(asyncio.wait_for(run(), _SECONDS))

    def listen(
        self, test: Callable[[int, Server], Awaitable[None]], access: Access | None = None
    ) -> None:
        """Run a test against a server of the pipeline, which listens on a port."""

        async def run() -> None:
            service = Service(self.clients, self.name, state_key=KEY, max_event_bytes=10_000)
            async with service.running():
                with listening_on("127.0.0.1", 0) as listening:
                    server = Server(service, access or Access())
                    serving = asyncio.create_task(server.serve([listening]))
                    try:
                        await test(listening.getsockname()[1], server)
                    finally:
                        server.should_exit = True
                        await serving

        asyncio.run(asyncio.wait_for(run(), _SECONDS))

    async def work(self) -> None:
        """Predict each event that comes, until cancelled."""
        done = 0
        with suppress(asyncio.CancelledError):
            while True:
                sent = self.sent("events")
                for each in sent[done:]:
                    self.predict(each["id"])
                done = len(sent)
                await asyncio.sleep(0.002)


async def until(look: Callable[[], Any]) -> Any:
    """Look until there is something, and return it."""
    async with asyncio.timeout(_SECONDS):
        while not (found := look()):
            await asyncio.sleep(0.002)
    return found


def prediction(event_id: str, value: Any = True) -> Prediction:
    """Return a prediction."""
    return {
        "event_id": event_id,
        "key": None,
        "event_time_ms": 1,
        "prediction_time_ms": 2,
        "value": value,
        "model": "own",
        "model_version": 3,
        "staleness_examples": 0,
        "probabilities": {"true": 0.75},
        "features": {"a": 1.0},
        "definition": "",
        "reasons": None,
    }


def outcome(event_id: str, fate: str = "joined", label: Any = True) -> dict[str, Any]:
    """Return what became of an event."""
    return {
        "event_id": event_id,
        "key": None,
        "event_time_ms": 1,
        "fate": fate,
        "label": label,
        "label_delay_ms": 5,
        "label_source": "labels",
        "losses": {"own": 0.0},
    }


def reject(reason: str, detail: str, **more: Any) -> dict[str, Any]:
    """Return a reject."""
    size = len(more["value"] or b"")
    base = {"timestamp_ms": 1, "key": None, "value_size_bytes": size, "headers": []}
    return {"reason": reason, "detail": detail, **base, **more}


def audit(**more: Any) -> dict[str, Any]:
    """Return an entry of the audit: by default a command that control has accepted."""
    return {
        "writer": "control",
        "number": 1,
        "time_ms": 1,
        "subject": "command",
        "action": "accepted",
        "who": "anna",
        "why": "a reason",
        "command_id": None,
        "evidence": {},
        "before": None,
        "after": None,
        "topic": "p.commands",
        "partition": 0,
        "offset": 0,
        "previous": "",
        "digest": "",
        **more,
    }


@pytest.fixture
def make_world(make_pipeline: Callable[..., Pipeline]) -> Callable[..., World]:
    """Make a world of a pipeline with changes."""
    return lambda **changes: World(make_pipeline(**changes))


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Make a world: events have `id`, `a`, `b` and perhaps the label `y`."""
    return make_world()
