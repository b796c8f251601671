"""The embedded broker is reached over loopback TCP, from this process and from others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from confluent_kafka.admin import AdminClient

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.streams.kafka.admin import ensure_topics, partition_counts, prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.embedded import PARTITIONS, EmbeddedBroker
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import TopicSettings


def test_it_listens_on_loopback() -> None:
    """Its address is one for the setting `broker`, its bootstrap one for any client."""
    with EmbeddedBroker() as broker:
        assert broker.bootstrap.startswith("127.0.0.1:")
        settings = Settings(broker=broker.address)
        assert settings.is_embedded
        assert settings.bootstrap == broker.bootstrap


def test_topics_appear_with_its_own_number_of_partitions() -> None:
    """Whatever number was asked for."""
    with EmbeddedBroker() as broker:
        clients = KafkaClients(Settings(broker=broker.address))
        created = ensure_topics(clients, [TopicSettings("t", 7, 1, {})])
        assert created == {"t": PARTITIONS} == {"t": 4}
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        assert len(admin.list_topics("t", timeout=10).topics["t"].partitions) == 4


def test_once_stopped_it_is_gone() -> None:
    """With everything in it; stopping it twice is no error."""
    broker = EmbeddedBroker()
    broker.stop()
    broker.stop()
    assert broker._owner is None


def test_topics_of_sources_appear(make_pipeline: Callable[..., Pipeline]) -> None:
    """On this broker nobody else can have created them."""
    labels = LabelSource("verdicts", event_id="id", label="verdict")
    pipeline = replace(make_pipeline(), events=[Source("rows")], labels=[labels])
    with EmbeddedBroker() as broker:
        settings = Settings(broker=broker.address)
        clients = KafkaClients(settings)
        found = prepare_topics(clients, pipeline, settings)
        assert found["rows"] == found["verdicts"] == PARTITIONS
        assert {"rows", "verdicts"} <= partition_counts(clients).keys()
