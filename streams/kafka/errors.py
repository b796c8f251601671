"""Which errors of a client pass by themselves, since librdkafka tries again."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

_DISCONNECTED = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}
)
_TRANSIENT = _DISCONNECTED | {
    KafkaError._RESOLVE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REBALANCE_IN_PROGRESS,
}


def cause_of(error: KafkaException) -> KafkaError:
    """Return what an exception of confluent-kafka was raised for."""
    cause: KafkaError = error.args[0]
    return cause


def is_disconnection(error: KafkaError) -> bool:
    """Whether the broker is away for a moment, as far as a client can tell."""
    return not error.fatal() and (error.retriable() or error.code() in _DISCONNECTED)


def is_transient(error: KafkaError) -> bool:
    """Whether an error passes: a disconnection, or a topic, leader or group that is changing."""
    return not error.fatal() and (error.retriable() or error.code() in _TRANSIENT)
