"""A registry that does not answer rejects nothing: the agent waits for it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import AvroType, RegistryError
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.kafka.registry_client import NotFoundError, RegistryClient
from millrace.streams.sources.confluent import RegisteredSchema
from tests.unit.streams.runtime.worker import FakeWorker, versions

SCHEMA_ID = 7


def put_framed(broker: FakeBroker, pipeline: Pipeline, count: int) -> None:
    """Produce events in Confluent's wire format."""
    avro: AvroType[Any] = pipeline.event_schema.as_written
    for number in range(count):
        event = {"id": str(number), "a": 1.0, "b": 2.0, "y": True}
        value = struct.pack(">bI", 0, SCHEMA_ID) + avro.encode(event)[10:]
        broker.put("p.events", value, timestamp_ms=number)


def test_an_outage_of_the_registry(
    broker: FakeBroker,
    make_worker: Callable[..., FakeWorker],
    make_pipeline: Callable[..., Pipeline],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it does not answer the agent starts again; then every event is predicted, once."""
    pipeline = make_pipeline()
    worker = make_worker(schema_registry_url="http://registry.invalid:8081")
    engine = worker.engine()
    put_framed(broker, pipeline, 3)
    asked: list[int] = []

    def registered(_: RegistryClient, schema_id: int) -> RegisteredSchema:
        asked.append(schema_id)
        if len(asked) <= 3:
            raise RegistryError("the schema registry does not answer")
        if len(asked) == 4:
            raise NotFoundError("HTTP 404")
        return RegisteredSchema("AVRO", json.dumps(pipeline.event_schema.as_written.schema))

    monkeypatch.setattr(RegistryClient, "registered", registered)

    async def test() -> None:
        for _ in range(3):
            batch = await engine.next_batch()
            assert batch is not None
            with pytest.raises(RegistryError):
                await engine.process(batch)
            assert engine.failure == "the schema registry does not answer"
        while len(versions(broker)) < 3:
            batch = await engine.next_batch()
            assert batch is not None
            await engine.process(batch)
        assert engine.failure == ""
        await engine.close()

    asyncio.run(asyncio.wait_for(test(), 30))
    assert versions(broker) == [("0", 0), ("1", 1), ("2", 2)]
    assert broker.values("p.rejects") == []
    assert asked == [SCHEMA_ID] * 5
