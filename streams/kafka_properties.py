"""The properties of librdkafka: which clients know them, what values they have, and which are ours.

The table is librdkafka's own (its CONFIGURATION.md), without what is not text: callbacks and
pointers. A guarantee of Millrace rests on some, which users cannot set.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple


class Property(NamedTuple):
    """What is known of a property.

    Attributes
    ----------
    scope
        `C` for consumers, `P` for producers, `*` for every client.
    values
        `least..most`, `one|another`, or empty for any text.
    """

    scope: str
    values: str


_TABLE = """
* api.version.fallback.ms 0..604800000
* api.version.request true|false
* api.version.request.timeout.ms 1..300000
* broker.address.family any|v4|v6
* broker.address.ttl 0..86400000
* broker.version.fallback
* client.dns.lookup use_all_dns_ips|resolve_canonical_bootstrap_servers_only
* client.id
* client.rack
* connections.max.idle.ms 0..2147483647
* debug
* enable.metrics.push true|false
* enable.random.seed true|false
* enable.sasl.oauthbearer.unsecure.jwt true|false
* enable.ssl.certificate.verification true|false
* https.ca.location
* https.ca.pem
* log.connection.close true|false
* log.thread.name true|false
* log_level 0..7
* message.copy.max.bytes 0..1000000000
* message.max.bytes 1000..1000000000
* metadata.max.age.ms 1..86400000
* metadata.recovery.rebootstrap.trigger.ms 0..2147483647
* metadata.recovery.strategy none|rebootstrap
* plugin.library.paths
* receive.message.max.bytes 1000..2147483647
* reconnect.backoff.jitter.ms 0..3600000
* reconnect.backoff.max.ms 0..3600000
* reconnect.backoff.ms 0..3600000
* retry.backoff.max.ms 1..300000
* retry.backoff.ms 1..300000
* sasl.kerberos.keytab
* sasl.kerberos.kinit.cmd
* sasl.kerberos.min.time.before.relogin 0..86400000
* sasl.kerberos.principal
* sasl.kerberos.service.name
* sasl.mechanism
* sasl.mechanisms
* sasl.oauthbearer.assertion.algorithm RS256|ES256
* sasl.oauthbearer.assertion.claim.aud
* sasl.oauthbearer.assertion.claim.exp.seconds 1..2147483647
* sasl.oauthbearer.assertion.claim.iss
* sasl.oauthbearer.assertion.claim.jti.include true|false
* sasl.oauthbearer.assertion.claim.nbf.seconds 0..2147483647
* sasl.oauthbearer.assertion.claim.sub
* sasl.oauthbearer.assertion.file
* sasl.oauthbearer.assertion.jwt.template.file
* sasl.oauthbearer.assertion.private.key.file
* sasl.oauthbearer.assertion.private.key.passphrase
* sasl.oauthbearer.assertion.private.key.pem
* sasl.oauthbearer.client.credentials.client.id
* sasl.oauthbearer.client.credentials.client.secret
* sasl.oauthbearer.client.id
* sasl.oauthbearer.client.secret
* sasl.oauthbearer.config
* sasl.oauthbearer.extensions
* sasl.oauthbearer.grant.type client_credentials|urn:ietf:params:oauth:grant-type:jwt-bearer
* sasl.oauthbearer.metadata.authentication.type none|azure_imds|aws_iam
* sasl.oauthbearer.method default|oidc
* sasl.oauthbearer.scope
* sasl.oauthbearer.sub.claim.name
* sasl.oauthbearer.token.endpoint.url
* sasl.password
* sasl.username
* security.protocol plaintext|ssl|sasl_plaintext|sasl_ssl
* socket.blocking.max.ms 1..60000
* socket.connection.setup.timeout.ms 1000..2147483647
* socket.keepalive.enable true|false
* socket.max.fails 0..1000000
* socket.nagle.disable true|false
* socket.receive.buffer.bytes 0..100000000
* socket.send.buffer.bytes 0..100000000
* socket.timeout.ms 10..300000
* ssl.ca.certificate.stores
* ssl.ca.location
* ssl.ca.pem
* ssl.certificate.location
* ssl.certificate.pem
* ssl.cipher.suites
* ssl.crl.location
* ssl.curves.list
* ssl.endpoint.identification.algorithm none|https
* ssl.engine.id
* ssl.engine.location
* ssl.key.location
* ssl.key.password
* ssl.key.pem
* ssl.keystore.location
* ssl.keystore.password
* ssl.providers
* ssl.sigalgs.list
* topic.blacklist
* topic.metadata.propagation.max.ms 0..3600000
* topic.metadata.refresh.fast.cnt 0..1000
* topic.metadata.refresh.fast.interval.ms 1..60000
* topic.metadata.refresh.interval.ms -1..3600000
* topic.metadata.refresh.sparse true|false
C check.crcs true|false
C consume.callback.max.messages 0..1000000
C coordinator.query.interval.ms 1..3600000
C fetch.error.backoff.ms 0..300000
C fetch.max.bytes 0..2147483135
C fetch.message.max.bytes 1..1000000000
C fetch.min.bytes 0..2147483647
C fetch.queue.backoff.ms 0..300000
C fetch.wait.max.ms 0..300000
C max.partition.fetch.bytes 1..1000000000
C max.poll.interval.ms 1..86400000
C queued.max.messages.kbytes 1..2097151
C queued.min.messages 1..10000000
P batch.num.messages 1..1000000
P batch.size 1..2147483647
P compression.codec none|gzip|snappy|lz4|zstd
P compression.level -1..12
P compression.type none|gzip|snappy|lz4|zstd
P delivery.timeout.ms 0..2147483647
P linger.ms 0..900000
P message.timeout.ms 0..2147483647
P queue.buffering.backpressure.threshold 1..1000000
P queue.buffering.max.kbytes 1..2147483647
P queue.buffering.max.messages 0..2147483647
P queue.buffering.max.ms 0..900000
P request.timeout.ms 1..900000
P sticky.partitioning.linger.ms 0..900000
P transaction.timeout.ms 1000..2147483647
"""

PROPERTIES: Mapping[str, Property] = {
    name: Property(scope, values)
    for scope, name, values in ((*line.split(), "")[:3] for line in _TABLE.strip().splitlines())
}
"""Those that users may set."""

_BROKER = "use the setting broker"
_GUARANTEE = "Millrace's guarantees rest on its own value; see the setting processing_guarantee"
_POSITION = "Millrace commits the offsets itself, with what was learned"
_GROUP = "the group is <pipeline>.<agent>; use the setting pipeline_name for another"
_SESSION = "use the setting session_timeout_seconds"
_ASSIGNMENT = "one worker must have the same partition of every topic"
_ORDER = "records would change their order"
_ROUTING = "events and labels of one key must meet in one partition"
_OURS = "Millrace relies on its own value"
_NO_USE = "it has no use in Millrace"

RESERVED: Mapping[str, str] = {
    "bootstrap.servers": _BROKER,
    "metadata.broker.list": _BROKER,
    "group.id": _GROUP,
    "group.instance.id": "use the setting group_instance_id",
    "group.protocol": _ASSIGNMENT,
    "group.protocol.type": _OURS,
    "group.remote.assignor": _ASSIGNMENT,
    "partition.assignment.strategy": _ASSIGNMENT,
    "session.timeout.ms": _SESSION,
    "heartbeat.interval.ms": _SESSION,
    "isolation.level": _GUARANTEE,
    "enable.idempotence": _GUARANTEE,
    "enable.gapless.guarantee": _GUARANTEE,
    "transactional.id": _GUARANTEE,
    "acks": _GUARANTEE,
    "request.required.acks": _GUARANTEE,
    "retries": _GUARANTEE,
    "message.send.max.retries": _GUARANTEE,
    "enable.auto.commit": _POSITION,
    "auto.commit.enable": _POSITION,
    "auto.commit.interval.ms": _POSITION,
    "enable.auto.offset.store": _POSITION,
    "offset.store.method": _POSITION,
    "offset.store.path": _POSITION,
    "offset.store.sync.interval.ms": _POSITION,
    "auto.offset.reset": "nothing is skipped silently; see the setting accept_gaps",
    "max.in.flight": _ORDER,
    "max.in.flight.requests.per.connection": _ORDER,
    "queuing.strategy": _ORDER,
    "partitioner": _ROUTING,
    "allow.auto.create.topics": "Millrace creates its topics; use the setting partitions",
    "enable.partition.eof": _OURS,
    "statistics.interval.ms": _OURS,
    "delivery.report.only.error": _OURS,
    "produce.offset.report": _OURS,
    "log.queue": "use the setting log_level",
    "max.poll.records": "use the setting batch_records",
    "share.acknowledgement.mode": _NO_USE,
}
"""Those that users may not set, and what to do instead."""

_MOST_IN_FLIGHT = 5  # with more, idempotence does not keep the order
_IN_FLIGHT = ("max.in.flight", "max.in.flight.requests.per.connection")
_OF_JAVA = {
    "sasl.jaas.config": "sasl.username and sasl.password",
    "ssl.truststore.location": "ssl.ca.location, with a PEM file",
    "ssl.truststore.password": "ssl.ca.location, with a PEM file",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.truststore.type": "ssl.ca.location, with a PEM file",
    "ssl.keystore.key": "ssl.key.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.type": "ssl.keystore.location, with a PKCS#12 file",
}


def problem(name: str, value: str) -> str:
    """Return why a property cannot be set, in words that follow its name; empty if it can.

    Examples
    --------
    >>> problem("linger.ms", "5"), problem("lingr.ms", "5")
    ('', 'is not a property of librdkafka. Did you mean linger.ms?')
    >>> problem("linger.ms", "soon")
    "must be a whole number from 0 to 900000; got 'soon'"
    """
    if name in _IN_FLIGHT and value.isdigit() and 1 <= int(value) <= _MOST_IN_FLIGHT:
        return ""
    if name in RESERVED:
        return f"must not be set: {RESERVED[name]}"
    if name not in PROPERTIES:
        return f"is not a property of librdkafka{_hint(name)}"
    return _problem_with_value(PROPERTIES[name].values, value)


def for_clients(properties: Mapping[str, str], scope: str) -> dict[str, str]:
    """Return the properties that clients of a scope know, the others left out.

    Examples
    --------
    >>> for_clients({"linger.ms": "5", "client.id": "x", "fetch.min.bytes": "1"}, "P")
    {'linger.ms': '5', 'client.id': 'x'}
    """
    known = {"*", scope}
    return {
        name: value
        for name, value in properties.items()
        if name in _IN_FLIGHT or PROPERTIES[name].scope in known
    }


def _hint(name: str) -> str:
    if name in _OF_JAVA:
        return f", but of Java's clients: use {_OF_JAVA[name]}"
    plain = name.strip().lower().replace("_", ".")
    near = get_close_matches(plain, [*PROPERTIES, *RESERVED], n=1)
    return f". Did you mean {near[0]}?" if near else ""


def _problem_with_value(values: str, value: str) -> str:
    least, is_range, most = values.partition("..")
    if is_range:
        try:
            is_right = int(least) <= int(value) <= int(most)
        except ValueError:
            is_right = False
        return "" if is_right else f"must be a whole number from {least} to {most}; got {value!r}"
    choices = values.split("|") if values else []
    if not choices or value.lower() in {each.lower() for each in choices}:
        return ""
    return f"must be {' or '.join(choices)}; got {value!r}"
