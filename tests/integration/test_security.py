"""On a Kafka with TLS, passwords and an authorizer: failures name themselves, and the rights that
`docs/security.md` lists are enough and are all needed.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from millrace.schemas import BrokerError, SettingsError
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings
from tests.integration.secured import PASSWORD, USER, SecuredKafka

SASL = {
    "security.protocol": "sasl_plaintext",
    "sasl.mechanisms": "PLAIN",
    "sasl.username": USER,
    "sasl.password": PASSWORD,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for two seconds only: what is wrong is wrong at once."""
    monkeypatch.setattr("millrace.streams.kafka.admin.CONNECT_TIMEOUT_SECONDS", 2.0)


@pytest.fixture(scope="module")
def secured(
    kafka_runs_here: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredKafka]:
    """Give a broker that asks who one is."""
    kafka = SecuredKafka(tmp_path_factory.mktemp("secured") / "kafka")
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


def error_of(broker: str, **properties: str) -> str:
    """Return what a command says that asks a broker for its topics."""
    clients = KafkaClients(Settings(broker=broker, kafka=properties))
    with pytest.raises((BrokerError, SettingsError)) as caught:
        partition_counts(clients)
    message = str(caught.value)
    assert PASSWORD not in message
    assert "\n" not in message
    return message


def test_each_way_in_works(secured: SecuredKafka) -> None:
    """With the right password and CA; then nothing is wrong."""
    ca = {"ssl.ca.location": str(secured.certificates.ca)}
    for broker, properties in (
        (secured.sasl, SASL),
        (secured.ssl, {"security.protocol": "ssl", **ca}),
        (secured.sasl_ssl, {**SASL, "security.protocol": "sasl_ssl", **ca}),
    ):
        partition_counts(KafkaClients(Settings(broker=broker, kafka=properties)))


@pytest.mark.parametrize(
    ("listener", "properties", "reason", "fix"),
    [
        ("sasl", {**SASL, "sasl.password": "wrong"}, "Invalid username or password", "Check sasl."),
        ("sasl", {**SASL, "sasl.mechanisms": "SCRAM-SHA-256"}, "PLAIN", "Set sasl.mechanisms"),
        ("sasl", {**SASL, "sasl.mechanisms": "NOPE"}, "Unsupported SASL mechanism: NOPE", ""),
        ("sasl", {}, "connection closed by peer", "set security.protocol to ssl, sasl_ssl or"),
        ("plain", SASL, "not valid in current SASL state", "asks for no login"),
        ("ssl", {}, "connection closed by peer", "set security.protocol to ssl, sasl_ssl or"),
        ("sasl_ssl", SASL, "connection closed by peer", "set security.protocol to ssl, sasl_ssl"),
        ("plain", {"security.protocol": "ssl"}, "SSL", "That listener has no TLS"),
        ("ssl", {"security.protocol": "ssl", "ssl.ca.location": "other"}, "issuer", "the CA that"),
        ("ssl", {"security.protocol": "ssl"}, "issuer certificate", "Set ssl.ca.location"),
        (
            "expired",
            {"security.protocol": "ssl", "ssl.ca.location": "ca"},
            "certificate has expired",
            "Renew the broker's certificate",
        ),
        (
            "by_name",
            {"security.protocol": "ssl", "ssl.ca.location": "ca"},
            "Hostname mismatch",
            "a name that is in the broker's certificate",
        ),
        ("ssl", {"ssl.ca.location": "/no/such", "security.protocol": "ssl"}, "ssl.ca.location", ""),
    ],
)
def test_what_is_wrong_is_said(
    secured: SecuredKafka, listener: str, properties: dict[str, str], reason: str, fix: str
) -> None:
    """Each mistake has its own reason, librdkafka's, and the fix that fits it."""
    certificates = {
        "ca": str(secured.certificates.ca),
        "other": str(secured.certificates.other_ca),
    }
    by_name = secured.ssl.replace("127.0.0.1", "localhost")
    broker = by_name if listener == "by_name" else getattr(secured, listener)
    message = error_of(broker, **{k: certificates.get(v, v) for k, v in properties.items()})
    assert reason in message
    assert fix in message
    assert "make kafka" not in message


@pytest.mark.parametrize(
    ("broker", "reason", "fix"),
    [
        ("127.0.0.1:1", "Connection refused", "`make kafka`"),
        ("no.such.host.invalid:9092", "Failed to resolve", "Check the host in broker"),
    ],
)
def test_where_there_is_no_broker(broker: str, reason: str, fix: str) -> None:
    """Only a port of this machine where nothing listens suggests to start one."""
    message = error_of(broker)
    assert reason in message
    assert fix in message


def test_what_does_not_answer(kafka_runs_here: None) -> None:
    """As behind a firewall that drops packets, or something that is no Kafka."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = error_of(f"127.0.0.1:{silent.getsockname()[1]}")
    assert "nothing came back in time. Check host and port" in message
