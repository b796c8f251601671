"""Rates and lag from offsets alone, with a fake broker and a clock of the test's own."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import KafkaError, TopicPartition

from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.serve import flow as module
from millrace.streams.serve.flow import MOST_SHOWN, Flow
from millrace.streams.serve.running import specs_of
from millrace.streams.serve.samples import MOST_SAMPLES, Samples
from millrace.streams.topology.topics import TOPICS

AGENTS = ("control", "ingest", "feature", "prediction-learning", "drift")


class World:
    """A broker with the topics of a pipeline, of whose agents the test plays the groups."""

    def __init__(self):
        topics = [*TOPICS, *(f"state.{each}" for each in AGENTS)]
        self.broker = FakeBroker({f"p.{each}": 1 for each in topics})
        self.clients = FakeClients(self.broker)
        self.now = 1_000.0
        self.sources = {}
        self.flow = Flow(self.clients, "p.", lambda: self.now, lambda: self.sources)
        for each in AGENTS:
            self.read(each)
        self.flow.look()

    def put(self, topic, count):
        for _ in range(count):
            self.broker.put(f"p.{topic}", b"{}", None, 0)

    def read(self, agent, **offsets):
        for topic in specs_of([agent])[0].reads:
            at = TopicPartition(f"p.{topic}", 0, offsets.get(topic, 0))
            self.broker.groups[f"p.{agent}"].commit(at)

    def pass_time(self, seconds):
        self.now += seconds
        self.flow.sample()


@pytest.fixture
def world():
    """Give a pipeline at rest, sampled once."""
    made = World()
    made.flow.sample()
    return made


def agent(flow, name):
    """Return what is said of an agent."""
    return next(each for each in flow.agents() if each["name"] == name)


def test_a_rate_is_that_of_the_last_seconds(world):
    """Offsets are counted, over ten seconds at most."""
    assert world.flow.rate("events") == 0
    for _ in range(6):
        world.put("events", 40)
        world.pass_time(2)
    assert world.flow.rate("events") == 20
    assert world.flow.rate("labels") == 0


def test_lag_is_in_records_and_in_seconds_since_the_oldest_came(world):
    """Between two samples, records are taken to have come evenly."""
    world.put("events", 10)
    world.pass_time(2)
    world.put("events", 10)
    world.pass_time(2)
    world.read("ingest", events=15)
    world.pass_time(2)
    found = agent(world.flow, "ingest")
    assert (found["lag_records"], found["lag_seconds"]) == (5, 3.0)
    assert world.flow.lag() == {"records": 5, "seconds": 3.0}
    world.read("ingest", events=20)
    world.pass_time(2)
    assert world.flow.lag() == {"records": 0, "seconds": 0.0}


def test_markers_of_transactions_are_no_lag(world):
    """Where nothing moves, it is looked whether there is a record at all."""
    producer = world.clients.producer({"transactional.id": "t"})
    producer.init_transactions(1.0)
    producer.begin_transaction()
    producer.produce("p.clean", b"{}", None, 0)
    producer.commit_transaction(1.0)
    world.read("feature", clean=1)
    world.pass_time(2)
    world.pass_time(2)
    world.pass_time(2)
    assert agent(world.flow, "feature")["lag_records"] == 0
    world.put("clean", 3)
    world.pass_time(2)
    world.pass_time(2)
    assert agent(world.flow, "feature")["lag_records"] > 0


def test_of_two_chains_that_which_is_ahead_is_shown(world):
    """Topics of state of an earlier chain are still there."""
    world.broker.create("p.state.ingest-feature-prediction-learning-drift", 1)
    world.read("ingest", events=0)
    world.read("ingest-feature-prediction-learning-drift", events=90)
    world.flow.look()
    world.put("events", 100)
    world.pass_time(2)
    names = [each["name"] for each in world.flow.agents()]
    assert names == ["control", "ingest-feature-prediction-learning-drift"]


def test_what_was_before_is_asked_by_time(world, monkeypatch):
    """A server that starts later has the same rates; lag it does not have."""
    monkeypatch.setattr(module, "_PAST_POINTS", 5)
    begun = world.broker.now_ms
    for minute in range(5):
        world.broker.now_ms = begun + minute * 60_000
        world.put("events", 60 * (minute + 1))
    now = (begun + 5 * 60_000) / 1_000
    later = Flow(world.clients, "p.", lambda: now)
    later.look()
    later.sample()
    found = later.to_json()
    assert found["per_second"]["events"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert found["lag_records"]["ingest"][0] is None


def test_topics_of_others_are_inputs_of_ingest(world):
    """With their rates and lags, once the definition names them; what is not there is left out."""
    for name, partitions in (("shop.orders", 2), ("p.refunds", 1), ("other", 1)):
        world.broker.create(name, partitions)
    for _ in range(1_000):
        world.broker.put("shop.orders", b"{}", None, 1)
    world.pass_time(2)
    world.sources = {"shop.orders": ["events", "labels"], "p.refunds": ["events"], "gone": []}
    world.flow.look()
    world.pass_time(2)
    world.pass_time(2)
    assert world.flow.rate("@shop.orders") == 0  # what was there before it was looked at
    for place in (("shop.orders", 1, 1_000), ("p.refunds", 0, 0)):
        world.broker.groups["p.ingest"].commit(TopicPartition(*place))
    for _ in range(40):
        world.broker.put("shop.orders", b"{}", None, 1)
    world.put("events", 20)
    world.put("refunds", 4)
    world.pass_time(2)
    found = world.flow.to_json()
    ingest = next(each for each in found["agents"] if each["name"] == "ingest")
    assert ingest["reads"] == ["@shop.orders", "events", "labels", "refunds"]
    assert ingest["lag_records"] == 64
    assert ingest["lag_by_topic"]["@shop.orders"] == {"records": 40, "seconds": 2.0}
    assert ingest["lag_by_topic"]["labels"] == {"records": 0, "seconds": 0.0}
    orders = found["topics"][0]
    assert (orders["name"], orders["topic"]) == ("@shop.orders", "shop.orders")
    assert (orders["is_source"], orders["partitions"], orders["end"]) == (True, 2, 1_040)
    assert orders["holds"] == "Events and labels, where others write them."
    assert found["per_second"]["@shop.orders"][-1] == 20
    names = [each["name"] for each in found["topics"]]
    assert names[1:3] == ["refunds", "events"]
    assert "@other" not in names
    rates = [world.flow.rate(each) for each in ("events", "@shop.orders", "refunds")]
    assert world.flow.rate_of("events") == pytest.approx(sum(rates), abs=0.02)
    assert world.flow.rate_of("labels") == world.flow.rate("@shop.orders") > 0


def test_it_says_that_the_broker_does_not_answer(world, monkeypatch):
    """And goes on when it does."""
    monkeypatch.setattr(module, "SAMPLE_SECONDS", 0.01)
    world.put("events", 10)
    world.broker.fail_next("offsets_for_times", KafkaError._TRANSPORT)
    flow = world.flow
    flow.start()
    while not flow.problem:
        time.sleep(0.001)
    assert flow.lag() == {"records": None, "seconds": None}
    while flow.problem:
        time.sleep(0.001)
    flow.stop()
    assert flow.lag()["records"] == 10


def test_what_is_shown_is_bounded():
    """Points at even distances, the newest among them."""
    samples = Samples()
    for at in range(10_000):
        samples.add(float(at), {("events", 0): at}, {})
    assert len(samples.shown(MOST_SAMPLES * 2)) == MOST_SAMPLES
    found = samples.shown(MOST_SHOWN)
    assert len(found) <= 1.1 * MOST_SHOWN
    assert found[-1].at == 9_999
    assert samples.rate("events") == 1


def test_names_that_are_no_agents_are_left_out():
    """As topics of state that somebody else has made."""
    names = ["ingest", "drift-ingest", "nothing", "prediction-learning", "feature-learning", ""]
    assert [each.name for each in specs_of(names)] == ["ingest", "prediction-learning"]
