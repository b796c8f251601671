"""How clients are configured, by default and where the user says otherwise."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from millrace.streams.kafka.clients import (
    KafkaClients,
    common_config,
    consumer_config,
    producer_config,
    reader_config,
)
from millrace.streams.settings import Settings

LARGEST = 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("given", "interval_ms"),
    [
        ({"broker": "b:9092"}, 225_000),
        ({"broker": "b:9092", "session_timeout_seconds": 6}, 45_000),
        ({"broker": "b:9092", "session_timeout_seconds": 9.1}, 45_500),
        ({"broker": "b:9092", "kafka": {"max.poll.interval.ms": "600000"}}, "600000"),
        ({}, 300_000),
    ],
)
def test_longest_batch(given: dict[str, Any], interval_ms: Any) -> None:
    """Five sessions, and at least 45 s; Kafka's default on the embedded broker."""
    assert consumer_config(Settings(**given), "g")["max.poll.interval.ms"] == interval_ms


@pytest.mark.parametrize(
    ("given", "session_ms", "heartbeat_ms"),
    [
        ({"broker": "b:9092"}, 45_000, 4_500),
        ({"broker": "b:9092", "session_timeout_seconds": 0.5}, 500, 100),
        ({}, 6_000, 600),
        ({"session_timeout_seconds": 5}, 5_000, 500),
        ({"session_timeout_seconds": 2}, 4_000, 400),
    ],
)
def test_session(given: dict[str, Any], session_ms: int, heartbeat_ms: int) -> None:
    """The embedded broker does not notice who leaves, so its sessions are short."""
    config = consumer_config(Settings(**given), "g")
    assert (config["session.timeout.ms"], config["heartbeat.interval.ms"]) == (
        session_ms,
        heartbeat_ms,
    )


def test_a_consumer_skips_nothing_and_commits_by_hand() -> None:
    """On these properties the guarantee rests."""
    config = consumer_config(Settings(broker="b:9092"), "p.ingest")
    assert config["bootstrap.servers"] == "b:9092"
    assert config["group.id"] == "p.ingest"
    assert config["enable.auto.commit"] is False
    assert config["auto.offset.reset"] == "error"
    assert config["isolation.level"] == "read_committed"
    assert config["partition.assignment.strategy"] == "range"
    assert config["fetch.message.max.bytes"] == LARGEST
    assert "group.instance.id" not in config


def test_static_membership_is_by_group() -> None:
    """A worker has a member in each agent's group."""
    settings = Settings(broker="b:9092", group_instance_id="w1")
    assert consumer_config(settings, "p.ingest")["group.instance.id"] == "w1-p.ingest"


def test_a_reader_begins_at_the_beginning_and_reports_ends() -> None:
    """It reads only what is committed."""
    config = reader_config(Settings(broker="b:9092"), "loans.events")
    assert config["auto.offset.reset"] == "earliest"
    assert config["enable.partition.eof"] is True
    assert config["isolation.level"] == "read_committed"
    assert config["group.id"] == "loans.events.reader"


@pytest.mark.parametrize(("broker", "compression"), [("b:9092", "lz4"), ("embedded", "none")])
def test_a_producer_keeps_order_and_loses_nothing(broker: str, compression: str) -> None:
    """It takes the largest records; the embedded broker cannot decompress."""
    settings = Settings(broker=broker, kafka={"linger.ms": "9"})
    config = producer_config(settings)
    assert config["enable.idempotence"] is True
    assert config["message.max.bytes"] == LARGEST
    assert config["compression.type"] == compression
    assert config["linger.ms"] == "9"  # tuning is the user's


def test_every_client_is_given_the_users_properties() -> None:
    """And the broker that the settings name, without the mark of an embedded one."""
    settings = Settings(broker="embedded://127.0.0.1:1", kafka={"security.protocol": "SASL_SSL"})
    config = common_config(settings, "*")
    assert config["security.protocol"] == "SASL_SSL"
    assert config["bootstrap.servers"] == "127.0.0.1:1"


def test_a_client_is_given_no_property_of_another_kind(caplog: pytest.LogCaptureFixture) -> None:
    """librdkafka would warn that it ignores it."""
    own = {"linger.ms": 9, "fetch.min.bytes": 1, "client.id": "x", "check.crcs": True}
    settings = Settings(broker="127.0.0.1:1", kafka=own)  # type: ignore[arg-type]
    assert "linger.ms" not in consumer_config(settings, "g")
    assert "fetch.min.bytes" not in producer_config(settings)
    assert {*common_config(settings, "*")} == {"bootstrap.servers", "client.id"}
    clients = KafkaClients(settings)
    consumer, producer, admin = clients.consumer("g", {}), clients.producer({}), clients.admin()
    for each in (consumer, producer, admin):
        each.poll(0)
    consumer.close()
    assert "CONFWARN" not in caplog.text


def test_clients_of_a_broker() -> None:
    """Each is confluent-kafka's; making one waits for nobody."""
    settings = Settings(broker="127.0.0.1:1")
    clients = KafkaClients(settings)
    consumer, reader = clients.consumer("g", {"enable.partition.eof": True}), clients.reader("t")
    assert {type(consumer), type(reader)} == {Consumer}
    assert isinstance(clients.producer({"linger.ms": 20}), Producer)
    assert isinstance(clients.admin(), AdminClient)
    assert (clients.broker, clients.is_embedded) == ("127.0.0.1:1", False)
    assert KafkaClients(Settings()).is_embedded
    for each in (consumer, reader):
        each.close()


def test_properties_of_one_client_come_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """They win over the shared ones."""
    seen: list[dict[str, Any]] = []
    module = "millrace.streams.kafka.clients"
    monkeypatch.setattr(f"{module}.Consumer", seen.append)
    monkeypatch.setattr(f"{module}.Producer", seen.append)
    clients = KafkaClients(Settings(broker="b:9092"))
    clients.consumer("g", {"enable.partition.eof": True})
    clients.producer({"linger.ms": 20})
    consumer, producer = seen
    assert (consumer["group.id"], consumer["enable.partition.eof"]) == ("g", True)
    assert (producer["enable.idempotence"], producer["linger.ms"]) == (True, 20)


@pytest.mark.parametrize(
    ("text", "is_away"),
    [
        ("Failed to acquire idempotence PID: Broker: Coordinator load in progress", False),
        ("Failed to acquire idempotence PID: Local: Timed out", True),
    ],
)
def test_a_broker_that_answers_is_not_away(text: str, is_away: bool) -> None:
    """A new broker is still loading; it has answered all the same."""
    clients = KafkaClients(Settings(broker="127.0.0.1:1"))
    clients.log(logging.WARNING, "%s %s %s", "GETPID", "producer-1", f"[thrd:main]: {text}")
    assert clients.outage.is_on is is_away
