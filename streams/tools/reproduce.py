"""Making a prediction again: from the log alone, with the model version that made it.

Beside the flow: a model is a function of its definition and a prefix of a log. So a prediction
is made again by passing the log through a fresh task, from its first record to the event, and
must come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, RecordError, SettingsError, shipped
from millrace.schemas.records import Prediction
from millrace.streams.formats import FORMATS
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end, watermarks
from millrace.streams.kafka.records import origin_of
from millrace.streams.kafka.registry import written_schema
from millrace.streams.operators.record import Origin, PredictionRecord, Record, reject
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import topic_prefix

COMPARED = ("value", "probabilities", "features", "model", "model_version")

Progress = Callable[[str, int, int], object]
"""Told what is read, how many records of it so far, and how many there are at the most."""


@dataclass(frozen=True)
class Reproduction:
    """A prediction, and the one that the log leads to.

    Attributes
    ----------
    topic, partition, offset
        Where the event is in the log that was passed through.
    records
        How many records that were.
    """

    served: Prediction
    again: Prediction
    topic: str
    partition: int
    offset: int
    records: int

    @property
    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Field to (as served, as made again), for those that are not identical."""
        served: dict[str, Any] = {**self.served}
        again: dict[str, Any] = {**self.again}
        return {
            name: (served[name], again[name])
            for name in COMPARED
            if repr(served[name]) != repr(again[name]) and not _same_map(served[name], again[name])
        }


def reproduce(
    pipeline: Pipeline, settings: Settings, event_id: str, progress: Progress
) -> Reproduction:
    """Make the prediction of an event again.

    Raises
    ------
    SettingsError
        The event has no prediction, or prediction and learning are apart in this chain.
    BrokerError
        The broker does not answer, or its log does not lead to the prediction any more.
    """
    agent = _agent(settings)
    prefix = topic_prefix(pipeline)
    clients = KafkaClients(settings)
    partition, served = find_prediction(clients, f"{prefix}predictions", event_id, progress)
    topic, records = _input_topic(pipeline, clients, agent, partition)
    task = task_factory(pipeline, settings, agent, count_partitions(clients, topic)).make()
    codec = TopicCodec(pipeline)
    for count, message in enumerate(read_to_end(clients, topic, [partition]), 1):
        progress(f"folding {topic}[{partition}]", count, records)
        origin = origin_of(message, prefix)
        for made in fold(task, [origin], codec):
            if isinstance(made, PredictionRecord) and made.value["event_id"] == event_id:
                return Reproduction(served, made.value, topic, partition, origin.offset, count)
    raise BrokerError(
        f"reproduce requires the event in {topic}[{partition}], which led to its prediction;"
        f" got none with the id {event_id!r}"
    )


def find_prediction(
    clients: Clients, topic: str, event_id: str, progress: Progress
) -> tuple[int, Prediction]:
    """Return an event's prediction and its partition.

    Raises
    ------
    SettingsError
        There is none.
    """
    partitions = range(count_partitions(clients, topic))
    marks = watermarks(clients, [(topic, each) for each in partitions])
    total = sum(each.high for each in marks.values())
    wanted = event_id.encode()
    for count, message in enumerate(read_to_end(clients, topic, partitions), 1):
        progress(f"searching {topic}", count, total)
        data = message.value() or b""
        if wanted not in data and not data.startswith(b"{"):  # decoding all would take minutes
            continue
        prediction: Prediction = _decoded(data)
        if prediction["event_id"] == event_id:
            return message.partition() or 0, prediction
    raise SettingsError(
        f"reproduce requires an event that has a prediction on {topic}; got none for {event_id!r}"
        " (not predicted yet, rejected, or gone by the topic's retention)"
    )


def task_factory(
    pipeline: Pipeline, settings: Settings, agent: AgentSpec, partitions: int
) -> TaskFactory:
    """Return what makes an agent's tasks outside a worker: its predictions carry no time."""

    def refuse(_: bytes) -> ModelSet:
        raise SettingsError("a chain with prediction apart from learning has no model of its own")

    return TaskFactory(
        pipeline=pipeline,
        agent=agent,
        clean_partitions=partitions,
        max_event_bytes=settings.max_event_bytes,
        written_schema=written_schema(settings),
        load_models=refuse,
        clock_ms=lambda: 0,
    )


def fold(task: Task, origins: Iterable[Origin], codec: TopicCodec) -> Iterator[Record]:
    """Pass records through a task as the engine does; yield what it would write."""
    for origin in origins:
        try:
            record = codec.decode(origin)
        except RecordError as error:
            yield reject(origin, error.reason, error.detail)
        else:
            yield from task.run(Slice([record]))


def _agent(settings: Settings) -> AgentSpec:
    agent = next(each for each in settings.agents if "prediction" in each)
    if "learning" not in agent:
        raise SettingsError(
            "reproduce requires a chain that keeps prediction and learning together, where a"
            " prediction follows from one log (--chain default or full);"
            f" got {settings.chain!r}, where it depends on when a model arrived"
        )
    return agent


def _input_topic(
    pipeline: Pipeline, clients: Clients, agent: AgentSpec, partition: int
) -> tuple[str, int]:
    """Return the one topic that the agent's task was fed from, if it is all there, and its size."""
    prefix = topic_prefix(pipeline)
    marks = watermarks(clients, [(prefix + topic, partition) for topic in agent.reads])
    for (topic, _), (low, _) in marks.items():
        if low > 0:
            raise BrokerError(
                f"reproduce requires {topic}[{partition}] from its first record on; got offset"
                f" {low} as the oldest that retention has left (setting retention_hours)"
            )
    used = [topic for (topic, _), (_, high) in marks.items() if high > 0]
    if len(used) > 1:
        raise BrokerError(
            f"reproduce requires one log that fixes the order of all inputs; got {used}, whose"
            " order in chain 'full' is known only since the last saved state. Events that carry"
            " their labels, labels produced to `events`, or chain 'default' keep it"
        )
    if not used:
        raise BrokerError(f"reproduce requires records on {[*marks]}; got none")
    return used[0], marks[used[0], partition].high


def _decoded(data: bytes) -> Prediction:
    prediction = shipped("prediction")
    form = next((each for each in FORMATS.values() if each.recognises(data)), FORMATS["avro"])
    return cast(Prediction, form.decode(prediction, data))


def _same_map(served: Any, again: Any) -> bool:
    """Whether two maps hold the same in another order: Avro gives them none."""
    if not isinstance(served, dict) or not isinstance(again, dict):
        return False
    return {k: repr(v) for k, v in served.items()} == {k: repr(v) for k, v in again.items()}
