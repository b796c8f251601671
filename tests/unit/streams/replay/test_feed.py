"""The feed sends everything, in order, and never more than the window holds."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from millrace.schemas import BrokerError
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.replay.encoding import Outgoing
from millrace.streams.replay.feed import LOOK_SECONDS, Feed
from millrace.streams.replay.watch import Progress
from millrace.streams.replay.window import Window

RECORDS = [Outgoing(b"value %d" % i, b"%d" % i, i % 2, i % 5 == 4) for i in range(300)]


class World:
    """A broker, and a worker that processes so many records a second, as time passes."""

    def __init__(self, speed: float = 10_000.0) -> None:
        self.broker = FakeBroker({"p.events": 2})
        self.now = 0.0
        self.speed = speed
        self.unread = 0
        self.looks: list[float] = []
        self.most_in_flight = 0
        self.shown: list[int] = []
        self._done = self._done_at = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= LOOK_SECONDS
        self.now += seconds

    def look(self, sent_events: int, sent_labels: int) -> Progress:
        self.looks.append(self.now)
        sent = sent_events + sent_labels
        self.most_in_flight = max(self.most_in_flight, sent - int(self._done))
        self._done = min(self._done + (self.now - self._done_at) * self.speed, sent)
        self._done_at = self.now
        done = [each.is_label for each in RECORDS[: int(self._done)]]
        return Progress(
            received=sent_events,
            events=done.count(False),
            rejected=0,
            examples=sent_labels,
            labels=done.count(True),
            unread=self.unread,
        )

    def feed(self, window: Window | None = None, **options: float) -> Feed:
        return Feed(
            FakeClients(self.broker),
            "p.events",
            window or Window(1.0),
            self,
            on_progress=self.shown.append,
            clock=self.clock,
            sleep=self.sleep,
            **options,
        )


@pytest.fixture
def world():
    return World()


def test_every_record_is_sent_in_order(world):
    """Each partition has what was sent there, in the same order, with its key."""
    feed = world.feed()
    feed.run(RECORDS)
    assert (feed.events, feed.labels) == (240, 60)
    for partition in (0, 1):
        expected = [(each.key, each.value) for each in RECORDS if each.partition == partition]
        written = world.broker.records("p.events", partition)
        assert [(each.key(), each.value()) for each in written] == expected


def test_no_more_is_in_flight_than_the_window_holds(world):
    """A full window waits for the worker."""
    world.feed(Window(1.0, max_records=50)).run(RECORDS)
    assert world.most_in_flight == 50


def test_records_that_later_agents_have_not_read_stay_in_flight(world):
    """What was predicted may still be unread on the topic of the predictions."""
    world.unread = 20
    feed = world.feed(Window(1.0, max_records=50))
    feed._send(RECORDS[0])
    for record in RECORDS[1:50]:
        feed._send(record)
    world.now += 1.0
    feed._look()
    assert feed._window.passed == 30


def test_the_end_is_waited_for(world):
    """`seconds` is from the first record to the last one done, and progress is reported."""
    world.speed = 200.0
    feed = world.feed()
    feed.run(RECORDS)
    assert 300 / 200 <= feed.seconds <= 300 / 200 + 2 * LOOK_SECONDS
    assert world.shown[-1] == 240
    assert world.shown == sorted(world.shown)


def test_the_worker_is_not_looked_at_too_often(world):
    """Each look takes its time, however many records are sent in between."""
    world.speed = 200.0
    world.feed(Window(1.0, max_records=10), rate=100.0).run(RECORDS)
    gaps = [b - a for a, b in zip(world.looks, world.looks[1:], strict=False)]
    assert min(gaps[:-1]) >= LOOK_SECONDS
    assert max(gaps) <= 2 * LOOK_SECONDS


def test_a_rate_is_kept(world):
    """At 1,000 a second, the record with number n is sent after n milliseconds."""
    world.feed(rate=1000.0).run(RECORDS[:90])
    assert world.now == pytest.approx(0.089, abs=2 * LOOK_SECONDS)
    assert world.now >= 0.089


def test_without_a_rate_nothing_is_waited_for_but_the_end(world):
    """All records are sent at once if the window holds them."""
    world.feed().run(RECORDS)
    assert len(world.looks) <= 2


def test_a_record_that_is_not_delivered_is_an_error(world):
    """Nothing is lost unnoticed."""
    world.broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)
    with pytest.raises(BrokerError, match=r"p\.events"):
        world.feed().run(RECORDS)
