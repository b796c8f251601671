"""A real Kafka does what the scenarios say that the fakes do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millrace.streams.kafka.admin import ensure_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.protocols import Clients
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import TopicSettings
from tests.unit.streams.kafka.scenarios import SCENARIOS, Seen


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_kafka_behaves_as_the_fakes_do(
    kafka: str, unique_name: Callable[[str], str], scenario: Callable[[Clients, str], Seen]
) -> None:
    """The same calls lead to the same records, offsets, callbacks and errors."""
    topic, clients = unique_name("fakes"), KafkaClients(Settings(broker=kafka))
    ensure_topics(clients, [TopicSettings(topic, 2, 1, {})])
    assert scenario(clients, topic) == SCENARIOS[scenario]
