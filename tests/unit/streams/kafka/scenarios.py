"""What the runtime expects of Kafka's clients, as scenarios that can be played on any.

`tests/unit` plays them on the fakes, `tests/integration` on a real Kafka: each has to lead to what
is written down here, so that the fakes do what Kafka does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.cimpl import NewTopic

from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.identity import Identity, identities
from millrace.streams.kafka.protocols import Clients, Consumer, Producer

Seen = list[object]
SECONDS = 20.0


def transactional(clients: Clients, name: str) -> Producer:
    producer = clients.producer({"transactional.id": name})
    producer.init_transactions(SECONDS)
    return producer


def write(producer: Producer, topic: str, *values: bytes, commits: bool = True) -> None:
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, None, 0)
    producer.flush(SECONDS)
    if commits:
        producer.commit_transaction(SECONDS)


def read(clients: Clients, topic: str, start: int = OFFSET_BEGINNING) -> Seen:
    """Return what a reader sees up to the end, its offset included."""
    reader = clients.reader("t")
    reader.assign([TopicPartition(topic, 0, start)])
    seen: Seen = []
    for message in _messages(reader):
        error = message.error()
        seen.append((message.value() if error is None else error.name(), message.offset()))
        if error is not None:
            break
    reader.close()
    return seen


def _messages(consumer: Consumer) -> Iterator[Message]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None:
            yield message


@contextmanager
def noting(seen: Seen, what: str) -> Iterator[None]:
    """Note that a call succeeded, or the error that it raised."""
    try:
        yield
    except KafkaException as error:
        cause = cause_of(error)
        seen.append((what, cause.name(), cause.fatal(), cause.txn_requires_abort()))
    else:
        seen.append((what, "ok"))


class Member:
    """A member of a group that begins every partition at its beginning."""

    def __init__(self, clients: Clients, group: str, topic: str) -> None:
        self.seen: Seen = []
        self.consumer = clients.consumer(group, {"enable.partition.eof": True})
        self.consumer.subscribe(
            [topic],
            on_assign=self._assign,
            on_revoke=lambda _, gone: self._note("revoke", gone),
            on_lost=lambda _, gone: self._note("lost", gone),
        )

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._note("assign", partitions)
        consumer.assign([TopicPartition(each.topic, each.partition, 0) for each in partitions])

    def _note(self, what: str, partitions: list[TopicPartition]) -> None:
        self.seen.append((what, len(partitions)))

    def poll_until(self, count: int) -> None:
        """Poll until as much has happened."""
        deadline = time.monotonic() + SECONDS
        while len(self.seen) < count and time.monotonic() < deadline:
            self.consumer.poll(0.05)


def committed_and_aborted(clients: Clients, topic: str) -> Seen:
    """Markers take up offsets; what is aborted, and they, are not read."""
    producer = transactional(clients, f"{topic}-a")
    write(producer, topic, b"1", b"2")
    write(producer, topic, b"void", commits=False)
    producer.abort_transaction(SECONDS)
    write(producer, topic, b"3")
    return [read(clients, topic), read(clients, topic, OFFSET_END), read(clients, topic, 3)]


def an_open_transaction(clients: Clients, topic: str) -> Seen:
    """Readers end before it; the broker says where that is."""
    write(transactional(clients, f"{topic}-a"), topic, b"1")
    producer = transactional(clients, f"{topic}-b")
    write(producer, topic, b"open", commits=False)
    reader = clients.reader("t")
    at = TopicPartition(topic, 0)
    marks = reader.get_watermark_offsets(at, timeout=SECONDS)
    (end,) = reader.offsets_for_times([TopicPartition(topic, 0, OFFSET_END)], timeout=SECONDS)
    reader.close()
    seen: Seen = [read(clients, topic), marks, end.offset]
    producer.commit_transaction(SECONDS)
    return [*seen, read(clients, topic)]


def fencing(clients: Clients, topic: str) -> Seen:
    """A second producer with the same id aborts the first one's transaction, which cannot end."""
    seen: Seen = []
    zombie = transactional(clients, f"{topic}-a")
    write(zombie, topic, b"void", commits=False)
    heir = transactional(clients, f"{topic}-a")
    seen.append(read(clients, topic))
    with noting(seen, "commit"):
        zombie.commit_transaction(SECONDS)
    write(heir, topic, b"1")
    return [*seen, read(clients, topic)]


def states_of_a_producer(clients: Clients, topic: str) -> Seen:
    """What must not be called when."""
    seen: Seen = []
    producer = clients.producer({"transactional.id": f"{topic}-a"})
    with noting(seen, "begin before init"):
        producer.begin_transaction()
    producer.init_transactions(SECONDS)
    with noting(seen, "produce before begin"):
        producer.produce(topic, b"1", None, 0)
    with noting(seen, "commit before begin"):
        producer.commit_transaction(SECONDS)
    producer.begin_transaction()
    with noting(seen, "begin twice"):
        producer.begin_transaction()
    return seen


def a_record_that_is_too_large(clients: Clients, topic: str) -> Seen:
    """The client refuses it at once."""
    seen: Seen = []
    producer = transactional(clients, f"{topic}-a")
    producer.begin_transaction()
    with noting(seen, "produce"):
        producer.produce(topic, bytes(16 * 1024 * 1024 + 1), None, 0)
    producer.abort_transaction(SECONDS)
    return seen


def offsets_of_a_group(clients: Clients, topic: str) -> Seen:
    """Kept back while a transaction that holds them is open; there once it is committed."""
    seen: Seen = []
    member = Member(clients, topic, topic)
    member.poll_until(1)
    place = [TopicPartition(topic, 0)]
    seen.append([each.offset for each in member.consumer.committed(place, timeout=SECONDS)])
    producer = transactional(clients, f"{topic}-a")
    write(producer, topic, b"1", commits=False)
    metadata = member.consumer.consumer_group_metadata()
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 5)], metadata, SECONDS)
    with noting(seen, "committed"):
        member.consumer.committed(place, timeout=1.0)
    producer.commit_transaction(SECONDS)
    seen.append([each.offset for each in member.consumer.committed(place, timeout=SECONDS)])
    member.consumer.close()
    return [*seen, member.seen]


def a_member_that_has_left(clients: Clients, topic: str) -> Seen:
    """Its offsets are refused, and the transaction must be aborted."""
    seen: Seen = []
    member = Member(clients, topic, topic)
    member.poll_until(1)
    metadata = member.consumer.consumer_group_metadata()
    member.consumer.close()
    producer = transactional(clients, f"{topic}-a")
    write(producer, topic, b"1", commits=False)
    with noting(seen, "send offsets"):
        producer.send_offsets_to_transaction([TopicPartition(topic, 0, 5)], metadata, SECONDS)
    producer.abort_transaction(SECONDS)
    return [*seen, member.seen, read(clients, topic)]


def a_second_member(clients: Clients, topic: str) -> Seen:
    """It is assigned its share once the first one has revoked; then that one has the rest."""
    first = Member(clients, topic, topic)
    first.poll_until(1)
    second = Member(clients, topic, topic)
    deadline = time.monotonic() + SECONDS
    while (len(first.seen), len(second.seen)) != (3, 1) and time.monotonic() < deadline:
        for each in (first, second):
            each.consumer.poll(0.05)
    second.consumer.close()
    first.poll_until(5)
    return [first.seen, second.seen]


def an_offset_that_is_not_there(clients: Clients, topic: str) -> Seen:
    """A consumer that skips nothing says so."""
    consumer = clients.consumer(topic, {"enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 1_000)])
    message = next(iter(_messages(consumer)))
    consumer.close()
    error = message.error()
    return [error and error.name(), message.partition()]


def a_topic_that_is_created_again(clients: Clients, topic: str) -> Seen:
    """It has another id, its group's offsets are gone, and a consumer goes on where it was."""
    seen: Seen = []
    before, place = _identity(clients, topic), TopicPartition(topic, 0, 2, "kept with it")
    producer, member = clients.producer({}), Member(clients, topic, topic)
    reader = clients.reader(topic)
    reader.assign([TopicPartition(topic, 0, 0)])
    member.poll_until(1)
    _produce(producer, topic, b"old", b"older")
    seen.append(_values(reader, 2))
    member.consumer.commit(offsets=[place], asynchronous=False)
    (kept,) = member.consumer.committed([place], timeout=SECONDS)
    _create_again(clients, topic)
    _produce(producer, topic, b"1", b"2", b"3", b"4")
    seen.append(_values(reader, 2))
    (gone,) = member.consumer.committed([place], timeout=SECONDS)
    for consumer in (reader, member.consumer):
        consumer.close()
    is_another = _identity(clients, topic).is_another(before)
    return [*seen, (kept.offset, kept.metadata), gone.offset, is_another]


def _produce(producer: Producer, topic: str, *values: bytes) -> None:
    for value in values:
        producer.produce(topic, value, None, 0)
    producer.flush(SECONDS)


def _identity(clients: Clients, topic: str) -> Identity:
    return identities(clients.admin(), [topic], SECONDS)[topic]


def _create_again(clients: Clients, topic: str) -> None:
    admin: Any = clients.admin()  # Millrace itself deletes no topic
    admin.delete_topics([topic], request_timeout=SECONDS)[topic].result()
    while topic in admin.list_topics(timeout=SECONDS).topics:
        time.sleep(0.05)
    admin.create_topics([NewTopic(topic, 2, 1)], request_timeout=SECONDS)[topic].result()
    while topic not in admin.list_topics(timeout=SECONDS).topics:
        time.sleep(0.05)


def _values(consumer: Consumer, count: int) -> list[bytes | None]:
    records = (each for each in _messages(consumer) if each.error() is None)
    return [each.value() for each in islice(records, count)]


def an_end_before_an_open_transaction(clients: Clients, topic: str) -> Seen:
    """What is cached says that there is more; once it is committed, another end is reported."""
    write(transactional(clients, f"{topic}-a"), topic, b"1")
    producer = transactional(clients, f"{topic}-b")
    write(producer, topic, b"open", commits=False)
    reader = clients.reader("t")
    at = TopicPartition(topic, 0, OFFSET_BEGINNING)
    reader.assign([at])
    seen: Seen = []
    for message in _messages(reader):
        error = message.error()
        if error is None:
            seen.append(message.value())
            continue
        seen.append((message.offset(), reader.get_watermark_offsets(at, cached=True)))
        if len(seen) > 2:
            break
        producer.commit_transaction(SECONDS)
    reader.close()
    return seen


def partitions_that_are_held(clients: Clients, topic: str) -> Seen:
    """What is paused is not handed out, even what was fetched, until it is resumed."""
    producer = clients.producer({})
    for number in range(20):
        producer.produce(topic, b"%d" % number, None, number % 2)
    producer.flush(SECONDS)
    reader = clients.reader("t")
    held, other = (TopicPartition(topic, each, OFFSET_BEGINNING) for each in range(2))
    reader.assign([held])
    first = _consumed(reader, 3)
    reader.assign([TopicPartition(topic, 0, 3), other])
    reader.pause([held])
    paused = _consumed(reader, 10)
    reader.resume([held])
    resumed = _consumed(reader, 7)
    reader.pause([held])
    reader.assign([TopicPartition(topic, 0, 8)])
    still_paused = [*map(Message.value, reader.consume(1, timeout=1.0))]
    reader.resume([held])
    again = _consumed(reader, 2)
    reader.close()
    return [first, paused, resumed, still_paused, again]


def _consumed(consumer: Consumer, count: int) -> list[bytes | None]:
    """Return the next records, taken as many at a time as there are."""
    found: list[bytes | None] = []
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and len(found) < count:
        messages = consumer.consume(count - len(found), timeout=0.2)
        found += [each.value() for each in messages if each.error() is None]
    return found


SCENARIOS: dict[Callable[[Clients, str], Seen], Seen] = {
    committed_and_aborted: [
        [(b"1", 0), (b"2", 1), (b"3", 5), ("_PARTITION_EOF", 7)],
        [("_PARTITION_EOF", 7)],
        [(b"3", 5), ("_PARTITION_EOF", 7)],
    ],
    an_open_transaction: [
        [(b"1", 0), ("_PARTITION_EOF", 2)],
        (0, 2),
        2,
        [(b"1", 0), (b"open", 2), ("_PARTITION_EOF", 4)],
    ],
    fencing: [
        [("_PARTITION_EOF", 2)],
        ("commit", "_FENCED", True, False),
        [(b"1", 2), ("_PARTITION_EOF", 4)],
    ],
    states_of_a_producer: [
        ("begin before init", "_STATE", False, False),
        ("produce before begin", "_STATE", False, False),
        ("commit before begin", "_STATE", False, False),
        ("begin twice", "_STATE", False, False),
    ],
    a_record_that_is_too_large: [("produce", "MSG_SIZE_TOO_LARGE", False, False)],
    offsets_of_a_group: [
        [-1001],
        ("committed", "_TIMED_OUT", False, False),
        [5],
        [("assign", 2), ("revoke", 2)],
    ],
    a_member_that_has_left: [
        ("send offsets", "UNKNOWN_MEMBER_ID", False, True),
        [("assign", 2), ("revoke", 2)],
        [("_PARTITION_EOF", 2)],
    ],
    a_second_member: [
        [("assign", 2), ("revoke", 2), ("assign", 1), ("revoke", 1), ("assign", 2)],
        [("assign", 1), ("revoke", 1)],
    ],
    an_end_before_an_open_transaction: [b"1", (2, (0, 3)), b"open", (4, (0, 4))],
    partitions_that_are_held: [
        [b"0", b"2", b"4"],
        [b"%d" % number for number in range(1, 20, 2)],
        [b"%d" % number for number in range(6, 20, 2)],
        [],
        [b"16", b"18"],
    ],
    an_offset_that_is_not_there: ["_AUTO_OFFSET_RESET", 0],
    a_topic_that_is_created_again: [
        [b"old", b"older"],
        [b"3", b"4"],
        (2, "kept with it"),
        -1001,
        True,
    ],
}
"""What each scenario sees: of the topic that it is given, with two partitions."""
