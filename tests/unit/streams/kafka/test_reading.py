"""Reading topics to their ends, or as they grow."""

from __future__ import annotations

from itertools import chain, islice

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, TopicPartition
from structlog.testing import capture_logs

from millrace.schemas import BrokerError
from millrace.streams.kafka import reading
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.reading import TopicReader, Watermarks, follow, read_to_end, watermarks


def put(broker: FakeBroker, *values: bytes, topic: str = "t", partition: int = 0) -> None:
    for value in values:
        broker.put(topic, value, partition=partition)


def read(clients: FakeClients, partitions: list[int], **options: object) -> list[bytes | None]:
    return [each.value() for each in read_to_end(clients, "t", partitions, **options)]


def test_every_record_of_the_partitions(clients: FakeClients, broker: FakeBroker) -> None:
    """Each partition in its order, and no other partition; the consumer is closed."""
    put(broker, b"1", b"2")
    put(broker, b"3", partition=1)
    assert read(clients, [0]) == [b"1", b"2"]
    assert sorted(read(clients, [0, 1])) == [b"1", b"2", b"3"]
    assert all(each.is_closed for each in clients.consumers)


def test_many_records(clients: FakeClients, broker: FakeBroker) -> None:
    """More than are taken at a time."""
    put(broker, *(b"%d" % n for n in range(2_500)))
    assert len(read(clients, [0])) == 2_500


def test_only_what_is_committed(clients: FakeClients, broker: FakeBroker) -> None:
    """And a transaction that is open is no reason to wait: the end is before it."""
    put(broker, b"1")
    broker.put("t", b"open", transaction=broker.transaction("x"))
    assert read(clients, [0]) == [b"1"]


def test_what_retention_has_left(clients: FakeClients, broker: FakeBroker) -> None:
    """The beginning is the first record that there is."""
    put(broker, b"1", b"2", b"3")
    broker.expire("t", before=2)
    assert read(clients, [0]) == [b"3"]


@pytest.mark.parametrize(("last", "expected"), [(0, []), (1, [b"3"]), (2, [b"2", b"3"]), (9, 3)])
def test_the_last_records(
    clients: FakeClients, broker: FakeBroker, last: int, expected: list[bytes] | int
) -> None:
    """As many offsets before the end, of those partitions that are named."""
    put(broker, b"1", b"2", b"3")
    put(broker, b"4", b"5", partition=1)
    everything = [b"1", b"2", b"3"]
    assert read(clients, [0], last={0: last}) == (everything if expected == 3 else expected)
    assert len(read(clients, [0, 1], last={1: 1})) == 4


def test_no_partition_is_no_work(clients: FakeClients) -> None:
    """It does not even connect."""
    assert read(clients, []) == []
    assert read(clients, [], last={0: 5}) == []
    assert clients.consumers == []


def test_from_an_offset_on(clients: FakeClients, broker: FakeBroker) -> None:
    """In those partitions that are named; what has expired is passed over."""
    put(broker, b"1", b"2", b"3")
    put(broker, b"4", partition=1)
    assert sorted(read(clients, [0, 1], begins={0: 2})) == [b"3", b"4"]
    assert read(clients, [0], begins={0: 9}) == [b"1", b"2", b"3"]
    broker.expire("t", before=1)
    assert read(clients, [0], begins={0: 0}) == [b"2", b"3"]


@pytest.mark.parametrize("outcome", ["committed", "aborted"])
def test_an_open_transaction_is_waited_for_on_request(
    clients: FakeClients, broker: FakeBroker, outcome: str
) -> None:
    """What is committed by now may have to wait for its marker."""
    put(broker, b"1")
    transaction = broker.transaction("x")
    transaction.places.add(("t", 0))
    broker.put("t", b"open", transaction=transaction)
    for _ in range(3):
        broker.before("poll", lambda: None)
    broker.before("poll", lambda: broker.end_transaction("x", outcome))
    more = [b"open"] if outcome == "committed" else []
    assert read(clients, [0], is_settled=True) == [b"1", *more]


def test_waits_for_a_broker_that_is_away(
    clients: FakeClients, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost connection is no end: what comes after it is read."""
    put(broker, b"1", b"2")
    messages = read_to_end(clients, "t", [0])
    lost = KafkaError(KafkaError._TRANSPORT)
    broker.before("poll", lambda: clients.consumers[-1].report(lost))
    assert [each.value() for each in messages] == [b"1", b"2"]


def test_a_topic_that_cannot_be_read_is_an_error(clients: FakeClients, broker: FakeBroker) -> None:
    """It is named; the consumer is closed."""
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    broker.before("poll", lambda: clients.consumers[-1].report(denied))
    with pytest.raises(BrokerError, match=r"could not read topic t: .*authorization"):
        read(clients, [0])
    assert clients.consumers[-1].is_closed


def test_silence_is_an_error(clients: FakeClients, broker: FakeBroker) -> None:
    """Nothing for half a minute, and no end: the error names the topic and the partitions."""
    polls = []

    def stall() -> None:
        clients.consumers[-1].stalled |= {("t", 0), ("t", 1)}
        polls.append(1)

    for _ in range(100):
        broker.before("poll", stall)
    with pytest.raises(
        BrokerError, match=r"timed out reading topic t: nothing came for 30 s .* \[0, 1\]"
    ):
        read(clients, [1, 0])
    assert len(polls) == 61  # of half a second
    assert all(each.is_closed for each in clients.consumers)


def test_a_consumer_that_has_stalled_is_replaced(clients: FakeClients, broker: FakeBroker) -> None:
    """After ten seconds of silence, where the broker has more; no record is lost or read twice."""
    put(broker, b"1", b"2")
    put(broker, b"3", partition=1)
    places = [TopicPartition("t", 0, OFFSET_BEGINNING), TopicPartition("t", 1, OFFSET_END)]
    reader = TopicReader(clients, places)
    assert [each.value() for _ in range(9) for each in reader.take(0.5)] == [b"1", b"2"]
    assert [*chain.from_iterable(reader.take(0.5) for _ in range(60))] == []
    assert len(clients.consumers) == 1  # it is silent, and there is nothing to be read
    clients.consumers[0].stalled |= {("t", 0), ("t", 1)}
    put(broker, b"4")
    put(broker, b"5", partition=1)
    found = [each.value() for _ in range(60) for each in reader.take(0.5)]
    assert sorted(found) == [b"4", b"5"]
    assert len(clients.consumers) == 2
    assert clients.consumers[0].is_closed


def test_what_comes_ends_the_silence(clients: FakeClients, broker: FakeBroker) -> None:
    """The half minute counts from the last record."""
    stalled = {("t", 0)}
    put(broker, b"1", b"2")

    def stall() -> None:
        clients.consumers[-1].stalled = set(stalled)

    def go_on() -> None:
        clients.consumers[-1].stalled.clear()

    for _ in range(2):
        broker.before("poll", stall)
        for _ in range(58):
            broker.before("poll", lambda: None)
        broker.before("poll", go_on)
    assert read(clients, [0]) == [b"1", b"2"]


def test_errors_do_not_end_the_silence(clients: FakeClients, broker: FakeBroker) -> None:
    """A broker that only ever breaks the connection is given up in the end."""
    reader = TopicReader(clients, [TopicPartition("t", 0, OFFSET_BEGINNING)])
    clients.consumers[-1].stalled.add(("t", 0))
    for _ in range(3):
        clients.consumers[-1].report(KafkaError(KafkaError._TRANSPORT))
        assert reader.take(0.5) == []
        assert reader.take(0.5) == []
    assert reader.idle_seconds == 1.5


def test_shows_progress(
    clients: FakeClients, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it takes longer than a moment, the log says of which topic how much was read."""
    monkeypatch.setattr(reading, "_PROGRESS_SECONDS", -1.0)
    put(broker, *(b"%d" % n for n in range(1_500)))
    with capture_logs() as logs:
        read(clients, [0])
    assert [(each["event"], each["topic"]) for each in logs] == [("reading", "t")] * 2
    assert [each["records"] for each in logs] == [1_000, 1_500]
    assert [each["unfinished_partitions"] for each in logs] == [1, 0]


def test_a_quick_read_says_nothing(clients: FakeClients, broker: FakeBroker) -> None:
    """Progress is shown every five seconds."""
    put(broker, b"1")
    with capture_logs() as logs:
        read(clients, [0])
    assert logs == []


def test_following_does_not_stop_at_the_end(clients: FakeClients, broker: FakeBroker) -> None:
    """What comes later is read, too."""
    put(broker, b"1")
    messages = follow(clients, "t", [0, 1], from_beginning=True)
    assert next(messages).value() == b"1"
    put(broker, b"2", partition=1)
    put(broker, b"3")
    assert sorted(each.value() or b"" for each in islice(messages, 2)) == [b"2", b"3"]
    messages.close()  # type: ignore[attr-defined]
    assert clients.consumers[-1].is_closed


def test_following_from_the_end(clients: FakeClients, broker: FakeBroker) -> None:
    """What is there already is not read."""
    put(broker, b"1")
    messages = follow(clients, "t", [0], from_beginning=False)
    broker.before("poll", lambda: put(broker, b"2"))
    assert next(messages).value() == b"2"


def test_a_reader_of_several_topics(clients: FakeClients, broker: FakeBroker) -> None:
    """It takes what is there without waiting, and knows which ends it has reached."""
    places = [TopicPartition("t", 1, 0), TopicPartition("u", 0, 0)]
    reader = TopicReader(clients, places)
    assert reader.unfinished == {("t", 1), ("u", 0)}
    put(broker, b"1", topic="u")
    assert [each.value() for each in reader.take(0.0)] == [b"1"]
    assert reader.unfinished == set()
    put(broker, b"2", partition=1)
    assert [each.value() for each in reader.take(0.0)] == [b"2"]
    reader.close()
    assert clients.consumers[-1].is_closed


def test_a_reader_that_cannot_look_its_topic_up_reads_all_the_same(
    clients: FakeClients, broker: FakeBroker
) -> None:
    """It is only to be sooner."""
    put(broker, b"1")
    broker.fail_next("list_topics", KafkaError._TRANSPORT)
    assert read(clients, [0]) == [b"1"]


def test_watermarks(clients: FakeClients, broker: FakeBroker) -> None:
    """Where each partition begins and ends, with one consumer for all."""
    put(broker, b"1", b"2", b"3")
    broker.expire("t", before=1)
    put(broker, b"4", topic="u")
    assert watermarks(clients, [("t", 0), ("t", 1), ("u", 0)]) == {
        ("t", 0): Watermarks(1, 3),
        ("t", 1): Watermarks(0, 0),
        ("u", 0): Watermarks(0, 1),
    }
    (consumer,) = clients.consumers
    assert consumer.is_closed


def test_watermarks_of_a_topic_that_was_just_created(
    clients: FakeClients, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partitions have no leaders yet: it is asked again."""
    monkeypatch.setattr(reading, "_RETRY_SECONDS", 0.0)
    for _ in range(2):
        broker.fail_next("get_watermark_offsets", KafkaError.LEADER_NOT_AVAILABLE)
    assert watermarks(clients, [("t", 0)]) == {("t", 0): Watermarks(0, 0)}


@pytest.mark.parametrize(
    ("code", "timeout"), [(KafkaError.TOPIC_AUTHORIZATION_FAILED, 30.0), (KafkaError._TIMED_OUT, 0)]
)
def test_watermarks_that_cannot_be_read(
    clients: FakeClients,
    broker: FakeBroker,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    timeout: float,
) -> None:
    """An error that does not pass, or not within the timeout, names the partition."""
    monkeypatch.setattr(reading, "_TIMEOUT_SECONDS", timeout)
    broker.fail_next("get_watermark_offsets", code)
    with pytest.raises(BrokerError, match=r"could not read the offsets of t\[1\]: "):
        watermarks(clients, [("t", 1)])
    assert clients.consumers[-1].is_closed
