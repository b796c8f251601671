"""A worker of one agent on a broker in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.app import make_connect, topic_prefix
from millrace.streams.kafka.admin import ensure_topics
from millrace.streams.kafka.fakes import FakeBroker, FakeClients, FakeConsumer
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.batching import BatchLimit
from millrace.streams.runtime.engine import Engine
from millrace.streams.runtime.session import Session
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import topic_settings

KEY = b"a key for tests"
NEVER, ALWAYS = 600.0, 1e-9
"""Seconds between two flushes of the state: with the last commit alone, or with every one."""


class FakeWorker:
    """A worker whose only agent has every operator, unless the settings say otherwise.

    Parameters
    ----------
    broker
        Shared with other workers.
    pipeline
        The definition.
    settings
        Besides the defaults of the tests.
    """

    def __init__(self, broker: FakeBroker, pipeline: Pipeline, **settings: Any) -> None:
        defaults = {
            "broker": "fake",
            "chain": "full",
            "partitions": 1,
            "flush_seconds": NEVER,
            "outputs": "json",
        }
        own = Settings(**(defaults | settings))
        self.clients = FakeClients(broker)
        self.metrics = Metrics(pipeline.name)
        self.agent = own.agents[0]
        self._pipeline = pipeline.name
        prefix = topic_prefix(pipeline)
        wanted = topic_settings(
            own.agents, prefix=prefix, partitions=own.partitions, replication=1, retention_ms=1
        )
        partitions = ensure_topics(self.clients, wanted)
        self.connect = make_connect(
            self.agent, pipeline, own, self.clients, partitions, KEY, self.metrics
        )

    def engine(self, **changes: Any) -> Engine:
        """Return an engine that restarts at once after an error."""
        defaults = {"limit": BatchLimit(1_000), "stall_seconds": 60.0, "backoff_seconds": 0.0}
        options: Any = defaults | changes
        return Engine(self.agent.name, connect=self.connect, metrics=self.metrics, **options)

    @property
    def consumer(self) -> FakeConsumer:
        """The consumer of the newest session."""
        return next(each for each in reversed(self.clients.consumers) if each.group)

    def count(self, name: str, **labels: str) -> float:
        """Return what a metric says, and 0 where it says nothing."""
        of_pipeline = {"pipeline": self._pipeline, **labels}
        return self.metrics.registry.get_sample_value(f"millrace_{name}", of_pipeline) or 0.0


def work(session: Session, most_records: int = 1_000) -> int:
    """Poll, fold and commit, as an engine does; return the number of records."""
    origins = session.poll(most_records)
    if origins:
        asyncio.run(session.fold(origins))
        session.commit()
    return len(origins)


def put_events(broker: FakeBroker, numbers: Iterable[int], partition: int = 0) -> None:
    """Produce events, each with its label and a timestamp of its own."""
    for number in numbers:
        event = {"id": str(number), "a": number % 7, "b": number % 3, "y": number % 2 == 0}
        broker.put("p.events", json.dumps(event).encode(), partition=partition, timestamp_ms=number)


def put_label(broker: FakeBroker, event_id: int, label: bool, timestamp_ms: int) -> None:
    """Produce a label."""
    document = json.dumps({"event_id": str(event_id), "label": label})
    broker.put("p.labels", document.encode(), timestamp_ms=timestamp_ms)


def predictions(broker: FakeBroker, partition: int = 0) -> list[dict[str, Any]]:
    """Return the committed predictions, without the time that they were made at."""
    made = [json.loads(each or b"") for each in broker.values("p.predictions", partition)]
    for each in made:
        del each["prediction_time_ms"]
    return made
