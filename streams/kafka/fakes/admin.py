"""An admin of a fake broker."""

# ruff: noqa: ARG002  # timeouts mean nothing where everything is done at once

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined] # not re-exported
from confluent_kafka.cimpl import NewPartitions, NewTopic

from millrace.streams.kafka.fakes.broker import FakeBroker, fail
from millrace.streams.kafka.protocols import ConfigValue, Description

T = TypeVar("T")

_DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "compression.type": "producer",
}
"""How Kafka keeps a topic of which nothing else is said."""


@dataclass(frozen=True)
class FakeTopic:
    """A topic's partitions."""

    partitions: Mapping[int, object]


@dataclass(frozen=True)
class FakeDescription:
    """Which topic it is, and its partitions."""

    topic_id: object
    partitions: list[int]


@dataclass(frozen=True)
class FakeConfigValue:
    """How one property of a topic is set."""

    value: str | None


@dataclass(frozen=True)
class FakeMetadata:
    """A broker's topics."""

    topics: Mapping[str, FakeTopic]


class FakeAdmin:
    """Lists topics, describes, creates, widens and deletes them."""

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

    def describe_topics(
        self, topics: TopicCollection, /, *, request_timeout: float
    ) -> dict[str, Future[Description]]:
        self._broker.meet_fault("describe_topics")
        return {name: _done(partial(self._describe, name)) for name in topics.topic_names}

    def delete_topics(
        self, topics: list[str], /, *, request_timeout: float
    ) -> dict[str, Future[None]]:
        return {name: _done(partial(self._broker.delete, name)) for name in topics}

    def poll(self, timeout: float, /) -> int:
        return 0

    def create_topics(
        self,
        new_topics: list[NewTopic],
        /,
        *,
        request_timeout: float,
        validate_only: bool = False,
    ) -> dict[str, Future[None]]:
        self._broker.meet_fault("create_topics")
        act = self._check if validate_only else self._create
        return {each.topic: _done(partial(act, each)) for each in new_topics}

    def create_partitions(
        self, new_partitions: list[NewPartitions], /, *, request_timeout: float
    ) -> dict[str, Future[None]]:
        return {each.topic: _done(partial(self._widen, each)) for each in new_partitions}

    def describe_configs(
        self, resources: list[ConfigResource], /, *, request_timeout: float
    ) -> dict[ConfigResource, Future[Mapping[str, ConfigValue]]]:
        self._broker.meet_fault("describe_configs")
        return {each: _done(partial(self._config, str(each.name))) for each in resources}

    def _describe(self, name: str) -> FakeDescription:
        if name not in self._broker.topics:
            fail(KafkaError.UNKNOWN_TOPIC_OR_PART)
        partitions = [*range(len(self._broker.topics[name]))]
        return FakeDescription(self._broker.topic_ids[name], partitions)

    def _check(self, topic: NewTopic) -> None:
        self._broker.meet_fault("creation")
        if topic.topic in self._broker.topics:
            fail(KafkaError.TOPIC_ALREADY_EXISTS)

    def _create(self, topic: NewTopic) -> None:
        self._check(topic)
        self._broker.create(topic.topic, topic.num_partitions, topic.config)

    def _widen(self, wider: NewPartitions) -> None:
        self._broker.meet_fault("widening")
        if wider.new_total_count <= len(self._broker.topics[wider.topic]):
            fail(KafkaError.INVALID_PARTITIONS)
        self._broker.widen(wider.topic, wider.new_total_count)

    def _config(self, name: str) -> Mapping[str, ConfigValue]:
        config = {**_DEFAULTS, **self._broker.configs[name]}
        return {key: FakeConfigValue(value) for key, value in config.items()}


def _done(action: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    try:
        future.set_result(action())
    except KafkaException as error:
        future.set_exception(error)
    return future
