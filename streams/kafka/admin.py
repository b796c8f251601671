"""Topics on the broker: created where they are missing, counted, waited for."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.kafka.diagnosis import Request, explain
from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.protocols import Clients
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import TopicSettings, topic_prefix, topic_settings

CONNECT_TIMEOUT_SECONDS = 8.0
_RETRY_SECONDS = 0.05


def partition_counts(clients: Clients) -> dict[str, int]:
    """Return every topic on the broker and how many partitions it has.

    Raises
    ------
    BrokerError
        The broker does not answer.
    """
    admin = clients.admin()
    try:
        known = admin.list_topics(timeout=CONNECT_TIMEOUT_SECONDS)
    except KafkaException as error:
        admin.poll(0)  # for the reason, which it has logged
        raise BrokerError(explain(clients, cause_of(error))) from error
    return {name: len(topic.partitions) for name, topic in known.topics.items()}


def count_partitions(clients: Clients, topic: str) -> int:
    """Return how many partitions a topic has.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such topic.
    """
    partitions = partition_counts(clients).get(topic)
    if partitions is None:
        raise BrokerError(
            f"there is no topic {topic!r} on broker {clients.broker!r}. To create a pipeline's"
            " topics, start a worker or run `millrace topics --create`"
        )
    return partitions


def ensure_topics(clients: Clients, topics: Iterable[TopicSettings]) -> dict[str, int]:
    """Create the topics that are missing and return the partitions of each one.

    Raises
    ------
    BrokerError
        The broker does not answer, or refuses.
    """
    wanted = list(topics)
    present = partition_counts(clients)
    missing = [topic for topic in wanted if topic.name not in present]
    if missing:
        create = _create_on_embedded if clients.is_embedded else _create
        create(clients, missing)
        present = _wait_known(clients, [topic.name for topic in missing])
    return {topic.name: present.get(topic.name, topic.partitions) for topic in wanted}


def topics_wanted(pipeline: Pipeline, settings: Settings) -> list[TopicSettings]:
    """Return the topics that a pipeline needs in the chain that is set."""
    return topic_settings(
        settings.agents,
        prefix=topic_prefix(pipeline),
        partitions=settings.partitions,
        replication=settings.replication,
        retention_ms=int(settings.retention_hours * 3_600_000),
    )


def prepare_topics(clients: Clients, pipeline: Pipeline, settings: Settings) -> dict[str, int]:
    """Create a pipeline's topics where they are missing; return the partitions of each.

    Raises
    ------
    BrokerError
        The broker does not answer, or refuses.
    """
    return ensure_topics(clients, topics_wanted(pipeline, settings))


def _wait_known(clients: Clients, names: list[str]) -> dict[str, int]:
    """Wait until the broker that answers knows the topics that another one has created.

    That took 0.1 s on a busy broker; a consumer that asks sooner is assigned none of them.
    """
    deadline = time.monotonic() + CONNECT_TIMEOUT_SECONDS
    while True:
        present = partition_counts(clients)
        if all(present.get(name) for name in names) or time.monotonic() > deadline:
            return present
        time.sleep(_RETRY_SECONDS)


def _create(clients: Clients, missing: list[TopicSettings]) -> None:
    requests = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication,
            config=topic.config,
        )
        for topic in missing
    ]
    admin = clients.admin()  # which must live until the answers are there
    for name, created in admin.create_topics(requests, request_timeout=30).items():
        try:
            created.result()
        except KafkaException as error:
            cause = cause_of(error)
            if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                why = explain(clients, cause, Request(name, operation="Create"))
                raise BrokerError(f"could not create topic {name!r}: {why}") from error


def _create_on_embedded(clients: Clients, missing: list[TopicSettings]) -> None:
    """Make topics appear on the embedded broker, which has no CreateTopics."""
    admin = clients.admin()
    for topic in missing:
        admin.list_topics(topic.name, timeout=CONNECT_TIMEOUT_SECONDS)
