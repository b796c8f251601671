"""Making a prediction again: from the log alone, with the model version that made it.

A model is a function of its definition and a prefix of a log. So a prediction is made again by
passing the log through a new task, from its first record to the event, and must be identical. Where
the beginning of the log has expired, an archived state from before the event takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, RecordError, SettingsError
from millrace.schemas.records import Prediction, PublishedCertainty, PublishedReasons
from millrace.streams.kafka.admin import count_partitions, partition_counts
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end, watermarks
from millrace.streams.kafka.records import origin_of
from millrace.streams.kafka.registry import read_outputs
from millrace.streams.operators.class_names import as_published, has_boolean_classes
from millrace.streams.operators.columns import as_records
from millrace.streams.operators.record import Origin, PredictionRecord, Record, reject
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.tools.beginnings import beginnings
from millrace.streams.tools.defined import agent_definitions
from millrace.streams.tools.inputs import TaskInputs
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.names import full_name
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import topic_prefix

COMPARED = (
    *("value", "probabilities", "features", "model", "model_version", "reasons", "certainty"),
)

Progress = Callable[[str, int, int], object]
"""Called with what is read, how many records of it so far, and how many there are at most."""


@dataclass(frozen=True)
class Reproduction:
    """The published prediction of an event, and the one that the log leads to.

    Attributes
    ----------
    topic, partition, offset
        Where the event is in the log.
    records
        How many records of the log were read, to the event and including it.
    version
        The archived version that they were read from on; empty for the beginning of the log.
    """

    published: Prediction
    again: Prediction
    topic: str
    partition: int
    offset: int
    records: int
    version: str = ""

    @property
    def differences(self) -> dict[str, tuple[object, object]]:
        """Field to (as published, as made again), for those that are not identical."""
        published: dict[str, object] = {**self.published}
        again: dict[str, object] = {
            **self.again,
            "probabilities": _as_doubles(self.again["probabilities"]),
            "reasons": _as_written(self.again["reasons"]),
            "certainty": _certainty_as_written(self.again["certainty"]),
        }
        return {
            name: (published[name], again[name])
            for name in COMPARED
            if not _identical(published[name], again[name])
        }


def reproduce(
    clients: Clients, pipeline: Pipeline, settings: Settings, event_id: str, progress: Progress
) -> Reproduction:
    """Make the prediction of an event again.

    Raises
    ------
    SettingsError
        The event has no prediction, or prediction and learning have separate agents in this chain.
    BrokerError
        The broker does not answer, or its log does not lead to the prediction any more.
    """
    agent = _agent(settings, pipeline)
    prefix, codec = topic_prefix(pipeline), TopicCodec(pipeline, read_outputs(settings))
    partition, published = _find(clients, f"{prefix}predictions", event_id, codec, progress)
    if has_boolean_classes(pipeline):
        published = _named(published)
    there = partition_counts(clients)  # an earlier release had not all of them
    partitions = max(there.get(full_name(prefix, topic), 1) for topic in agent.reads)
    definitions = agent_definitions(clients, pipeline, settings, agent, partitions)
    for version, live, inputs in beginnings(
        clients, pipeline, settings, definitions, partition, published
    ):
        for count, origin in enumerate(inputs.in_order(), 1):
            topic = full_name(prefix, origin.topic)
            progress(f"reading {inputs}", count, inputs.records)
            for made in as_records(live.fold([origin]).made):
                if isinstance(made, PredictionRecord) and made.value["event_id"] == event_id:
                    found = (topic, partition, origin.offset, count, version)
                    result = Reproduction(published, made.value, *found)
                    _check_order(result, inputs)
                    return result
    raise BrokerError(
        f"event {event_id!r} was predicted, but is not in {inputs}: the prediction cannot be made"
        " again. Check that --pipeline and --chain are those of the worker"
    )


def _check_order(result: Reproduction, inputs: TaskInputs) -> None:
    """Refuse to call different what was predicted in another order.

    Raises
    ------
    BrokerError
        The order at that time is not known.
    """
    if result.differences and inputs.is_second:
        raise BrokerError(
            f"the order of events and labels is not in the log: event"
            f" {result.published['event_id']!r} was predicted before it was kept. What is kept is"
            " the order of a rebuild, since the saved state was lost later"
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


def _agent(settings: Settings, pipeline: Pipeline) -> AgentSpec:
    """Return the agent that predicts, if it learns, too."""
    agent = next(each for each in settings.agents_of(pipeline) if "prediction" in each)
    if "learning" not in agent:
        raise SettingsError(
            "chain must keep prediction and learning in one agent, as default and full do; got"
            f" {settings.chain!r}. Otherwise a prediction depends on when a model arrived, which"
            " the log does not say"
        )
    return agent


def _find(
    clients: Clients, topic: str, event_id: str, codec: TopicCodec, progress: Progress
) -> tuple[int, Prediction]:
    """Return the partition of an event's prediction, and the prediction."""
    partitions = range(count_partitions(clients, topic))
    marks = watermarks(clients, [(topic, each) for each in partitions])
    total = sum(each.high - each.low for each in marks.values())
    text = event_id.encode()
    for count, message in enumerate(read_to_end(clients, topic, partitions), 1):
        progress(f"searching {topic}", count, total)
        data = message.value() or b""
        if text not in data and not data.startswith(b"{"):  # JSON may have escaped it
            continue  # decoding them all would take minutes
        record = codec.decode(origin_of(message, topic.removesuffix("predictions")))
        if isinstance(record, PredictionRecord) and record.value["event_id"] == event_id:
            return message.partition() or 0, record.value
    raise SettingsError(
        f"event {event_id!r} has no prediction on topic {topic}: it was not predicted yet, was"
        " rejected, or the prediction has expired"
    )


def _named(prediction: Prediction) -> Prediction:
    """Return a prediction of any release with classes as this one names them."""
    (probabilities,) = as_published([prediction["probabilities"]])
    return {**prediction, "probabilities": probabilities}


def _as_doubles(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return numbers as they are written: River's logistic regression may answer int 0."""
    return {name: float(each) for name, each in numbers.items()}


def _as_written(reasons: PublishedReasons | None) -> PublishedReasons | None:
    """Return reasons as they are written: a weight that has learned nothing may be int 0."""
    if reasons is None:
        return None
    written = reasons.copy()
    written["base"], written["rest"] = float(reasons["base"]), float(reasons["rest"])
    written["contributions"] = _as_doubles(reasons["contributions"])
    return written


def _certainty_as_written(certainty: PublishedCertainty | None) -> PublishedCertainty | None:
    """Return a certainty as it is written: probabilities may be int, as elsewhere."""
    if certainty is None:
        return None
    return {**certainty, "classes": _as_doubles(certainty["classes"])}


def _identical(one: object, other: object) -> bool:
    """Whether two values are the same to the last bit; the entries of a map have no order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_identical(one[k], other[k]) for k in one)
    return repr(one) == repr(other)
