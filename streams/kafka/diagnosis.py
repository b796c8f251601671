"""Why a broker cannot be used, and what to do: librdkafka's own reason, and a fix that fits it.

A request that fails says no more than "Broker transport failure"; the reason is in the client's
log. Where the broker refuses one request, what is missing is named: who may not do what.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException

from millrace.schemas import BrokerError
from millrace.streams.kafka.errors import DISCONNECTED, cause_of
from millrace.streams.kafka.protocols import Clients

_PROBE_SECONDS = 3.0
_NOISE = re.compile(r"^\[thrd:[^]]*\]: |^\S+?/(?:bootstrap|\d+): | \(after \d+ms in state \w+.*\)$")
_STATE = re.compile(r"in state (\w+)")
_LOCAL = re.compile(r"localhost|127\.\d|\[?::1\]?")

_LISTENER = "Check security.protocol, and that broker has the port of the listener that you mean"
_FIXES: tuple[tuple[str, str], ...] = (
    (
        r"supported mechanisms: \S",
        "Set sasl.mechanisms to one that the broker supports",
    ),
    (
        r"SASL state|supported mechanisms:",
        "That listener asks for no login: set security.protocol to plaintext or ssl, or use the"
        " port of a listener with SASL",
    ),
    (
        r"OAUTHBEARER|OIDC|token",
        "Check the properties sasl.oauthbearer.*, or the function of MILLRACE_OAUTH_TOKEN",
    ),
    (r"GSSAPI|Kerberos|kinit", "Check the properties sasl.kerberos.*"),
    (
        r"SASL|[Aa]uthentication",
        "Check sasl.username and sasl.password (MILLRACE_KAFKA_SASL_PASSWORD_FILE)",
    ),
    (r"certificate has expired|not yet valid", "Renew the broker's certificate"),
    (
        r"ostname mismatch|IP address mismatch",
        "Set broker to a name that is in the broker's certificate",
    ),
    (
        r"certificate verify failed",
        "Set ssl.ca.location to the CA that has signed the broker's certificate",
    ),
    (
        r"certificate required|bad certificate|unknown ca|handshake failure",
        "The broker asks for a certificate that it trusts: set ssl.certificate.location and"
        " ssl.key.location",
    ),
    (
        r"PLAINTEXT broker|SSL connection closed|wrong version number|record layer",
        "That listener has no TLS: set security.protocol to plaintext or sasl_plaintext, or use the"
        " port of a listener with TLS",
    ),
    (r"SSL|certificate", "Check security.protocol and the properties ssl.*"),
    (r"Failed to resolve", "Check the host in broker, and that this machine can resolve it"),
    (r"unreachable|No route", "Check the network between this machine and the broker"),
    (
        r"Invalid response size",
        "What answers at this port is no Kafka listener, or one with TLS. " + _LISTENER,
    ),
    (
        r"closed by peer|reset by peer|Disconnected",
        "A listener that asks for TLS or a login ends a connection without: set security.protocol"
        " to ssl, sasl_ssl or sasl_plaintext",
    ),
)
_START_ONE = "Start one with `make kafka` or `docker compose up`, or leave --broker out"
_NO_REASON = (
    "nothing came back in time",
    "Check host and port, and that no firewall drops the connection",
)

_DENIED: Mapping[int, tuple[str, str]] = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: ("topic", "Read"),
    KafkaError.GROUP_AUTHORIZATION_FAILED: ("group", ""),
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: ("transactional id", "Write"),
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: ("cluster", "IdempotentWrite"),
}
"""What the broker refuses: the kind of resource, and the operation unless the request says it."""

_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})
_CONNECTION = DISCONNECTED | _LOGIN | {KafkaError._BAD_MSG}


class Request(NamedTuple):
    """What a client asks for, as far as it needs rights.

    Attributes
    ----------
    topic, group, transactional_id
        The resources that it names.
    operation, group_operation
        What it does with the topic and with the group.
    """

    topic: str = ""
    group: str = ""
    transactional_id: str = ""
    operation: str = ""
    group_operation: str = "Read"


def explain(clients: Clients, error: KafkaError, request: Request = Request()) -> str:  # noqa: B008 - immutable
    """Return why a request failed and what to do, in one or two sentences."""
    if error.code() in _DENIED:
        return _denied(clients, error, request)
    if error.code() in _CONNECTION:
        own = error.str() if error.code() in _LOGIN else ""
        return diagnosis(clients.broker, clients.properties, own or clients.last_failure)
    return error.str()


def refused(clients: Clients, topic: str) -> str:
    """Return what to do about a topic that the broker does not let a transaction write to."""
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    return explain(clients, error, Request(topic, operation="Write"))


@contextmanager
def explained(clients: Clients, request: Request) -> Iterator[None]:
    """Raise a refusal or a failed connection as an error that says what to do.

    Raises
    ------
    BrokerError
        The broker refused `request`, or the client's log says why it has no connection.
    """
    try:
        yield
    except KafkaException as error:
        cause = cause_of(error)
        is_known = cause.code() in _LOGIN or (clients.last_failure and cause.code() in _CONNECTION)
        if cause.code() not in _DENIED and not is_known:
            raise
        raise BrokerError(explain(clients, cause, request)) from error


def diagnosis(broker: str, properties: Mapping[str, str], logged: str) -> str:
    """Return why a broker cannot be reached and what to do.

    Parameters
    ----------
    logged
        What librdkafka has logged last of a connection; empty if nothing.

    Examples
    --------
    >>> diagnosis("kafka:9092", {}, "kafka:9092/1: Failed to resolve 'kafka:9092': Name unknown")
    "broker 'kafka:9092' cannot be reached: Failed to resolve 'kafka:9092': Name unknown. Check
    the host in broker, and that this machine can resolve it"
    """
    reason, fix = _reason(logged, properties), ""
    if not reason or "timed out" in reason:
        reason, fix = reason or _NO_REASON[0], _NO_REASON[1]
    elif "refused" in reason:
        is_local = _LOCAL.match(broker)
        fix = _START_ONE if is_local else "Check host and port, and that the broker runs"
    else:
        fix = next((fix for found, fix in _FIXES if re.search(found, reason)), _LISTENER)
    return f"broker {broker!r} cannot be reached: {reason}. {fix}"


def principal(properties: Mapping[str, str]) -> str:
    """Return who a broker takes these clients for, as far as they can know.

    Examples
    --------
    >>> principal({"security.protocol": "SASL_SSL", "sasl.username": "anna"})
    'User:anna'
    """
    protocol = properties.get("security.protocol", "plaintext").lower()
    if "sasl" in protocol:
        user = properties.get("sasl.username") or properties.get("sasl.kerberos.principal")
        return f"User:{user}" if user else "the user of this login"
    if protocol == "ssl" and {"ssl.certificate.location", "ssl.keystore.location"} & {*properties}:
        return "the user of the client's certificate"
    return "User:ANONYMOUS"


def _denied(clients: Clients, error: KafkaError, request: Request) -> str:
    kind, operation = _DENIED[error.code()]
    who = principal(clients.properties)
    name = {
        "topic": request.topic,
        "group": request.group,
        "transactional id": request.transactional_id,
    }.get(kind, "")
    if kind == "topic" or (kind == "cluster" and request.operation == "Create"):
        operation = request.operation or operation
    elif kind == "group":
        operation = request.group_operation
    resource = f"{kind} {name!r}" if name else kind
    flag = "--cluster" if kind == "cluster" else f"--{kind.replace(' ', '-')} '{name}'"
    user = who if who.startswith("User:") else "User:..."
    return (
        f"{who} may not do {operation} on {resource} ({error.str().rstrip('.')}). Allow it:"
        f" kafka-acls --add --allow-principal '{user}' --operation {operation} {flag}. See"
        " docs/security.md"
    )


def _reason(logged: str, properties: Mapping[str, str]) -> str:
    """Return the reason in a line of librdkafka's log; of a refused certificate, OpenSSL's own."""
    reason = logged
    while (shorter := _NOISE.sub("", reason)) != reason:
        reason = shorter
    if "certificate verify failed" not in logged:
        return reason
    address = re.search(r"://(\[?[^\]/]+\]?):(\d+)/", logged)
    found = _certificate_problem(address[1], int(address[2]), properties) if address else ""
    return f"certificate verify failed: {found}" if found else reason.partition(", verify that")[0]


def _certificate_problem(host: str, port: int, properties: Mapping[str, str]) -> str:
    """Return what is wrong with a broker's certificate, which librdkafka does not tell."""
    try:
        context = ssl.create_default_context(cafile=properties.get("ssl.ca.location") or None)
        with (
            socket.create_connection((host.strip("[]"), port), timeout=_PROBE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except (OSError, ValueError):
        return ""
