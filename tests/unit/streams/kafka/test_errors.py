"""Which errors pass by themselves."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from millrace.schemas import (
    BrokerError,
    ExpiredError,
    PartitionsError,
    RegistryError,
    SettingsError,
    SnapshotError,
    TopicError,
)
from millrace.streams.kafka.errors import (
    cause_of,
    is_disconnection,
    is_outage,
    is_transient,
    public_reason,
    timed_out,
)

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


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KafkaException(KafkaError(KafkaError._TRANSPORT)), "the broker cannot be reached"),
        (KafkaException(KafkaError(KafkaError._AUTHENTICATION)), "the broker refuses the login"),
        (KafkaException(KafkaError(KafkaError._SSL)), "TLS with the broker fails"),
        (
            KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)),
            "a right on the broker is missing",
        ),
        (KafkaException(KafkaError(KafkaError._FENCED)), "another worker has taken over"),
        (KafkaException(KafkaError(KafkaError.INVALID_PARTITIONS)), "the broker refuses a request"),
        (BrokerError("s3cret"), "the broker refuses a request"),
        (ExpiredError("s3cret"), "input has expired"),
        (TopicError("s3cret"), "a topic was deleted, truncated or created again"),
        (PartitionsError("s3cret"), "topics do not have the partitions that they need"),
        (RegistryError("http://u:s3cret@h"), "the schema registry does not answer"),
        (SnapshotError("s3cret"), "saved state cannot be loaded"),
        (SettingsError("s3cret"), "a setting is wrong"),
        (MemoryError("s3cret"), "out of memory"),
        (OSError("s3cret"), "the operating system refuses a request"),
        (ValueError("s3cret"), "a fault that Millrace does not expect"),
        (SystemExit("s3cret"), "a fault that Millrace does not expect"),
    ],
)
def test_public_words_say_the_kind_of_failure(error: BaseException, words: str) -> None:
    """And nothing of its message; of an error that follows from another, the other's kind."""
    assert public_reason(error) == words
    follows = BrokerError("s3cret")
    follows.__cause__ = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    assert public_reason(follows) == "the broker cannot be reached"


def test_an_outage_is_told_apart() -> None:
    """By what an error follows from."""
    assert is_outage(timed_out())
    assert not is_outage(KafkaException(KafkaError(KafkaError._SSL)))
    assert not is_outage(KafkaException(KafkaError(KafkaError._TRANSPORT, fatal=True)))
    assert not is_outage(BrokerError("x"))
    follows = BrokerError("x")
    follows.__cause__ = timed_out()
    assert is_outage(follows)
