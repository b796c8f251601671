"""Brokers that do not answer, that ask for a password, or that have other topics."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from dev.kafka import free_port
from millrace.streams.kafka.clients import (
    common_config,
    consumer_config,
    producer_config,
    reader_config,
)
from millrace.streams.operators.routing import partition_of
from tests.integration import sensors
from tests.integration.clients import Topics, as_json
from tests.integration.workers import Worker, settings

COUNT = 200
PASSWORD = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanisms": "PLAIN",
    "sasl.username": "millrace",
    "sasl.password": "secret",
}
TLS = {
    "security.protocol": "SASL_SSL",
    "ssl.ca.location": "/etc/ssl/kafka-ca.pem",
    "ssl.certificate.location": "/etc/ssl/millrace.pem",
    "ssl.key.location": "/etc/ssl/millrace.key",
    "sasl.mechanisms": "SCRAM-SHA-512",
    "sasl.username": "millrace",
    "sasl.password": "secret",
}


def test_an_unreachable_broker_is_a_clear_error_within_seconds() -> None:
    """A worker exits with 2 and one line that names the broker."""
    nowhere = f"127.0.0.1:{free_port()}"
    with Worker(settings("every_sensor", "nowhere", nowhere)) as worker:
        assert worker.wait(seconds=30) == 2
        says = rf"^Error: broker '{nowhere}' cannot be reached: .*Connection refused.*$"
        assert re.search(says, worker.log(), re.MULTILINE)


@pytest.mark.parametrize("properties", [PASSWORD, TLS], ids=["password", "TLS"])
@pytest.mark.parametrize(
    "config",
    [
        lambda own: common_config(own, "*"),
        lambda own: consumer_config(own, "group"),
        lambda own: reader_config(own, "loans.events"),
        producer_config,
    ],
    ids=["admin", "consumer", "reader", "producer"],
)
def test_every_client_is_given_the_users_properties(
    config: Callable[..., dict[str, Any]], properties: Mapping[str, str]
) -> None:
    """TLS and SASL reach whatever talks to the broker."""
    own = settings("every_sensor", "any", "broker:9093", kafka=properties)
    assert properties.items() <= config(own).items()
    assert config(own)["bootstrap.servers"] == "broker:9093"


def test_a_worker_in_one_agent_runs_behind_a_password(
    kafka: str, guarded_kafka: str, unique_name: Callable[[str], str]
) -> None:
    """With SASL, all operators in one agent and JSON outputs, results are those of any worker."""
    name = unique_name("guarded")
    own = settings(
        *("every_sensor", name, guarded_kafka),
        kafka=PASSWORD,
        chain="full",
        outputs="json",
        partitions=2,
    )
    topics = Topics(kafka, name)
    stream = sensors.readings(COUNT)
    with Worker(own) as worker:
        worker.wait_ready()
        topics.produce("events", ({"value": as_json(r), "partition": 0} for r in stream))
        topics.produce("events", [{"value": as_json(stream[0]), "partition": 1}])
        worker.wait_total(COUNT, "millrace_predictions_total")
        predictions = topics.json("predictions", at_least=COUNT)
        (dead_letter,) = topics.json("rejects", at_least=1)
        code, _ = worker.terminate()
    assert code == 0
    assert [each["event_id"] for each in predictions] == [each["reading_id"] for each in stream]
    assert [each["model_version"] for each in predictions] == [*range(COUNT)]
    assert [each["features"] for each in predictions] == sensors.features(stream)
    assert (dead_letter["reason"], dead_letter["partition"]) == ("wrong_partition", 1)
    assert topics.messages("clean") == topics.messages("features") == []


@pytest.mark.parametrize("partitions", [1, 4, 7])
def test_keyed_records_go_where_librdkafka_sends_them(
    kafka: str, unique_name: Callable[[str], str], partitions: int
) -> None:
    """Whoever produces with a key and no partition of their own agrees with the pipeline."""
    topic = unique_name("keys")
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, partitions)])[topic].result(10)
    went: dict[str, int] = {}
    producer = Producer({"bootstrap.servers": kafka})
    for key in [*map(str, range(200)), "anna", "Łódź", "日本", " ", "a" * 300]:
        producer.produce(
            topic,
            b"",
            key,
            on_delivery=lambda _, sent: went.update({sent.key().decode(): sent.partition()}),
        )
    assert producer.flush(10) == 0
    assert len(went) == 205
    assert went == {key: partition_of(key, partitions) for key in went}
