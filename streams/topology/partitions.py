"""How many partitions a pipeline's topics have, and whether they fit each other.

A task reads the same partition of each of its inputs, and keeps its state on that partition of its
state topics. So topics that are created are as wide as those that are there, topics of state are
at least as wide as what they are the state of, and an agent that keeps state takes inputs of equal
width only. An agent that routes takes any: on which partition a record comes does not matter to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.schemas import PartitionsError
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.names import full_name
from millrace.streams.topology.topics import (
    INPUTS,
    TOPICS,
    state_topics,
    topics_beside,
    topics_of,
)


def fitting_partitions(
    agents: Sequence[AgentSpec], present: Mapping[str, int], default: int
) -> dict[str, int]:
    """Return how many partitions each topic of a chain is to have.

    Parameters
    ----------
    present
        Topic to its partitions, of those that are there. Only topics of state may be given more.
    default
        Where nothing is there.

    Examples
    --------
    >>> from millrace.streams.topology.chain import parse_chain
    >>> counts = fitting_partitions(parse_chain("default"), {"events": 6}, default=4)
    >>> counts["evaluations"], {*counts.values()}
    (1, {1, 6})
    >>> counts = fitting_partitions(parse_chain("default"), {"events": 6, "clean": 4}, default=4)
    >>> [counts[each] for each in ("labels", "features", "state.ingest", "state.feature")]
    [6, 4, 6, 4]
    """
    sources = frozenset().union(*(each.sources for each in agents))
    inputs = INPUTS | sources
    between = {topic for each in agents for topic in each.reads} - inputs
    between -= {
        name for name, each in TOPICS.items() if each.partitions or each.is_as_wide_as_inputs
    }
    produced = [present[each] for each in inputs if each in present]
    internal = [present[each] for each in between if each in present and not _is_state(each)]
    width = max(produced or internal or [default])
    inner = max(internal or [width])
    counts = {each: present.get(each, width) for each in sources} | {
        topic.name: present.get(
            topic.name, topic.partitions or (width if topic.name in INPUTS else inner)
        )
        for topic in topics_of(agents)
    }
    widest = max(counts[topic] for topic in inputs)
    counts |= {each: max(counts[each], widest) for each in counts if is_widened(each)}
    for agent in agents:
        needed = max(counts[topic] for topic in agent.reads if not _is_state(topic))
        for topic in topics_beside(agent):
            counts[topic] = max(present.get(topic, 0), needed)
    return counts


def check_inputs(agent: AgentSpec, partitions: Mapping[str, int], prefix: str) -> None:
    """Refuse inputs that an agent cannot read side by side.

    Raises
    ------
    PartitionsError
        They have different numbers of partitions, and the agent keeps state by partition.

    Examples
    --------
    >>> from millrace.streams.topology.chain import parse_chain
    >>> (agent,) = parse_chain("full")
    >>> check_inputs(agent, {"events": 3, "labels": 1}, "p.")
    Traceback (most recent call last):
    millrace.schemas.errors.PartitionsError: the topics that agent ...
    >>> check_inputs(parse_chain("default")[0], {"events": 3, "labels": 1}, "p.")
    """
    reads = [topic for topic in sorted(agent.reads) if not is_widened(topic)]
    counts = {full_name(prefix, topic): partitions[topic] for topic in reads}
    if agent.routes or len({*counts.values()}) == 1:
        return
    most = max(counts.values())
    commands = "; ".join(
        f"kafka-topics.sh --alter --topic {topic} --partitions {most}"
        for topic, count in counts.items()
        if count < most
    )
    raise PartitionsError(
        f"the topics that agent {agent.name} reads must have the same number of partitions; got"
        f" {counts}. Add partitions ({commands}), or let ingest have an agent of its own (chain"
        " default), which takes any"
    )


def check_keys(agent: AgentSpec, topic: str, before: int, now: int, prefix: str) -> None:
    """Refuse an input that has more partitions than when the agent's state was made.

    Raises
    ------
    PartitionsError
        Keys are on other partitions than their models.
    """
    if before == now:
        return
    raise PartitionsError(
        f"topic {full_name(prefix, topic)} has {now} partitions, and had {before} when the state of"
        f" agent {agent.name} was saved: keys are on other partitions now than their models and"
        " windows. Give the pipeline another name, with topics of its own, and replay into it; or"
        f" delete the topics {', '.join(prefix + each for each in state_topics(agent))} to learn"
        " again from the log as it is"
    )


def is_widened(topic: str) -> bool:
    """Whether a topic, which is no state, is given more partitions when an input has more."""
    return topic in TOPICS and TOPICS[topic].is_as_wide_as_inputs


def _is_state(topic: str) -> bool:
    return topic in TOPICS and TOPICS[topic].is_compacted
