"""What a worker leaves on a broker, for the tools to read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from millrace.models.pipelines.loans import applications, pipeline
from millrace.schemas.records import Prediction
from millrace.streams.formats import Outputs
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.operators.record import EventRecord, Origin, PredictionRecord, Record
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.state.log import StateLog
from millrace.streams.tools.defined import task_factory
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.task import Task

EVENTS = 60
LEARNER = AgentSpec(("prediction", "learning"))
KEY = b"secret"


class Left:
    """Topics with features, the predictions that follow from them, and saved models."""

    def __init__(self, outputs: str = "avro") -> None:
        self.settings = Settings(broker="fake", state_key=KEY.decode(), partitions=1)
        self.broker = FakeBroker()
        self.clients = FakeClients(self.broker)
        self.codec = TopicCodec(pipeline, Outputs(outputs))
        self.task = task_factory(pipeline, self.settings, LEARNER, 1).make()
        prepare_topics(self.clients, pipeline, self.settings)
        self.log = StateLog(pipeline, LEARNER, self.clients, "loans.", KEY)
        self.vectors = self._vectors()
        self.written = 0

    def write(self, change: Callable[[Prediction], object] = lambda _: None) -> None:
        """Write features, and predictions after a change to the last one."""
        self.write_some(EVENTS, change)

    def write_some(self, to: int, change: Callable[[Prediction], object] = lambda _: None) -> None:
        """Write those that are not written yet, up to a number."""
        begin, self.written = self.written, to
        for record in self.vectors[begin:to]:
            self._put(record)
            for made in self.task.run(Slice([record])):
                if isinstance(made, PredictionRecord):
                    if made.value["event_id"] == "50":
                        change(made.value)
                    self._put(made)

    def save(self, covers: int = EVENTS) -> None:
        """Write the state of the task."""
        for entry in self.log.flush(0, self.task, {"features": covers}, 1):
            topic = f"loans.{entry.topic}"
            self.broker.put(topic, entry.value, entry.key.encode(), headers=entry.headers)
        self.log.mark_saved(0, self.task)

    def _vectors(self) -> list[Record]:
        task: Task = task_factory(pipeline, self.settings, AgentSpec(("feature",)), 1).make()
        made: list[Record] = []
        for offset, each in enumerate(islice(applications(EVENTS), EVENTS)):
            label, event_id = each.pop("granted"), each["application_id"]
            event = {
                "event_id": event_id,
                "key": None,
                "event_time_ms": each["applied_at"],
                "label": label,
                "fields": each,
            }
            made += task.run(Slice([EventRecord(event, Origin("clean", 0, offset, 0, None, None))]))
        return made

    def _put(self, record: Record) -> None:
        key, value = self.codec.encode(record)
        self.broker.put(f"loans.{record.topic}", value, key)


@pytest.fixture
def left() -> Left:
    return Left()


@pytest.fixture
def left_json() -> Left:
    return Left("json")
