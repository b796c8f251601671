"""What Millrace uses of a Kafka client, as interfaces.

confluent-kafka's clients have these methods, and so have the fakes (`streams.kafka.fakes`).
Whatever needs a client is given `Clients` and asks it for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Literal, Protocol, TypeAlias

from confluent_kafka import KafkaError, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined] # not re-exported
from confluent_kafka.cimpl import NewPartitions, NewTopic

from millrace.streams.kafka.outage import Outage

Config: TypeAlias = Mapping[str, object]
"""librdkafka's properties, and confluent-kafka's callbacks, by name."""

Headers: TypeAlias = list[tuple[str, str | bytes | None]]

Place: TypeAlias = tuple[str, int]
"""A topic and a partition."""

OnDelivery: TypeAlias = Callable[[KafkaError | None, Message], None]
"""Told that a record is on the broker, or why it is not."""

RebalanceCallback: TypeAlias = Callable[["Consumer", list[TopicPartition]], None]


class Consumer(Protocol):
    """Reads, and commits offsets for its group."""

    def subscribe(
        self,
        topics: list[str],
        /,
        *,
        on_assign: RebalanceCallback,
        on_revoke: RebalanceCallback,
        on_lost: RebalanceCallback,
    ) -> None: ...

    def assign(self, partitions: list[TopicPartition], /) -> None: ...

    def unassign(self) -> None: ...

    def pause(self, partitions: list[TopicPartition], /) -> None: ...

    def resume(self, partitions: list[TopicPartition], /) -> None: ...

    def poll(self, timeout: float, /) -> Message | None: ...

    def consume(self, num_messages: int, /, timeout: float) -> list[Message]: ...

    def committed(
        self, partitions: list[TopicPartition], /, timeout: float
    ) -> list[TopicPartition]: ...

    def commit(
        self, *, offsets: list[TopicPartition], asynchronous: Literal[False]
    ) -> list[TopicPartition]: ...

    def get_watermark_offsets(
        self, partition: TopicPartition, /, timeout: float = ..., cached: bool = ...
    ) -> tuple[int, int]: ...

    def offsets_for_times(
        self, partitions: list[TopicPartition], /, timeout: float
    ) -> list[TopicPartition]: ...

    def list_topics(self, topic: str, /, timeout: float) -> Metadata: ...

    def consumer_group_metadata(self) -> object: ...

    def close(self) -> None: ...


class Producer(Protocol):
    """Writes, in transactions where it has a transactional id."""

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: str | bytes | None,
        partition: int,
        callback: None = ...,
        on_delivery: OnDelivery | None = ...,
        timestamp: int = ...,
        headers: Headers | None = ...,
    ) -> None: ...

    def poll(self, timeout: float, /) -> int: ...

    def flush(self, timeout: float, /) -> int: ...

    def init_transactions(self, timeout: float, /) -> None: ...

    def begin_transaction(self) -> None: ...

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: object, timeout: float, /
    ) -> None: ...

    def commit_transaction(self, timeout: float, /) -> None: ...

    def abort_transaction(self, timeout: float, /) -> None: ...


class Topic(Protocol):
    """What is known of a topic."""

    @property
    def partitions(self) -> Mapping[int, object]: ...


class Metadata(Protocol):
    """What is known of a cluster."""

    @property
    def topics(self) -> Mapping[str, Topic]: ...


class Description(Protocol):
    """What is known of a topic, and which one it is."""

    @property
    def topic_id(self) -> object: ...

    @property
    def partitions(self) -> Sequence[object]: ...


class ConfigValue(Protocol):
    """How one property of a topic is set."""

    @property
    def value(self) -> str | None: ...


class Admin(Protocol):
    """Lists topics, describes, creates and widens them."""

    def list_topics(self, topic: str | None = ..., timeout: float = ...) -> Metadata: ...

    def describe_topics(
        self, topics: TopicCollection, /, *, request_timeout: float
    ) -> Mapping[str, Future[Description]]: ...

    def poll(self, timeout: float, /) -> int: ...

    def create_topics(
        self, new_topics: list[NewTopic], /, *, request_timeout: float, validate_only: bool = ...
    ) -> Mapping[str, Future[None]]: ...

    def create_partitions(
        self, new_partitions: list[NewPartitions], /, *, request_timeout: float
    ) -> Mapping[str, Future[None]]: ...

    def describe_configs(
        self, resources: list[ConfigResource], /, *, request_timeout: float
    ) -> Mapping[ConfigResource, Future[Mapping[str, ConfigValue]]]: ...


class Clients(Protocol):
    """Makes the clients of one broker.

    Attributes
    ----------
    broker
        Its name, for messages.
    is_embedded
        Whether it is librdkafka's mock broker.
    beside
        Name to a value that is too large for that one; None for a broker that keeps what it takes.
    properties
        What the user has set for all clients.
    outage
        Told when the broker cannot be reached, and when it can.
    last_failure
        What a client has logged last of a connection that failed.
    last_refused_topic
        The topic that a transaction could not write to, which its error does not name.
    """

    @property
    def broker(self) -> str: ...

    @property
    def is_embedded(self) -> bool: ...

    @property
    def beside(self) -> dict[str, bytes] | None: ...

    @property
    def properties(self) -> Mapping[str, str]: ...

    @property
    def outage(self) -> Outage: ...

    @property
    def last_failure(self) -> str: ...

    @property
    def last_refused_topic(self) -> str: ...

    def consumer(self, group: str, config: Config) -> Consumer:
        """Return a consumer that reads what is committed and commits offsets by hand."""
        ...

    def reader(self, topic: str) -> Consumer:
        """Return a consumer that reads what is committed, commits nothing and reports ends.

        Its group, which has no members, begins with `topic`.
        """
        ...

    def producer(self, config: Config) -> Producer:
        """Return a producer that keeps order and loses nothing."""
        ...

    def admin(self) -> Admin: ...
