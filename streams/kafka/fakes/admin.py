"""An admin of a fake broker."""

# ruff: noqa: ARG002  # timeouts mean nothing where everything is done at once

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from millrace.streams.kafka.fakes.broker import FakeBroker, fail


@dataclass(frozen=True)
class FakeTopic:
    """A topic's partitions."""

    partitions: Mapping[int, object]


@dataclass(frozen=True)
class FakeMetadata:
    """A broker's topics."""

    topics: Mapping[str, FakeTopic]


class FakeAdmin:
    """Lists topics and creates them."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def list_topics(self, topic: str | None = None, timeout: float = 0.0) -> FakeMetadata:
        self._broker.meet_fault("list_topics")
        return FakeMetadata(
            {
                name: FakeTopic(dict(enumerate(logs)))
                for name, logs in self._broker.topics.items()
                if topic in (None, name)
            }
        )

    def create_topics(
        self, new_topics: list[NewTopic], /, *, request_timeout: float
    ) -> dict[str, Future[None]]:
        self._broker.meet_fault("create_topics")
        created: dict[str, Future[None]] = {}
        for each in new_topics:
            created[each.topic] = Future()
            try:
                self._create(each)
            except KafkaException as error:
                created[each.topic].set_exception(error)
            else:
                created[each.topic].set_result(None)
        return created

    def _create(self, topic: NewTopic) -> None:
        self._broker.meet_fault("creation")
        if topic.topic in self._broker.topics:
            fail(KafkaError.TOPIC_ALREADY_EXISTS)
        self._broker.create(topic.topic, topic.num_partitions)
