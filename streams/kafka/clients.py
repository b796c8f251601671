"""Kafka clients, configured from the settings."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from millrace.schemas import BrokerError, SettingsError
from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.outage import Outage
from millrace.streams.kafka.protocols import Config
from millrace.streams.kafka.tokens import token_source
from millrace.streams.kafka_properties import for_clients
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import INTERNAL_COMPRESSION, MAX_RECORD_BYTES

_EMBEDDED_SESSION_MS = (4_000, 6_000)  # its group waits 3 s for the first members
_EMBEDDED_POLL_INTERVAL_MS = 300_000
_LEAST_POLL_INTERVAL_MS = 45_000
_METADATA_MS = 10_000  # until partitions that were added are read
_POLL_SESSIONS = 5
_RETRY_BACKOFF_MS = 5  # doubling; a coordinator asks for a moment between two transactions
_RECENT_SECONDS = 30.0
_FAILURES = frozenset({"FAIL", "ERROR", "REQTMOUT", "SESSTMOUT", "GETPID"})
_ANSWERED = "Broker: "  # what an error begins with that is the broker's own
_REFUSED = re.compile(r'Failed to add partition "(.+)" .* authorization failed')

T = TypeVar("T")

_LOG = logging.getLogger("librdkafka")


class KafkaClients:
    """Makes the clients of the broker that the settings name: `Clients`, but for fakes.

    Parameters
    ----------
    settings
        The broker, and what its clients are given besides.

    Raises
    ------
    SettingsError
        By each method that makes a client: librdkafka refuses a property.
    BrokerError
        By each method that makes a client: there is no token for it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.broker = settings.broker
        self.is_embedded = settings.is_embedded
        self.beside: dict[str, bytes] | None = {} if settings.is_embedded else None
        self.properties = settings.kafka
        self.outage = Outage()
        self._own: dict[str, Any] = {"logger": self}
        if settings.oauth_token:
            self._own["oauth_cb"] = token_source(settings.oauth_token)
        self._last_failure, self._failed_at = "", 0.0
        self._last_refused_topic, self._refused_at = "", 0.0

    def consumer(self, group: str, config: Config) -> Consumer:
        return self._made(Consumer, {**consumer_config(self._settings, group), **config})

    def reader(self, topic: str) -> Consumer:
        return self._made(Consumer, reader_config(self._settings, topic))

    def producer(self, config: Config) -> Producer:
        return self._made(Producer, {**producer_config(self._settings), **config})

    def admin(self) -> AdminClient:
        return self._made(AdminClient, common_config(self._settings, "*"))

    @property
    def last_failure(self) -> str:
        """What a client has logged last of a connection; empty if that was long ago."""
        return self._last_failure if _is_recent(self._failed_at) else ""

    @property
    def last_refused_topic(self) -> str:
        """The topic that a transaction could not write to last; empty if that was long ago."""
        return self._last_refused_topic if _is_recent(self._refused_at) else ""

    def log(self, level: int, template: str, facility: str, client: str, text: str) -> None:
        """Take a line of librdkafka's log, as a `logging.Logger` would."""
        if facility == "ADDPARTS" and (refused := _REFUSED.search(text)):
            self._last_refused_topic, self._refused_at = refused[1], time.monotonic()
        if facility == "GETPID" and _ANSWERED in text:  # a new broker, which loads a coordinator
            _LOG.info(template, facility, client, text)
            return
        if facility not in _FAILURES and not self.outage.is_on:
            _LOG.log(level, template, facility, client, text)
            return
        if facility == "FAIL":  # the others follow from it
            self._last_failure, self._failed_at = text, time.monotonic()
        if level >= logging.WARNING:
            self.outage.note(text.partition("]: ")[2] or text)

    def _made(self, make: Callable[[dict[str, Any]], T], config: dict[str, Any]) -> T:
        try:
            return make({**self._own, **config})
        except KafkaException as error:
            if cause_of(error).code() == KafkaError.SASL_AUTHENTICATION_FAILED:
                raise BrokerError(
                    f"no token for SASL OAUTHBEARER came in time: {cause_of(error).str()}. The log"
                    " says what the function of MILLRACE_OAUTH_TOKEN has raised"
                ) from error
            raise SettingsError(f"kafka must be properties that fit together: {error}") from error


def _is_recent(moment: float) -> bool:
    return time.monotonic() - moment < _RECENT_SECONDS


def common_config(settings: Settings, scope: str) -> dict[str, Any]:
    """Return what every client of this deployment shares, and what those of a scope know."""
    own = for_clients(settings.kafka, scope)
    return {"bootstrap.servers": settings.bootstrap, **own}


def consumer_config(settings: Settings, group: str) -> dict[str, object]:
    """Return the configuration of a consumer that commits by hand and skips nothing.

    An offset that is not there any more is an error (`auto.offset.reset`), and never skipped.
    """
    session_ms = _session_ms(settings)
    config = {
        **common_config(settings, "C"),
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "range",  # the same partition of two topics to one member
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": max(session_ms // 10, 100),
        **_ours(
            settings,
            {
                "max.poll.interval.ms": _poll_interval_ms(settings, session_ms),
                "fetch.wait.max.ms": 20,
                "topic.metadata.refresh.interval.ms": _METADATA_MS,
                "fetch.queue.backoff.ms": 20,
                "fetch.message.max.bytes": MAX_RECORD_BYTES,
                "queued.max.messages.kbytes": 65536,
            },
        ),
    }
    if settings.group_instance_id:
        config["group.instance.id"] = f"{settings.group_instance_id}-{group}"
    return config


def _session_ms(settings: Settings) -> int:
    session_ms = int(settings.session_timeout_seconds * 1000)
    if settings.is_embedded:  # which does not notice that a worker leaves until the timeout
        least, most = _EMBEDDED_SESSION_MS
        return min(max(session_ms, least), most)
    return session_ms


def _poll_interval_ms(settings: Settings, session_ms: int) -> int:
    """Return how long a batch, or reading state back, may take; a rebalance waits as long.

    A coordinator that has crashed may wait as long for a member that is gone, whatever its session.
    """
    if settings.is_embedded:
        return _EMBEDDED_POLL_INTERVAL_MS
    return max(_POLL_SESSIONS * session_ms, _LEAST_POLL_INTERVAL_MS)


def reader_config(settings: Settings, topic: str) -> dict[str, object]:
    """Return the configuration of a consumer that only reads, and commits nothing.

    librdkafka looks for the coordinator of its group all the same, and so needs a right to it. The
    group begins with the topic, and so with the pipeline's name.
    """
    return {
        **consumer_config(settings, f"{topic}.reader"),
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
    }


def producer_config(settings: Settings) -> dict[str, object]:
    """Return the configuration of a producer that keeps order and loses nothing."""
    return {
        **common_config(settings, "P"),
        "enable.idempotence": True,
        **_ours(
            settings,
            {
                "linger.ms": 5,
                "compression.type": "none" if settings.is_embedded else INTERNAL_COMPRESSION,
                "message.max.bytes": MAX_RECORD_BYTES,
                "queue.buffering.max.messages": 1_000_000,
                "retry.backoff.ms": _RETRY_BACKOFF_MS,
                # A batch may take as long; who takes over ends a transaction that was left open.
                "transaction.timeout.ms": _poll_interval_ms(settings, _session_ms(settings)),
            },
        ),
    }


def _ours(settings: Settings, tuning: Mapping[str, object]) -> dict[str, object]:
    """Return what the user has not set otherwise: tuning, on which no guarantee rests."""
    return {name: value for name, value in tuning.items() if name not in settings.kafka}
