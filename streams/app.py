"""The worker: the one place where everything is put together.

`create_app` makes a Faust app whose agents are those of the chain. `millrace worker` runs it, and
so does `faust -A streams.app worker`, with its settings from the environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

import faust
import structlog
from faust.app.base import BootStrategy

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import BrokerError, SettingsError
from millrace.streams.agents import define_agent
from millrace.streams.api.health import define_pages
from millrace.streams.interval import Interval
from millrace.streams.kafka.admin import ensure_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.registry import written_schema
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.batching import BatchLimit
from millrace.streams.runtime.engine import Engine
from millrace.streams.runtime.inbox import Inbox
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.runtime.session import OFFSETS_SECONDS, Session
from millrace.streams.runtime.takeover import Takeover
from millrace.streams.settings import EMBEDDED, Settings, read_settings, unknown_settings
from millrace.streams.state.log import StateLog
from millrace.streams.state.signing import state_key
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.topics import topic_prefix, topic_settings

_PROGRESS_CHECK_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class _WithoutKafka(BootStrategy):
    """Start everything of Faust but its own Kafka clients: librdkafka carries the records."""

    enable_kafka = False


class MillraceApp(faust.App):
    """A Faust app whose agents are fed by engines."""

    BootStrategy = _WithoutKafka
    engines: tuple[Engine, ...] = ()
    embedded: EmbeddedBroker | None = None

    async def _wait_for_table_recovery_completed(self) -> bool:
        return False  # there are no Faust tables, nor the consumer that it would wait for

    def _create_directories(self) -> None:
        pass  # state is kept on Kafka, not in files

    async def on_stop(self) -> None:
        """End every agent's stream before Faust cancels the agents.

        Whom Faust cancels its supervisor may just be replacing, and for the replacement, which
        nobody cancels, it would wait for ever.
        """
        for engine in self.engines:
            engine.stop()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Commit, save state and leave the groups, once the agents have stopped."""
        for engine in self.engines:
            await engine.close()
        await super().on_shutdown()


def create_app(settings: Settings) -> MillraceApp:
    """Return the worker that the settings describe, connected to nothing yet but its broker.

    Raises
    ------
    SettingsError, DefinitionError
        There is no pipeline, or it is wrong.
    BrokerError
        The broker does not answer, or has topics that do not fit the pipeline.
    """
    if not settings.pipeline:
        raise SettingsError(
            "a worker requires a pipeline: --pipeline or MILLRACE_PIPELINE, as module:attribute"
            " or path/file.py:attribute; got none"
        )
    pipeline = load_pipeline(settings.pipeline)
    if settings.pipeline_name:
        pipeline = pipeline.with_name(settings.pipeline_name)
    app = MillraceApp(
        f"millrace-{pipeline.name}",
        broker="kafka://127.0.0.1:0",  # never used: see _WithoutKafka
        web_host=settings.web_host,
        web_port=settings.web_port,
        web_bind=settings.web_host,
        store="memory://",
        stream_wait_empty=False,
        producer_partitioner=None,
    )
    app.flow_control.resume()  # channels begin suspended, waiting for Faust's own consumer
    metrics = Metrics(pipeline.name)
    for name in unknown_settings(os.environ):
        _log.warning("no such setting", name=name)
    if settings.broker == EMBEDDED:
        app.embedded = EmbeddedBroker()
        settings = settings.model_copy(update={"broker": app.embedded.address})
        _log.info("embedded broker: at least once, gone with this process", at=settings.bootstrap)
    app.engines = _engines(pipeline, settings, metrics)
    for engine in app.engines:
        define_agent(app, engine)
    define_pages(app, app.engines, metrics)

    @app.timer(_PROGRESS_CHECK_SECONDS)  # type: ignore[untyped-decorator]  # Faust's own
    async def check_progress() -> None:
        for engine in app.engines:
            engine.check_progress()

    return app


def prepare_topics(pipeline: Pipeline, settings: Settings) -> dict[str, int]:
    """Create a pipeline's topics where they are missing; return the partitions of each.

    Raises
    ------
    BrokerError
        The broker does not answer, or has topics that do not fit each other.
    """
    prefix = topic_prefix(pipeline)
    wanted = topic_settings(
        settings.agents,
        prefix=prefix,
        partitions=settings.partitions,
        replication=settings.replication,
        retention_ms=int(settings.retention_hours * 3_600_000),
    )
    return ensure_topics(KafkaClients(settings), wanted)


def _engines(pipeline: Pipeline, settings: Settings, metrics: Metrics) -> tuple[Engine, ...]:
    partitions = prepare_topics(pipeline, settings)
    key = state_key(settings)
    clients = KafkaClients(settings)
    return tuple(
        make_engine(agent, pipeline, settings, clients, partitions, key, metrics)
        for agent in settings.agents
    )


def make_engine(
    agent: AgentSpec,
    pipeline: Pipeline,
    settings: Settings,
    clients: Clients,
    partitions: dict[str, int],
    key: bytes,
    metrics: Metrics,
) -> Engine:
    """Return the engine of one agent, connected to nothing yet.

    Parameters
    ----------
    clients
        Makes its Kafka clients, or fakes.
    partitions
        Topic, with prefix, to its number of partitions.
    key
        Signs the state.

    Raises
    ------
    BrokerError
        The agent's inputs have different numbers of partitions.
    """
    connect = make_connect(agent, pipeline, settings, clients, partitions, key, metrics)
    return Engine(
        agent.name,
        connect=connect,
        metrics=metrics,
        limit=BatchLimit(settings.batch_records),
        stall_seconds=settings.stall_seconds,
    )


def make_connect(
    agent: AgentSpec,
    pipeline: Pipeline,
    settings: Settings,
    clients: Clients,
    partitions: dict[str, int],
    key: bytes,
    metrics: Metrics,
) -> Callable[[], Session]:
    """Return what opens a session of one agent; see `make_engine`."""
    prefix = topic_prefix(pipeline)
    codec = TopicCodec(pipeline, settings.outputs)
    state = StateLog(pipeline, agent, clients, prefix, key)
    factory = TaskFactory(
        pipeline=pipeline,
        agent=agent,
        clean_partitions=partitions.get(f"{prefix}clean", 1),  # without it, nothing is routed
        max_event_bytes=settings.max_event_bytes,
        written_schema=written_schema(settings),
        load_models=state.load_models,
        clock_ms=lambda: time.time_ns() // 1_000_000,
    )
    topics = sorted(agent.reads)
    _check_partitions(agent, topics, partitions, prefix)
    takeover = Takeover(
        agent.name,
        clients=clients,
        factory=factory,
        state=state,
        metrics=metrics,
        accept_gaps=settings.accept_gaps,
    )
    publishes = "learning" in agent and "prediction" not in agent
    flush_seconds = settings.publish_seconds if publishes else settings.flush_seconds

    def connect() -> Session:
        guarantee = settings.guarantee
        return Session(
            agent.name,
            outbox=Outbox(agent.name, clients, prefix, codec, partitions, metrics, guarantee),
            open_inbox=partial(Inbox, agent.name, clients, prefix, topics, metrics),
            codec=codec,
            state=state,
            takeover=takeover,
            metrics=metrics,
            flush=Interval(flush_seconds),
            offsets=Interval(OFFSETS_SECONDS),
        )

    return connect


def _check_partitions(
    agent: AgentSpec, reads: list[str], partitions: dict[str, int], prefix: str
) -> None:
    """Refuse topics that one agent cannot read side by side."""
    counts = {prefix + topic: partitions[prefix + topic] for topic in reads}
    if len(set(counts.values())) > 1:
        raise BrokerError(
            f"agent {agent.name} requires topics with the same number of partitions; got {counts}"
        )


def __getattr__(name: str) -> MillraceApp:
    """Make `app` when it is first asked for, as `faust -A streams.app` does.

    So importing this module still starts nothing.
    """
    if name == "app":
        app = globals()["app"] = create_app(read_settings())
        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
