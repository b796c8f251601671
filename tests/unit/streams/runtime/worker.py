"""A worker of one agent on a broker in memory."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.kafka.admin import ensure_topics, partition_counts
from millrace.streams.kafka.fakes import FakeBroker, FakeClients, FakeConsumer, FakeProducer
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.assembly import Assembly
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.runtime.engine import Engine
from millrace.streams.runtime.session import Session
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import topic_prefix, topic_settings
from tests.chaos.likeness import entries_of

KEY = b"a key for tests"
FLUSH_SECONDS = 10.0
NOW_MS = 1_700_000_000_000


class FakeWorker:
    """A worker of one agent, by default one that has every operator.

    Parameters
    ----------
    broker
        Shared with other workers.
    pipeline
        The definition.
    agent
        Which of the chain's agents: the one that begins with this operator.
    definitions
        By default, the one that is given.
    settings
        Besides the defaults of the tests.

    Attributes
    ----------
    broker
        What it was given.
    seconds
        What the worker's clock says.
    """

    def __init__(
        self,
        broker: FakeBroker,
        pipeline: Pipeline,
        agent: str = "ingest",
        definitions: Definitions | None = None,
        **settings: Any,
    ) -> None:
        defaults = {"broker": "fake", "chain": "full", "partitions": 1, "outputs": "json"}
        own = Settings(**(defaults | {"flush_seconds": FLUSH_SECONDS} | settings))
        self.seconds = 1_000.0
        self.broker = broker
        self.clients = FakeClients(broker)
        self.metrics = Metrics(pipeline.name)
        self.agent = next(each for each in own.agents_of(pipeline) if each.operators[0] == agent)
        wanted = topic_settings(
            own.agents_of(pipeline),
            prefix=topic_prefix(pipeline),
            partitions=own.partitions,
            replication=1,
            retention_ms=1,
        )
        self._pipeline = pipeline.name
        self._assembly = Assembly(
            self.agent,
            definitions or Definitions(pipeline),
            own,
            self.clients,
            partition_counts(self.clients) | ensure_topics(self.clients, wanted),
            KEY,
            self.metrics,
            clock=lambda: self.seconds,
            clock_ms=lambda: NOW_MS,
        )

    def connect(self) -> Session:
        """Return a session, not assigned anything yet."""
        return self._assembly.connect()

    def start(self) -> Session:
        """Return a session that has been assigned its partitions, in which nothing is yet."""
        session = self.connect()
        assert session.poll(1) == []
        return session

    def engine(self, backoff_seconds: float | None = 0.0, **options: Any) -> Engine:
        """Return an engine that restarts at once after an error; None for when others do."""
        if backoff_seconds is None:
            return self._assembly.engine(**options)
        return self._assembly.engine(backoff_seconds, **options)

    @property
    def consumer(self) -> FakeConsumer:
        """The consumer of the newest session."""
        return next(each for each in reversed(self.clients.consumers) if each.group)

    @property
    def producer(self) -> FakeProducer:
        """The producer of the newest session."""
        ours = [each for each in self.clients.producers if each.transactional_id]
        return next(each for each in reversed(ours) if self.group in each.transactional_id)

    @property
    def state_producer(self) -> FakeProducer:
        """The producer of the newest session that writes its state."""
        ours = [each for each in self.clients.producers if self.group in each.transactional_id]
        return ours[-2]

    @property
    def group(self) -> str:
        """The agent's consumer group."""
        return f"{self._pipeline}.{self.agent.name}"

    @property
    def state_topic(self) -> str:
        """The topic of the agent's state."""
        return f"{self._pipeline}.state.{self.agent.name}"

    def pass_time(self, seconds: float = FLUSH_SECONDS + 0.1) -> None:
        """Let time pass: by default until the state is due."""
        self.seconds += seconds

    def count(self, name: str, **labels: str) -> float:
        """Return what a metric says, and 0 where it says nothing."""
        of_pipeline = {"pipeline": self._pipeline, **labels}
        return self.metrics.registry.get_sample_value(f"millrace_{name}", of_pipeline) or 0.0


def work(session: Session, most_records: int = 1_000) -> int:
    """Poll, fold and commit, as an engine does; return the number of records that were folded."""
    origins = session.poll(most_records)
    if not origins:
        return 0
    folded = asyncio.run(session.fold(origins))
    session.commit()
    return folded


def crash(worker: FakeWorker) -> None:
    """Let a worker vanish without a word: its group drops it after a while."""
    worker.consumer.evict()


def stored(session: Session, partition: int = 0) -> dict[str, list[tuple[str, bytes]]]:
    """Return all that a task keeps, store by store, in a form that can be compared."""
    stores = session.assignments[partition].task.stores()
    return {
        name: [(key, _plain(value)) for key, value in entries_of(store)] for name, store in stores
    }


def _plain(value: object) -> bytes:
    """Pickle a value so that equal ones are equal bytes, whichever of their parts are shared."""
    pickled = BytesIO()
    pickler = pickle.Pickler(pickled, protocol=5)
    pickler.fast = True
    pickler.dump(value)
    return pickled.getvalue()


def put_events(
    broker: FakeBroker, numbers: Iterable[int], partition: int = 0, is_labelled: bool = True
) -> None:
    """Produce events, each with its label, its number as its id and its timestamp."""
    for number in numbers:
        event = _event(number, is_labelled)
        broker.put("p.events", event, partition=partition, timestamp_ms=number)


def put_in_transaction(
    broker: FakeBroker, numbers: Iterable[int], commits: bool = True, partition: int = 0
) -> None:
    """Produce events in a transaction: a marker follows them."""
    producer = FakeClients(broker).producer({"transactional.id": "somebody's"})
    producer.init_transactions(1.0)
    producer.begin_transaction()
    for number in numbers:
        producer.produce("p.events", _event(number), None, partition, timestamp=number)
    (producer.commit_transaction if commits else producer.abort_transaction)(1.0)


def put_label(
    broker: FakeBroker, event_id: int, label: bool, timestamp_ms: int, partition: int = 0
) -> None:
    """Produce a label."""
    value = json.dumps({"event_id": str(event_id), "label": label}).encode()
    broker.put("p.labels", value, partition=partition, timestamp_ms=timestamp_ms)


def _event(number: int, is_labelled: bool = True) -> bytes:
    event = {"id": str(number), "a": number % 7, "b": number % 3}
    return json.dumps(event | ({"y": number % 2 == 0} if is_labelled else {})).encode()


def predictions(broker: FakeBroker, partition: int = 0) -> list[dict[str, Any]]:
    """Return the committed predictions."""
    return [json.loads(each or b"") for each in broker.values("p.predictions", partition)]


def versions(broker: FakeBroker) -> list[tuple[str, int]]:
    """Return of each prediction its event, and how many examples its model had learned."""
    return [(each["event_id"], each["model_version"]) for each in predictions(broker)]


def in_order(count: int) -> list[tuple[str, int]]:
    """Return what `versions` are where every event was learned exactly once, in its order."""
    return [(str(number), number) for number in range(count)]
