"""Topics on the broker: made where they are missing, checked where they are there."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from millrace.schemas import BrokerError
from millrace.streams.kafka.clients import common_config, unreachable
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import TopicSettings

CONNECT_TIMEOUT_SECONDS = 8.0
_LOOK_SECONDS = 0.05


def partition_counts(settings: Settings) -> dict[str, int]:
    """Return every topic on the broker and how many partitions it has.

    Raises
    ------
    BrokerError
        The broker does not answer.
    """
    try:
        known = AdminClient(common_config(settings)).list_topics(timeout=CONNECT_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise unreachable(settings, error) from error
    return {name: len(topic.partitions) for name, topic in known.topics.items()}


def ensure_topics(settings: Settings, topics: Iterable[TopicSettings]) -> dict[str, int]:
    """Create the topics that are missing and return the partitions of each one.

    Raises
    ------
    BrokerError
        The broker does not answer, or refuses.
    """
    wanted = list(topics)
    present = partition_counts(settings)
    missing = [topic for topic in wanted if topic.name not in present]
    if missing:
        admin = AdminClient(common_config(settings))
        if settings.is_embedded:
            _ask_for(admin, missing)
        else:
            _create(admin, missing)
        present = _wait_known(settings, [topic.name for topic in missing])
    return {topic.name: present.get(topic.name, topic.partitions) for topic in wanted}


def _wait_known(settings: Settings, names: list[str]) -> dict[str, int]:
    """Wait until the broker that answers has heard of topics that another one has created.

    That took 0.1 s on a busy broker; a consumer that asks sooner is given nothing of them.
    """
    deadline = time.monotonic() + CONNECT_TIMEOUT_SECONDS
    while True:
        present = partition_counts(settings)
        if all(present.get(name) for name in names) or time.monotonic() > deadline:
            return present
        time.sleep(_LOOK_SECONDS)


def _create(admin: AdminClient, missing: list[TopicSettings]) -> None:
    requests = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication,
            config=topic.config,
        )
        for topic in missing
    ]
    for name, done in admin.create_topics(requests, request_timeout=30).items():
        try:
            done.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerError(
                    f"topic {name!r} requires to be created; got {error.args[0].str()!r}"
                ) from error


def _ask_for(admin: AdminClient, missing: list[TopicSettings]) -> None:
    """Make topics appear on the embedded broker, which has no CreateTopics."""
    for topic in missing:
        admin.list_topics(topic.name, timeout=CONNECT_TIMEOUT_SECONDS)
