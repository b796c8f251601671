"""What a broker refuses is named, why it cannot be reached is said, and the fix fits it."""

from __future__ import annotations

import ssl

import pytest
from confluent_kafka import KafkaError, KafkaException

from millrace.schemas import BrokerError
from millrace.streams.kafka.diagnosis import Request, diagnosis, explain, explained, principal
from millrace.streams.kafka.fakes import FakeBroker, FakeClients

THREAD = "[thrd:sasl_ssl://h:1/bootstrap]: sasl_ssl://h:1/bootstrap: "
BY_PEER = "Disconnected: connection closed by peer: receive 0 after POLLIN"


@pytest.fixture
def clients() -> FakeClients:
    clients = FakeClients(FakeBroker())
    clients.properties = {"security.protocol": "sasl_ssl", "sasl.username": "anna"}
    return clients


@pytest.mark.parametrize(
    ("logged", "reason", "fix"),
    [
        (
            "SASL authentication error: Authentication failed: Invalid username or password",
            "Invalid username or password",
            "sasl.username and sasl.password",
        ),
        (
            "SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism:"
            " broker's supported mechanisms: PLAIN",
            "supported mechanisms: PLAIN",
            "Set sasl.mechanisms to one",
        ),
        (
            "SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL"
            " state: broker's supported mechanisms: ",
            "not valid in current SASL state",
            "asks for no login: set security.protocol to plaintext or ssl",
        ),
        (
            "SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a"
            " PLAINTEXT broker listener?",
            "PLAINTEXT broker listener?",
            "has no TLS: set security.protocol to plaintext or sasl_plaintext",
        ),
        (BY_PEER + " (after 42ms in state APIVERSION_QUERY)", BY_PEER, "to ssl, sasl_ssl or sasl_"),
        (
            "Failed to resolve 'no.such:9092': Name or service not known",
            "Failed to resolve 'no.such:9092'",
            "Check the host in broker",
        ),
        (
            "Connect to ipv4#10.0.0.1:1 failed: Connection refused",
            "refused",
            "that the broker runs",
        ),
        ("Connect to ipv4#10.0.0.1:1 failed: No route to host", "No route", "Check the network"),
        ("Connection setup timed out in state CONNECT", "setup timed out", "no firewall drops"),
        (
            "Receive failed: Invalid response size 1213486160 (0..100000000)",
            "Invalid response size",
            "no Kafka listener",
        ),
        (
            "SSL handshake failed: error:0A00045C:SSL routines::tlsv13 alert certificate required",
            "certificate required",
            "set ssl.certificate.location and ssl.key.location",
        ),
        ("Failed to acquire SASL OAUTHBEARER token: 401", "OAUTHBEARER", "sasl.oauthbearer.*"),
        ("GSSAPI: no ticket", "no ticket", "sasl.kerberos.*"),
        ("", "nothing came back in time", "no firewall drops the connection"),
        ("something else", "something else", "Check security.protocol"),
    ],
)
def test_the_fix_fits_the_reason(logged: str, reason: str, fix: str) -> None:
    """librdkafka's own reason is in the message, without its thread and its milliseconds."""
    line = f"{THREAD}{logged} (after 3ms in state X)" if logged else ""
    shown = diagnosis("kafka:9092", {}, line)
    assert shown.startswith("broker 'kafka:9092' cannot be reached: ")
    assert reason in shown
    assert fix in shown
    assert "thrd" not in shown
    assert "bootstrap" not in shown
    assert "3ms" not in shown
    assert "make kafka" not in shown


@pytest.mark.parametrize(
    ("broker", "is_local"),
    [("localhost:9092", True), ("127.0.0.1:9", True), ("[::1]:9", True), ("kafka:9092", False)],
)
def test_a_broker_of_this_machine_can_be_started(broker: str, is_local: bool) -> None:
    """Where nothing listens on it; elsewhere somebody else starts it."""
    shown = diagnosis(broker, {}, f"{broker}/1: Connect to ipv4#1 failed: Connection refused")
    assert ("`make kafka`" in shown) is is_local


@pytest.mark.parametrize(
    ("problem", "fix"),
    [
        ("certificate has expired", "Renew the broker's certificate"),
        ("unable to get local issuer certificate", "Set ssl.ca.location to the CA"),
        ("Hostname mismatch, certificate is not valid for 'h'.", "a name that is in the broker's"),
        ("", "Set ssl.ca.location to the CA"),
    ],
)
def test_what_is_wrong_with_a_certificate(
    problem: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """librdkafka does not say, so it is asked for; if that fails, its own words stay."""

    def connect(*_: object, **__: object) -> None:
        if not problem:
            raise OSError
        error = ssl.SSLCertVerificationError()
        error.verify_message = problem
        raise error

    monkeypatch.setattr("socket.create_connection", connect)
    logged = "SSL handshake failed: certificate verify failed: broker certificate could not be"
    shown = diagnosis("h:1", {}, f"{THREAD}{logged} verified, verify that ssl.ca.location")
    assert problem.rstrip(".") in shown
    assert fix in shown


@pytest.mark.parametrize(
    ("code", "request_", "who_may_not", "command"),
    [
        (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            Request(topic="p.events", operation="Write"),
            "may not do Write on topic 'p.events'",
            "--operation Write --topic 'p.events'",
        ),
        (
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            Request(topic="p.events", group="p.ingest", operation="Write"),
            "may not do Read on group 'p.ingest'",
            "--operation Read --group 'p.ingest'",
        ),
        (
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            Request(transactional_id="p.ingest-1"),
            "may not do Write on transactional id 'p.ingest-1'",
            "--operation Write --transactional-id 'p.ingest-1'",
        ),
        (
            KafkaError.CLUSTER_AUTHORIZATION_FAILED,
            Request(topic="t", operation="Write"),
            "may not do IdempotentWrite on cluster",
            "--operation IdempotentWrite --cluster",
        ),
        (
            KafkaError.CLUSTER_AUTHORIZATION_FAILED,
            Request(topic="t", operation="Create"),
            "may not do Create on cluster",
            "--operation Create --cluster",
        ),
    ],
)
def test_a_missing_right_is_named(
    clients: FakeClients, code: int, request_: Request, who_may_not: str, command: str
) -> None:
    """Who, what, on which resource, and the command that allows it."""
    shown = explain(clients, KafkaError(code), request_)
    assert shown.startswith(f"User:anna {who_may_not} (")
    assert f"--allow-principal 'User:anna' {command}." in shown


@pytest.mark.parametrize(
    ("properties", "who"),
    [
        ({}, "User:ANONYMOUS"),
        ({"security.protocol": "SSL"}, "User:ANONYMOUS"),
        (
            {"security.protocol": "ssl", "ssl.certificate.location": "/x"},
            "the user of the client's certificate",
        ),
        ({"security.protocol": "SASL_PLAINTEXT", "sasl.username": "b"}, "User:b"),
        ({"security.protocol": "sasl_ssl", "sasl.kerberos.principal": "k"}, "User:k"),
        ({"security.protocol": "sasl_ssl"}, "the user of this login"),
    ],
)
def test_the_principal(properties: dict[str, str], who: str) -> None:
    """As far as the client knows it."""
    assert principal(properties) == who


def test_refusals_are_explained_and_others_stay(clients: FakeClients) -> None:
    """A fenced producer is not a matter of rights; a timeout is one of the connection only if the
    log says so.
    """
    request = Request(transactional_id="p.a-1")
    denied = KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    with (
        pytest.raises(BrokerError, match=r"may not do Write on transactional id"),
        explained(clients, request),
    ):
        raise KafkaException(denied)
    for code in (KafkaError._FENCED, KafkaError._TIMED_OUT):
        with pytest.raises(KafkaException), explained(clients, request):
            raise KafkaException(KafkaError(code))
    clients.last_failure = f"{THREAD}SASL authentication error: x"
    with (
        pytest.raises(BrokerError, match=r"x\. Check sasl.username"),
        explained(clients, request),
    ):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def test_other_errors_are_said_as_they_are(clients: FakeClients) -> None:
    """There is nothing to add."""
    error = KafkaError(KafkaError.INVALID_PARTITIONS)
    assert explain(clients, error) == error.str()
