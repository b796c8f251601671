"""A real Kafka for the integration tests: one broker a session, on free loopback ports.

These tests are about what only a broker can show, so there is no fake to fall back to. Where
Java or Maven are missing they skip, and the end of the run says so in a section of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from dev.clients import missing_clients
from dev.java import missing_requirements
from dev.kafka import KafkaBroker, free_port
from dev.registry import SchemaRegistry
from millrace.streams.kafka.embedded import EmbeddedBroker
from tests.conftest import NOT_TESTED


@pytest.fixture(scope="session")
def kafka_runs_here() -> None:
    """Skip, and have the summary say it, where a real Kafka cannot run."""
    reason = missing_requirements()
    if reason is not None:
        pytest.skip(f"{NOT_TESTED} AGAINST A REAL KAFKA: {reason}")


@pytest.fixture(scope="session")
def kafka_listeners(
    kafka_runs_here: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Give two addresses of a running broker: one for everybody, one that asks for a password."""
    port, guarded = free_port(), f"127.0.0.1:{free_port()}"
    broker = KafkaBroker(
        tmp_path_factory.mktemp("kafka"), port, _with_passwords(port, guarded, free_port())
    )
    try:
        broker.start()
        yield broker.bootstrap, guarded
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def kafka(kafka_listeners: tuple[str, str]) -> str:
    """Give the bootstrap address of a running broker that the whole session shares."""
    return kafka_listeners[0]


@pytest.fixture(scope="session")
def guarded_kafka(kafka_listeners: tuple[str, str]) -> str:
    """Give the same broker's address for user `millrace`, password `secret`, by SASL PLAIN."""
    return kafka_listeners[1]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaRegistry]:
    """Give a running schema registry, or skip and have the summary say it."""
    reason = missing_clients()
    if reason is not None:
        pytest.skip(f"{NOT_TESTED} WITH OTHER CLIENTS: {reason}")
    made = SchemaRegistry(tmp_path_factory.mktemp("registry"), free_port())
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedBroker]:
    """Give an embedded broker in this process that workers in others can reach."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def unique_name() -> Callable[[str], str]:
    """Make names of pipelines that no other test has: topics and groups go by them."""
    return lambda what: f"{what}-{uuid.uuid4().hex[:8]}"


def _with_passwords(port: int, guarded: str, controller_port: int) -> dict[str, str]:
    """Return the server properties that add a listener with SASL PLAIN."""
    listeners = f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://{guarded}"
    return {
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule"
            ' required user_millrace="secret";'
        ),
    }
