"""Records go to the partition where a Kafka client's default partitioner puts their key."""

from __future__ import annotations

from confluent_kafka import Message, Producer

from millrace.streams.kafka.embedded import PARTITIONS, EmbeddedBroker
from millrace.streams.operators.routing import partition_of


def test_agrees_with_librdkafka() -> None:
    """A producer of confluent-kafka, left to itself, puts each key where the rule here says."""
    keys = [*(f"user-{i}" for i in range(50)), "é", "🌊", "0", "a" * 500]
    found: dict[str, int | None] = {}

    def delivered(error: object, message: Message) -> None:
        assert error is None
        found[(message.key() or b"").decode()] = message.partition()

    with EmbeddedBroker() as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        for key in keys:
            producer.produce("routed", value=b"x", key=key.encode(), on_delivery=delivered)
        assert producer.flush(30) == 0
    assert found == {key: partition_of(key, PARTITIONS) for key in keys}
    assert {*found.values()} == {*range(PARTITIONS)}
