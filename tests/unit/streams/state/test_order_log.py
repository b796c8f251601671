"""The order of inputs on Kafka: what is written is read back, and nothing else that is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.identity import Identity
from millrace.streams.state import snapshot
from millrace.streams.state.input_order import Note
from millrace.streams.state.order_log import OrderLog
from millrace.streams.state.records import StateRecord
from millrace.streams.topology.chain import parse_chain
from tests.unit.streams.conftest import KEY
from tests.unit.streams.state.earlier import alone

(EVERYTHING,) = parse_chain("full")
TOPIC = f"p.order.{EVERYTHING.name}"
BEGINS = {"events": 4, "labels": 0}
ONE = Note(BEGINS, [("events", 4), ("labels", 2), ("events", 9)])
TWO = Note({"events": 10, "labels": 3}, [("labels", 3)])


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({TOPIC: 2, TOPIC.replace("p.", "q."): 2})


@pytest.fixture
def skipped() -> list[str]:
    return []


@pytest.fixture
def make_log(broker: FakeBroker, skipped: list[str]) -> Callable[..., OrderLog]:
    def make(prefix: str = "p.", key: bytes = KEY) -> OrderLog:
        return OrderLog(EVERYTHING, FakeClients(broker), prefix, key, skipped.append)

    return make


@pytest.fixture
def log(make_log: Callable[..., OrderLog]) -> OrderLog:
    return make_log()


def write(broker: FakeBroker, record: StateRecord, partition: int = 0, prefix: str = "p.") -> None:
    key = record.key.encode()
    broker.put(prefix + record.topic, record.value, key, partition, headers=record.headers)


def test_notes_are_read_as_they_were_written(log: OrderLog, broker: FakeBroker) -> None:
    """Each partition by itself, from an offset on, with the place of each note."""
    for partition, note in ((0, ONE), (1, TWO), (0, TWO)):
        write(broker, log.record(partition, note), partition)
    assert [*log.read({0: 0})] == [(0, ONE), (0, TWO._replace(offset=1))]
    assert [*log.read({0: 1, 1: 0})] == [(0, TWO._replace(offset=1)), (1, TWO)]
    assert [*log.read({})] == []


def test_what_has_expired_is_passed_over(log: OrderLog, broker: FakeBroker) -> None:
    """The first note that there is comes first."""
    for note in (ONE, TWO):
        write(broker, log.record(0, note))
    broker.expire(TOPIC, before=1)
    assert [*log.read({0: 0})] == [(0, TWO._replace(offset=1))]


runs = st.lists(
    st.tuples(st.sampled_from(["commands", "events", "labels"]), st.integers(1, 2**40)), max_size=20
)


@given(st.integers(0, 2**60), runs, st.booleans())
def test_any_note_is_written_and_read(
    first: int, steps: list[tuple[str, int]], is_second: bool
) -> None:
    """Offsets are written as distances, and come back as they were."""
    begins = dict.fromkeys(["commands", "events", "labels"], first)
    reached, order = dict(begins), []
    for topic, further in steps:
        reached[topic] += further
        order.append((topic, reached[topic] - 1))
    broker = FakeBroker({TOPIC: 1})
    log = OrderLog(EVERYTHING, FakeClients(broker), "p.", KEY)
    note = Note(begins, order, is_second=is_second)
    write(broker, log.record(0, note))
    assert [*log.read({0: 0})] == [(0, note)]


def test_a_note_is_small(log: OrderLog) -> None:
    """Of one batch with events and labels in turn: two bytes a run, and some 150 for all."""
    ids = {topic: Identity("Pbvnk41XT1OJQdKbHP3Aew", 4) for topic in BEGINS}
    turns = [(("events", "labels")[n % 2], n // 2 + (4 if n % 2 == 0 else 0)) for n in range(200)]
    assert len(log.record(0, Note(BEGINS, turns), ids).value or b"") < 600


def test_notes_on_topics_that_were_created_again_are_left_out(
    log: OrderLog, broker: FakeBroker
) -> None:
    """Their offsets mean nothing in the topics of today."""
    before, now = Identity("first", 1), Identity("second", 1)
    write(broker, log.record(0, ONE, {"events": before, "labels": before}))
    write(broker, log.record(0, TWO, {"events": now, "labels": before}))
    known = {"events": now, "labels": before, "control": now}
    assert [*log.read({0: 0}, known)] == [(0, TWO._replace(offset=1))]


def put_back(broker: FakeBroker, message: Message, topic: str = TOPIC, partition: int = 0) -> None:
    headers = message.headers()
    broker.put(topic, message.value(), message.key(), partition, headers=headers)


def test_what_is_not_ours_is_skipped(
    log: OrderLog, make_log: Callable[..., OrderLog], broker: FakeBroker, skipped: list[str]
) -> None:
    """Unsigned, of another key, changed, or copied from another pipeline or partition."""
    write(broker, log.record(0, ONE))
    (genuine,) = broker.records(TOPIC)
    value = genuine.value() or b""
    other = make_log(key=b"another").record(0, TWO)
    write(broker, other)
    put_back(broker, genuine, partition=1)
    put_back(broker, genuine, topic=TOPIC.replace("p.", "q."))
    broker.put(TOPIC, b"{}", b"order", headers=[("flush", b"0"), ("sequence", b"0")])
    broker.put(TOPIC, value[:-1] + b"x", b"order", headers=genuine.headers())
    broker.put(TOPIC, alone(value), b"order", headers=(genuine.headers() or [])[:2])
    broker.put(TOPIC, None, b"order", headers=genuine.headers())
    broker.put(TOPIC, b"", None)

    with capture_logs() as logs:
        assert [*log.read({0: 0, 1: 0})] == [(0, ONE)]
    assert len(skipped) == len(logs) == 7
    assert {each["topic"] for each in logs} == {TOPIC}
    assert [*make_log(prefix="q.").read({0: 0, 1: 0})] == []


def test_the_former_key_is_accepted(make_log: Callable[..., OrderLog], broker: FakeBroker) -> None:
    """While a key is replaced, what was noted with the one before it counts."""
    write(broker, make_log().record(0, ONE))
    assert [*make_log(key=b"new\n" + KEY).read({0: 0})] == [(0, ONE)]
    assert snapshot.load(make_log().record(0, ONE).value or b"", KEY)["topics"] == [*BEGINS]
