"""Putting an agent's runtime together: the one place that knows how its parts are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import TopicSource
from millrace.schemas import SnapshotError
from millrace.streams.interval import Interval
from millrace.streams.kafka.identity import Identity
from millrace.streams.kafka.protocols import Clients, Config
from millrace.streams.kafka.registry import written_outputs, written_schema
from millrace.streams.kafka.sizes import SizeLimits
from millrace.streams.kafka.stall import CHECK_SECONDS, StallDetector
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.context import CommandTopic
from millrace.streams.runtime.archiving import Archiver
from millrace.streams.runtime.definitions import AgentDefinitions, Definitions
from millrace.streams.runtime.engine import Engine
from millrace.streams.runtime.folding import FoldingNote
from millrace.streams.runtime.inbox import Inbox, RebalanceListener
from millrace.streams.runtime.lag import Lag
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.runtime.session import Session
from millrace.streams.runtime.takeover import Takeover
from millrace.streams.runtime.topic_watch import TopicWatch
from millrace.streams.settings import Settings
from millrace.streams.state.archive.restoring import version_loader
from millrace.streams.state.log import StateLog
from millrace.streams.state.parts import part_bytes
from millrace.streams.state.signing import keys_of
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.names import full_name, short_name
from millrace.streams.topology.partitions import check_inputs
from millrace.streams.topology.sources import sources_of
from millrace.streams.topology.topics import (
    shown_name,
    topic_prefix,
    topics_beside,
    writes_outputs_only,
)

_BACKOFF_SECONDS = 0.1
_OFFSETS_SECONDS = 0.1  # between commits without a transaction: a broker is slow to store offsets


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Assembly:
    """What the engine of one agent is made of.

    Parameters
    ----------
    agent, definitions, settings
        What is run, and how.
    clients
        Makes its Kafka clients, or fakes.
    partitions
        Topic, with prefix, to its number of partitions.
    key
        Signs the state.
    metrics
        Where what happens is counted.
    clock
        Seconds, monotonic.
    clock_ms
        Milliseconds since the Unix epoch: stamped on predictions.
    archiver
        Keeps versions of the state; None: nobody does.
    sizes
        Which sizes of records were refused, in this session of the agent or an earlier one.
    note
        Where it is said what is being folded.
    seen
        Which topics the agent has read, in this session or an earlier one.
    schema_ids
        Avro type of an output to the id that the registry has given its schema.
    """

    agent: AgentSpec
    definitions: Definitions
    settings: Settings
    clients: Clients
    partitions: Mapping[str, int]
    key: bytes
    metrics: Metrics
    clock: Callable[[], float] = time.monotonic
    clock_ms: Callable[[], int] = _now_ms
    archiver: Archiver | None = None
    sizes: SizeLimits = field(default_factory=SizeLimits)
    note: FoldingNote = field(default_factory=FoldingNote)
    seen: dict[str, Identity] = field(default_factory=dict)
    schema_ids: Mapping[str, int] = field(default_factory=dict)

    def engine(
        self,
        backoff_seconds: float = _BACKOFF_SECONDS,
        on_refused: Callable[[SnapshotError], object] = lambda _: None,
    ) -> Engine:
        """Return the agent's engine, connected to nothing yet.

        Parameters
        ----------
        backoff_seconds
            Before it restarts after an error; doubled with every failure in a row.
        on_refused
            Called where saved state cannot be loaded.

        Raises
        ------
        BrokerError
            The agent's inputs have different numbers of partitions.
        """
        reads = {
            topic: self.partitions[full_name(self._prefix, topic)] for topic in self.agent.reads
        }
        check_inputs(self.agent, reads, self._prefix)
        shown = [shown_name(self._prefix, topic) for topic in self.agent.reads]
        self.metrics.begin(self.agent.name, shown, topics_beside(self.agent))
        return Engine(
            self.agent.name,
            connect=self.connect,
            metrics=self.metrics,
            most_records=self.settings.batch_records,
            stall_seconds=self.settings.stall_seconds,
            backoff_seconds=backoff_seconds,
            outage=self.clients.outage,
            on_refused=on_refused,
        )

    def connect(self) -> Session:
        """Return a session: a consumer in the agent's group, producers, no tasks yet.

        It reads the sources of the definition in force, until that has others.
        """
        sources = self._sources()
        now = replace(self, agent=replace(self.agent, sources=frozenset(sources)))
        return now._session(lambda: self._sources().keys() != sources.keys())

    def _sources(self) -> Mapping[str, TopicSource]:
        if "ingest" not in self.agent:
            return {}
        in_force = self.definitions.find(self.definitions.in_force)
        return sources_of(in_force, self.settings.topics)

    def _session(self, is_outdated: Callable[[], bool]) -> Session:
        state = self._state_log()
        topics = {*self.agent.reads, *topics_beside(self.agent)}
        check = Interval(CHECK_SECONDS, self.clock)
        watch = TopicWatch(self.agent.name, self.clients, self._prefix, topics, check)
        definitions = AgentDefinitions(
            self.definitions,
            self._factory(state),
            written_outputs(self.settings, self.schema_ids),
        )
        codec = definitions(self.definitions.in_force).codec
        return Session(
            self.agent.name,
            state_outbox=self._outbox(codec),
            outbox=self._outbox(codec, self._compressed),
            open_inbox=partial(self._inbox, watch),
            definitions=definitions,
            state=state,
            takeover=self._takeover(definitions, state, watch),
            metrics=self.metrics,
            flush=Interval(self._flush_seconds, self.clock),
            offsets=Interval(_OFFSETS_SECONDS, self.clock),
            clock=self.clock,
            note=self.note,
            archiver=self.archiver,
            is_outdated=is_outdated,
        )

    def _state_log(self) -> StateLog:
        skipped, name = self.metrics.state_skipped, self.agent.name
        return StateLog(
            self.pipeline,
            self.agent,
            self.clients,
            self._prefix,
            self.key,
            on_skipped=lambda topic: skipped.labels(name, topic).inc(),
            on_lost=lambda: self.metrics.state_lost.labels(name).inc(),
            find=self.definitions.find,
            renamed=self.definitions.renamed,
            part_bytes=part_bytes(self.settings.kafka.get("message.max.bytes")),
        )

    @property
    def pipeline(self) -> Pipeline:
        """The worker's own definition."""
        return self.definitions.find(self.definitions.own)

    @property
    def _prefix(self) -> str:
        return topic_prefix(self.pipeline)

    @property
    def _flush_seconds(self) -> float:
        publishes = "learning" in self.agent and "prediction" not in self.agent
        return self.settings.publish_seconds if publishes else self.settings.flush_seconds

    @property
    def _commands_to(self) -> CommandTopic:
        """The first topic that joins two agents."""
        name = next(
            each for each in ("clean", "control") if f"{self._prefix}{each}" in self.partitions
        )
        return CommandTopic(name, self.partitions[self._prefix + name])

    def _inbox(self, watch: TopicWatch, listener: RebalanceListener) -> Inbox:
        return Inbox(
            self.agent.name,
            self.clients,
            self._prefix,
            sorted(self.agent.reads),
            self.metrics,
            StallDetector(clock=self.clock),
            watch,
            Lag(self.agent.name, self.metrics, self.clock, self._prefix),
            listener,
        )

    @property
    def _compressed(self) -> Config:
        """How outputs are compressed, where the agent writes nothing else beside them."""
        there = {short_name(self._prefix, topic) for topic in self.partitions}
        is_theirs = writes_outputs_only(self.agent, there)
        return {"compression.type": self.settings.compression} if is_theirs else {}

    @property
    def _command_key(self) -> bytes:
        return self.settings.command_key.get_secret_value().encode()

    def _outbox(self, codec: TopicCodec, config: Config | None = None) -> Outbox:
        return Outbox(
            self.agent.name,
            self.clients,
            self._prefix,
            codec,
            self.partitions,
            self.metrics,
            self.settings.guarantee,
            self.sizes,
            config,
            self._command_key,
        )

    def _factory(self, state: StateLog) -> TaskFactory:
        return TaskFactory(
            pipeline=self.pipeline,
            agent=self.agent,
            # A chain without the topic routes nothing to it.
            clean_partitions=self.partitions.get(f"{self._prefix}clean", 1),
            commands_to=self._commands_to,
            command_key=self._command_key,
            bundle_keys=keys_of(self.key),
            max_event_bytes=self.settings.max_event_bytes,
            topic_names=self.settings.topics,
            written_schema=written_schema(self.settings),
            load_models=state.published.changes,
            load_version=version_loader(
                *(self.settings, self.pipeline, self.clients, self.key),
                find=self.definitions.find,
                renamed=self.definitions.renamed,
            ),
            clock_ms=self.clock_ms,
        )

    def _takeover(
        self, definitions: AgentDefinitions, state: StateLog, watch: TopicWatch
    ) -> Takeover:
        return Takeover(
            self.agent.name,
            clients=self.clients,
            definitions=definitions,
            state=state,
            watch=watch,
            metrics=self.metrics,
            accept_gaps=self.settings.accept_gaps,
            starts={topic: each.start for topic, each in self._sources().items()},
            seen=self.seen,
        )
