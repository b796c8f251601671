"""Which errors of a client pass by themselves, since librdkafka tries again; and public words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from confluent_kafka import KafkaError, KafkaException

from millrace.schemas import MillraceError

DISCONNECTED = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}
)
_TRANSIENT = DISCONNECTED | {
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
_REFUSED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_RECORD,
    }
)

UNREACHABLE = "the broker cannot be reached"
_NO_LOGIN = "the broker refuses the login"
_NO_RIGHT = "a right on the broker is missing"
_FENCED = "another worker has taken over"
_PUBLIC: Mapping[int, str] = {
    **dict.fromkeys(
        (*DISCONNECTED, KafkaError._RESOLVE, KafkaError.REQUEST_TIMED_OUT), UNREACHABLE
    ),
    KafkaError._AUTHENTICATION: _NO_LOGIN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _NO_LOGIN,
    KafkaError._SSL: "TLS with the broker fails",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _NO_RIGHT,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _NO_RIGHT,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _NO_RIGHT,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _NO_RIGHT,
    KafkaError._FENCED: _FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH: _FENCED,
    KafkaError.PRODUCER_FENCED: _FENCED,
    KafkaError.ILLEGAL_GENERATION: _FENCED,
    KafkaError.UNKNOWN_MEMBER_ID: _FENCED,
    KafkaError.MSG_SIZE_TOO_LARGE: "a record is too large for the broker",
    KafkaError._AUTO_OFFSET_RESET: "input has expired",
}
STALLED = "records wait, but none is read"

_OTHERS: tuple[tuple[type[BaseException], str], ...] = (
    (MemoryError, "out of memory"),
    (OSError, "the operating system refuses a request"),
)
_UNEXPECTED = "a fault that Millrace does not expect"


def public_reason(error: BaseException) -> str:
    """Return what kind of failure an exception is, in words that tell nothing of its message.

    They are for `/healthz`, which anybody may read; the details are in the log.

    Examples
    --------
    >>> public_reason(ValueError("password"))
    'a fault that Millrace does not expect'
    >>> public_reason(KafkaException(KafkaError(KafkaError._AUTHENTICATION)))
    'the broker refuses the login'
    """
    chain = [*_chain(error)]
    for code in (cause_of(each).code() for each in chain if isinstance(each, KafkaException)):
        if code in _PUBLIC:
            return _PUBLIC[code]
    for each in chain:
        if isinstance(each, MillraceError):
            return each.public
        for kind, words in _OTHERS:
            if isinstance(each, kind):
                return words
    is_kafka = any(isinstance(each, KafkaException) for each in chain)
    return "the broker refuses a request" if is_kafka else _UNEXPECTED


def is_outage(error: BaseException) -> bool:
    """Whether an exception says that the broker is away, and nothing else."""
    causes = [cause_of(each) for each in _chain(error) if isinstance(each, KafkaException)]
    return any(each.code() in DISCONNECTED and not each.fatal() for each in causes)


def timed_out() -> KafkaException:
    """Return what an error follows from where librdkafka does not come back."""
    return KafkaException(KafkaError(KafkaError._TIMED_OUT))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def cause_of(error: KafkaException) -> KafkaError:
    """Return what an exception of confluent-kafka was raised for."""
    cause: KafkaError = error.args[0]
    return cause


def is_disconnection(error: KafkaError) -> bool:
    """Whether the broker is away for a moment, as far as a client can tell."""
    return not error.fatal() and (error.retriable() or error.code() in DISCONNECTED)


def is_transient(error: KafkaError) -> bool:
    """Whether an error passes: a disconnection, or a topic, leader or group that is changing."""
    return not error.fatal() and (error.retriable() or error.code() in _TRANSIENT)


def is_refusal(error: KafkaError) -> bool:
    """Whether a broker will never take a record as it is; it takes others."""
    return not error.fatal() and error.code() in _REFUSED
