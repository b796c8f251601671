"""The undisturbed run: the log `clean`, folded once, in one process, without Kafka.

This is the definition of what a pipeline must come to. Each agent of the chain gets a fresh task
for each partition; what one writes, the next reads. Beside them control folds the commands, and
selection the evaluations of all partitions, both as they lie on the broker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import Message
from msgspec.structs import replace

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.records import origin_of
from millrace.streams.operators.columns import as_records
from millrace.streams.operators.record import Origin, Record
from millrace.streams.settings import Settings
from millrace.streams.tools.defined import agent_definitions
from millrace.streams.topology.chain import AGENTS_BESIDE, parse_chain
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.task import Task

_STAMP = "prediction_time_ms"
_UNSTAMPED = 0
_AS_THEY_LIE = ("clean", "commands", "evaluations")
"""Topics whose order does not follow from the log: several have written to each."""


@dataclass
class Folded:
    """What one partition comes to.

    Attributes
    ----------
    topics
        Topic, and the agent that writes it, to the records on it.
    tasks
        Agent to its task, at the end of the log.
    covers
        Agent to its input topic and the offset behind its last record.
    """

    topics: dict[tuple[str, str], list[Record]] = field(default_factory=lambda: defaultdict(list))
    tasks: dict[str, Task] = field(default_factory=dict)
    covers: dict[str, dict[str, int]] = field(default_factory=dict)

    def of(self, topic: str) -> list[Record]:
        """Return what the one agent that writes a topic puts there."""
        return next((made for (name, _), made in self.topics.items() if name == topic), [])


def fold_partition(
    pipeline: Pipeline, settings: Settings, logs: dict[str, list[Message]], partitions: int
) -> Folded:
    """Fold one partition of `clean` through every agent after ingest.

    Parameters
    ----------
    logs
        Topic, without prefix, to its records in this partition. Only `clean` is folded, and where
        they are, `commands` and `evaluations`; of the topics between agents it is the offsets and
        timestamps that are taken, since dead letters name them.
    """
    prefix, codec = f"{pipeline.name}.", TopicCodec(pipeline)
    folded = Folded()
    clients = KafkaClients(settings)
    beside = [each for each in AGENTS_BESIDE if each.reads <= logs.keys()]
    for agent in (*parse_chain(settings.chain)[1:], *beside):
        definitions = agent_definitions(clients, pipeline, settings, agent, partitions)
        live, (topic,) = definitions.live(""), agent.reads
        if topic in _AS_THEY_LIE:
            origins = [origin_of(each, prefix) for each in logs[topic]]
        else:
            origins = [*_written(folded.of(topic), logs.get(topic, []), prefix, codec)]
        if origins:
            folded.covers[agent.name] = {topic: origins[-1].offset + 1}
        for origin in origins:
            made, undecodable, _ = live.fold([origin])
            for each in (*as_records(made), *undecodable):
                folded.topics[each.topic, agent.name].append(each)
        folded.tasks[agent.name] = live.task
    return folded


def _written(
    records: list[Record], there: list[Message], prefix: str, codec: TopicCodec
) -> Iterable[Origin]:
    """Return records as they are read again from the topic that they were written to."""
    for index, record in enumerate(records):
        if index < len(there):
            origin = origin_of(there[index], prefix)
        else:  # which is a difference of its own
            origin = record.origin._replace(topic=record.topic)
        is_stamped = record.topic == "predictions" and index < len(there)
        value = {**record.value, _STAMP: _stamp(origin)} if is_stamped else record.value
        key, data = codec.encode(replace(record, value=value))
        yield origin._replace(key=key, value=data)


def _stamp(origin: Origin) -> int:
    """Return when a prediction was made: what alone of it does not follow from the log."""
    stamp: int = shipped("prediction").decode(origin.value or b"")[_STAMP]
    return stamp


def unstamped(prediction: dict[str, object]) -> dict[str, object]:
    """Return a prediction without the time at which it was made."""
    return {**prediction, _STAMP: _UNSTAMPED}
