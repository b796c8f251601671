"""The feed sends everything, in order, and never more than the window takes."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import TopicPartition

from millrace.schemas import BrokerError
from millrace.streams.kafka.clients import plain_reader
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.replay.encoding import Outgoing
from millrace.streams.replay.feed import Feed
from millrace.streams.replay.watch import Progress
from millrace.streams.replay.window import Window
from millrace.streams.settings import read_settings

RECORDS = [Outgoing(b"value %d" % i, b"%d" % i, i % 2, i % 5 == 4) for i in range(300)]


class FakeWatch:
    """A worker that has done, at every look, what was sent at the look before."""

    def __init__(self):
        self.done = (0, 0)
        self.most_on_their_way = 0

    def look(self, sent_events, sent_labels):
        done_events, done_labels = self.done
        on_their_way = sent_events + sent_labels - done_events - done_labels
        self.most_on_their_way = max(self.most_on_their_way, on_their_way)
        self.done = (sent_events, sent_labels)
        return Progress(
            received_events=done_events,
            received_labels=done_labels,
            predictions=done_events,
            rejected_events=0,
            learned=done_labels,
            rejected_labels=0,
            held_labels=0,
            lessons=done_labels,
            unread=0,
        )


class SteadyWatch(FakeWatch):
    """A worker that does 200 events a second, and counts how often it is looked at."""

    def __init__(self):
        super().__init__()
        self.started = time.perf_counter()
        self.looks = 0

    def look(self, sent_events, sent_labels):
        self.looks += 1
        able = int((time.perf_counter() - self.started) * 200)
        self.done = (min(able, sent_events), sent_labels)
        return super().look(sent_events, sent_labels)


@pytest.fixture(scope="module")
def settings():
    with EmbeddedBroker() as broker:
        yield read_settings(broker=broker.address)


def _written(settings, topic, partition, number):
    """Read that many records; the end of the partition is passed over until they have come."""
    reader = plain_reader(settings)
    try:
        reader.assign([TopicPartition(topic, partition, 0)])
        messages = []
        while len(messages) < number and (message := reader.poll(10)) is not None:
            if message.error() is None:
                messages.append((message.value(), message.key()))
        return messages
    finally:
        reader.close()


def test_every_record_is_sent_in_order(settings):
    """What is on a partition is what was to go there, in the same order."""
    feed = Feed(settings, "p.events", Window(1.0), FakeWatch())
    feed.run(RECORDS)
    assert (feed.events, feed.labels) == (240, 60)
    assert feed.seconds > 0
    for partition in (0, 1):
        expected = [(each.value, each.key) for each in RECORDS if each.partition == partition]
        assert _written(settings, "p.events", partition, 150) == expected


def test_no_more_is_on_its_way_than_the_window_takes(settings):
    """A full window waits for the worker."""
    watch = FakeWatch()
    Feed(settings, "q.events", Window(1.0, max_records=50), watch).run(RECORDS[:120])
    assert watch.most_on_their_way <= 50


def test_a_worker_is_looked_at_when_half_of_what_is_on_its_way_should_be_done(settings):
    """Not every 20 ms: the answer takes time from its work. And the end is not overslept."""
    watch = SteadyWatch()
    feed = Feed(settings, "h.events", Window(1.0, max_records=100), watch)
    feed.run([each for each in RECORDS if not each.is_label])
    assert 240 / 200 <= feed.seconds < 240 / 200 + 0.3
    assert watch.looks < 25


def test_a_rate_is_kept(settings):
    """Ninety records at 1,000 a second take the time that they should."""
    feed = Feed(settings, "r.events", Window(1.0), FakeWatch(), rate=1000.0)
    feed.run(RECORDS[:90])
    assert feed.seconds >= 0.089


def test_a_record_that_the_broker_refuses_is_an_error(settings):
    """Nothing is lost in silence."""
    tiny = settings.model_copy(update={"kafka": {"message.timeout.ms": "50"}, "broker": "[::1]:1"})
    feed = Feed(tiny, "s.events", Window(1.0, max_records=1), FakeWatch())
    nobody = RECORDS[:1] * 1000
    with pytest.raises(BrokerError, match=r"not written to topic s\.events"):
        feed.run(nobody)
