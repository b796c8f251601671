"""Which errors pass by themselves."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from millrace.streams.kafka.errors import cause_of, is_disconnection, is_transient

DISCONNECTED = [KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT]
CHANGING = [
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
]


@pytest.mark.parametrize("code", DISCONNECTED)
def test_a_broker_that_is_away(code: int) -> None:
    """It is waited for, whatever is done with it."""
    assert is_disconnection(KafkaError(code))
    assert is_transient(KafkaError(code))


@pytest.mark.parametrize("code", CHANGING)
def test_a_cluster_that_is_changing(code: int) -> None:
    """A consumer that lives on waits for it; one that reads a topic to its end does not."""
    assert is_transient(KafkaError(code))
    assert not is_disconnection(KafkaError(code))


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._FAIL, KafkaError._AUTHENTICATION]
)
def test_other_errors_stay(code: int) -> None:
    """Unless librdkafka says that they are worth another try."""
    assert not is_transient(KafkaError(code))
    assert not is_disconnection(KafkaError(code))
    retriable = KafkaError(code, None, False, True)
    assert is_transient(retriable)
    assert is_disconnection(retriable)


def test_a_fatal_error_never_passes() -> None:
    """Whatever its code."""
    fatal = KafkaError(KafkaError._TRANSPORT, None, True, True)
    assert not is_transient(fatal)
    assert not is_disconnection(fatal)


def test_the_cause_of_an_exception() -> None:
    """What confluent-kafka wraps."""
    error = KafkaError(KafkaError._FAIL)
    assert cause_of(KafkaException(error)) is error
