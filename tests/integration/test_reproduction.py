"""A prediction is made again from the log alone, or it is said why it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sample_events import sample_vectors
from millrace.models.pipelines.loans import applications
from millrace.models.pipelines.loans import pipeline as loans
from millrace.schemas import BrokerError, SettingsError
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.operators.record import EventRecord, Origin, Record
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.state.log import StateLog
from millrace.streams.tools.defined import task_factory
from millrace.streams.tools.inspect_state import describe, inspect_state
from millrace.streams.tools.reproduce import Reproduction, reproduce
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.task import Task

EVENTS = 60
LEARNER = AgentSpec(("prediction", "learning"))


@pytest.fixture
def make_log(
    kafka: str, request: pytest.FixtureRequest
) -> Callable[..., tuple[Pipeline, Settings]]:
    """Write features and the predictions that follow from them, as a worker would."""

    def make(
        change: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> tuple[Pipeline, Settings]:
        pipeline = loans.with_name(f"again-{abs(hash(request.node.name))}")
        settings = Settings(broker=kafka, state_key="secret", partitions=1)
        prepare_topics(KafkaClients(settings), pipeline, settings)
        producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
        codec, task = TopicCodec(pipeline), learning(pipeline, settings)
        for record in vectors(pipeline, settings):
            send(producer, codec, pipeline, record)
            for made in task.run(Slice([record])):
                if made.topic == "predictions":
                    change(made.value)
                    send(producer, codec, pipeline, made)
        save(producer, pipeline, settings, task)
        assert producer.flush(10) == 0
        return pipeline, settings

    return make


def learning(pipeline: Pipeline, settings: Settings) -> Task:
    return task_factory(pipeline, settings, LEARNER, 1).make()


def vectors(pipeline: Pipeline, settings: Settings) -> list[Record]:
    task = task_factory(pipeline, settings, AgentSpec(("feature",)), 1).make()
    made = []
    for offset, each in enumerate(islice(applications(EVENTS), EVENTS)):
        label = each.pop("granted")
        event = {
            "event_id": each["application_id"],
            "key": None,
            "event_time_ms": each["applied_at"],
            "label": label,
            "fields": each,
        }
        origin = Origin("clean", 0, offset, 0, None, None)
        made += task.run(Slice([EventRecord(event, origin)]))
    return made


def send(producer: Producer, codec: TopicCodec, pipeline: Pipeline, record: Record) -> None:
    key, value = codec.encode(record)
    producer.produce(f"{pipeline.name}.{record.topic}", value, key, partition=0)


def save(producer: Producer, pipeline: Pipeline, settings: Settings, task: Task) -> None:
    log = StateLog(pipeline, LEARNER, KafkaClients(settings), f"{pipeline.name}.", b"secret")
    for entry in log.flush(0, task, {"features": EVENTS}, 1):
        topic = f"{pipeline.name}.{entry.topic}"
        producer.produce(topic, entry.value, entry.key, partition=0, headers=entry.headers)


def again(pipeline: Pipeline, settings: Settings, event_id: str = "50") -> Reproduction:
    return reproduce(KafkaClients(settings), pipeline, settings, event_id, lambda *_: None)


def test_makes_the_same_prediction_again(make_log: Callable[..., Any]) -> None:
    """Value, probabilities, features, model and version are identical."""
    result = again(*make_log())

    assert result.differences == {}
    assert result.published["model_version"] == 50
    assert (result.offset, result.records) == (50, 51)


def test_says_what_differs(make_log: Callable[..., Any]) -> None:
    """A prediction that is not what the log leads to is found out, field by field."""

    def forge(prediction: dict[str, Any]) -> None:
        prediction["model_version"] += 1

    assert again(*make_log(forge)).differences == {"model_version": (51, 50)}


def test_names_an_event_without_a_prediction(make_log: Callable[..., Any]) -> None:
    """An unknown event is an error that says so."""
    with pytest.raises(SettingsError, match="event 'nobody' has no prediction"):
        again(*make_log(), "nobody")


def test_refuses_a_chain_in_which_models_arrive_at_any_time(make_log: Callable[..., Any]) -> None:
    """Where prediction is apart from learning, the log alone does not lead to a prediction."""
    pipeline, settings = make_log()

    with pytest.raises(SettingsError, match="keep prediction and learning in one agent"):
        again(pipeline, settings.model_copy(update={"chain": "split"}))


def test_refuses_a_log_without_its_beginning(kafka: str, make_log: Callable[..., Any]) -> None:
    """Where retention has removed the first records, it says which is the oldest."""
    pipeline, settings = make_log()
    topic = f"{pipeline.name}.features"
    admin = AdminClient({"bootstrap.servers": kafka})
    deleted = admin.delete_records([TopicPartition(topic, 0, 10)])
    for each in deleted.values():
        each.result(timeout=10)

    with pytest.raises(BrokerError, match="begins at offset 10"):
        again(pipeline, settings)


def test_describes_the_saved_state(make_log: Callable[..., Any]) -> None:
    """What is saved is described as the models themselves would be."""
    pipeline, settings = make_log()
    task = learning(pipeline, settings)
    task.run(Slice(vectors(pipeline, settings)))

    saved = inspect_state(KafkaClients(settings), pipeline, settings)

    assert saved.covers == {0: {"features": EVENTS}}
    assert saved.candidates == describe(0, task, sample_vectors(pipeline))
