"""The topics of a pipeline: this table says all that is known of each one.

A topic's full name is the pipeline's name, a dot, and the name here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.names import full_name

if TYPE_CHECKING:
    from millrace.models.pipeline.definition import Pipeline

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""Limit of the topics that Millrace writes: room for a large model, or a large dead letter."""

_COMPACTED_SOON = {  # by default Kafka would keep every model of a week, or of a gigabyte
    "segment.bytes": str(4 * MAX_RECORD_BYTES),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
}


INTERNAL_COMPRESSION = "lz4"
"""How a producer compresses, unless all that it writes is outputs."""

_LONG = 10

_UNCOMPRESSED = {"none": "uncompressed"}  # what brokers call it


class Use(StrEnum):
    """Who a topic is for."""

    INPUT = "you produce"
    CONTROL = "you operate"
    OUTPUT = "you consume"
    INTERNAL = "internal"


PIPELINE_KEY = "pipeline key"
"""The event's key if it has one, else its id."""

_ANY_KEY = "your choice"


@dataclass(frozen=True)
class Topic:
    """What is known of a topic.

    Parameters
    ----------
    name
        Without the pipeline's prefix.
    use
        Who it is for.
    types
        Avro types of its records, besides a user's own.
    holds
        What is in it, for people.
    key
        What its records have as their key, for people.
    is_compacted
        Whether the broker keeps the newest record of each key, rather than those of some time.
    is_kept
        Whether the broker keeps all records for ever.
    is_kept_long
        Whether it keeps them ten times as long as the retention that is set.
    is_stamped_by_broker
        Whether the time of a record is that at which the broker has received it.
    partitions
        How many it has, whatever the others have; None for as many as they.
    is_as_wide_as_inputs
        Whether it has as many partitions as the widest input, and is given more when that is.
    """

    name: str
    use: Use
    types: tuple[str, ...]
    holds: str
    key: str = PIPELINE_KEY
    is_compacted: bool = False
    is_kept: bool = False
    is_kept_long: bool = False
    is_stamped_by_broker: bool = False
    partitions: int | None = None
    is_as_wide_as_inputs: bool = False


_ACCEPTED = "AcceptedCommand"

DEFINITIONS = "definitions"
"""Name of the topic that bundles are published to."""

TOPICS: Mapping[str, Topic] = {
    each.name: each
    for each in (
        Topic("events", Use.INPUT, ("Label",), "Events, in your own schema.", _ANY_KEY),
        Topic("labels", Use.INPUT, ("Label",), "Labels, whenever they become known.", _ANY_KEY),
        Topic(
            *("commands", Use.CONTROL, ("Command",), "What is asked for.", _ANY_KEY),
            is_kept=True,
            is_stamped_by_broker=True,
            partitions=1,
        ),
        Topic(
            *("control", Use.INTERNAL, (_ACCEPTED,), "Accepted commands.", "command id"),
            is_as_wide_as_inputs=True,
        ),
        Topic(
            "clean",
            Use.INTERNAL,
            ("Event", "Label", "Removal", _ACCEPTED),
            "Valid events and labels, in one order.",
        ),
        Topic(
            "features",
            Use.INTERNAL,
            ("FeatureVector", "Label", "Removal", _ACCEPTED),
            "What models see of events.",
        ),
        Topic("predictions", Use.OUTPUT, ("Prediction",), "A prediction for each event."),
        Topic("outcomes", Use.OUTPUT, ("Outcome",), "What became of each event and label."),
        Topic(
            *("evaluations", Use.OUTPUT, ("Evaluation",), "How each candidate does, by blocks."),
            key="partition of the events",
            is_kept_long=True,
            is_stamped_by_broker=True,
            partitions=1,
        ),
        Topic("examples", Use.INTERNAL, ("Example", _ACCEPTED), "Labelled events, for learning."),
        Topic(
            *("models", Use.INTERNAL, ("ModelSnapshot",), "The newest models.", "scope key"),
            is_compacted=True,
        ),
        Topic(
            *(DEFINITIONS, Use.INTERNAL, (), "Signed bundles of definitions.", "digest"),
            is_compacted=True,
            partitions=1,
        ),
        Topic(
            "alerts", Use.OUTPUT, ("Alert",), "Drift that was detected, with evidence.", "source"
        ),
        Topic(
            *("audit", Use.OUTPUT, ("Audit",), "Who has changed what, and why.", "subject"),
            is_kept=True,
        ),
        Topic(
            *("rejects", Use.OUTPUT, ("Reject",), "Records that could not be used, and why."),
            key="as it came",
        ),
    )
}
"""Name to topic, in the order of the flow; each agent's topics of state and order come on top."""

INPUTS = frozenset(name for name, each in TOPICS.items() if each.use is Use.INPUT)
PRODUCED = INPUTS | {name for name, each in TOPICS.items() if each.use is Use.CONTROL}
"""The topics that others write to, in what form they like."""


def is_produced(topic: str) -> bool:
    """Whether others write to a topic: one of those, or one of the user's own."""
    return topic in PRODUCED or topic not in TOPICS


def is_own(topic: str) -> bool:
    """Whether Millrace writes to a topic, by what it is called here.

    Examples
    --------
    >>> is_own("predictions"), is_own("state.ingest"), is_own("events"), is_own("@predictions")
    (True, True, False, False)
    """
    is_beside = topic.startswith((_STATE, _ORDER))
    return is_beside or (topic in TOPICS and topic not in INPUTS)


def is_source(topic: str) -> bool:
    """Whether a topic is one that the user has, by what it is called here.

    Examples
    --------
    >>> is_source("@payments"), is_source("payments"), is_source("events"), is_source("state.drift")
    (True, True, False, False)
    """
    return topic not in TOPICS and not topic.startswith((_STATE, _ORDER))


def shown_name(prefix: str, topic: str) -> str:
    """Return what metrics call a topic: those of every pipeline without prefix, others in full.

    Examples
    --------
    >>> [shown_name("fraud.", each) for each in ("events", "@payments", "payments")]
    ['events', 'payments', 'fraud.payments']
    """
    return full_name(prefix, topic) if is_source(topic) else topic


OUTPUTS = frozenset(name for name, each in TOPICS.items() if each.use is Use.OUTPUT)
INTERNAL = frozenset(name for name, each in TOPICS.items() if each.use is Use.INTERNAL)
CARRIERS = frozenset(name for name, each in TOPICS.items() if _ACCEPTED in each.types)
"""The topics in which commands pass through, at their places."""

_STATE, _ORDER = "state.", "order."
_KEPT_FOR = {"learning": "models", "control": DEFINITIONS}  # operator to what is kept beside it


@dataclass(frozen=True)
class TopicSettings:
    """How a broker is asked to keep a topic."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


def topic_prefix(pipeline: Pipeline) -> str:
    """Return the start of the names of a pipeline's topics and groups."""
    return f"{pipeline.name}."


def state_topic(agent: AgentSpec) -> str:
    """Return the name, without prefix, of the topic that holds an agent's state."""
    return _STATE + agent.name


def state_topics(agent: AgentSpec) -> list[str]:
    """Return the names, without prefix, of all topics that hold an agent's state."""
    return [state_topic(agent), *(["models"] if "learning" in agent else [])]


def order_topic(agent: AgentSpec) -> str:
    """Return the name, without prefix, of the topic that holds the order of an agent's inputs."""
    return _ORDER + agent.name


def topics_beside(agent: AgentSpec) -> list[str]:
    """Return the names, without prefix, of all topics that only this agent uses."""
    return [*state_topics(agent), *([order_topic(agent)] if agent.keeps_order else [])]


def topics_of(agents: Iterable[AgentSpec]) -> list[Topic]:
    """Return the topics that a chain needs, in the order of the flow.

    An internal topic that joins two operators of one agent is not among them.
    """
    agents = [*agents]
    reads = frozenset().union(*(each.reads for each in agents))
    writes = frozenset().union(*(each.writes for each in agents))
    kept = {topic for operator, topic in _KEPT_FOR.items() if any(operator in a for a in agents)}
    wanted = INPUTS | (writes & OUTPUTS) | (reads & {*TOPICS}) | kept
    states = [
        Topic(state_topic(each), Use.INTERNAL, (), f"State of {each.name}.", "", is_compacted=True)
        for each in agents
    ]
    orders = [
        Topic(
            order_topic(each), Use.INTERNAL, (), f"In which order {each.name} took its inputs.", ""
        )
        for each in agents
        if each.keeps_order
    ]
    return [each for name, each in TOPICS.items() if name in wanted] + states + orders


def writes_outputs_only(agent: AgentSpec, there: Container[str]) -> bool:
    """Whether each topic that an agent writes, of those that are there, is an output."""
    return all(topic in OUTPUTS for topic in agent.writes if topic in there)


def topic_settings(
    agents: Iterable[AgentSpec],
    *,
    prefix: str,
    partitions: int,
    replication: int,
    retention_ms: int,
    compression: str = INTERNAL_COMPRESSION,
) -> list[TopicSettings]:
    """Return how a broker is to keep the topics that a chain needs.

    Parameters
    ----------
    compression
        Of outputs. A producer compresses all that it writes alike, so the broker changes that of
        the outputs that come with records of internal topics.
    """
    agents = [*agents]
    topics = topics_of(agents)
    there = {each.name for each in topics}
    mixed = {
        topic
        for agent in agents
        if compression != INTERNAL_COMPRESSION and not writes_outputs_only(agent, there)
        for topic in agent.writes & OUTPUTS
    }
    recompressed = {"compression.type": _UNCOMPRESSED.get(compression, compression)}
    large = {"max.message.bytes": str(MAX_RECORD_BYTES)}
    delete = {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}
    keep_long = delete | {"retention.ms": str(_LONG * retention_ms)}
    keep = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    compact = {"cleanup.policy": "compact", **_COMPACTED_SOON}
    return [
        TopicSettings(
            name=prefix + topic.name,
            partitions=topic.partitions or partitions,
            replication=replication,
            config=(
                compact
                if topic.is_compacted
                else keep
                if topic.is_kept
                else keep_long
                if topic.is_kept_long
                else delete
            )
            | ({} if topic.use is Use.INPUT else large)
            | ({"message.timestamp.type": "LogAppendTime"} if topic.is_stamped_by_broker else {})
            | (recompressed if topic.name in mixed else {}),
        )
        for topic in topics
    ]
