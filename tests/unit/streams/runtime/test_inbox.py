"""What an agent reads: records in order, errors told apart, and rebalances in between."""

from __future__ import annotations

from heapq import merge
from random import Random

import pytest
from confluent_kafka import KafkaError, TopicPartition
from structlog.testing import capture_logs

from millrace.schemas import BrokerError, ExpiredError, TopicError
from millrace.streams.interval import Interval
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.identity import Identity
from millrace.streams.kafka.stall import StallDetector
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import Origin
from millrace.streams.runtime.inbox import Committed, Inbox
from millrace.streams.runtime.lag import Lag
from millrace.streams.runtime.topic_watch import TopicWatch


class Agent:
    """Has an inbox of `events` and `labels`, and begins where it is told to.

    Attributes
    ----------
    seen
        What it was told of its partitions.
    starts
        Where it begins at each assignment: the last one again and again.
    """

    def __init__(self, broker: FakeBroker, topics: tuple[str, ...] = ("events", "labels")) -> None:
        self.metrics = Metrics("p")
        self.seconds = 100.0
        self.seen: list[tuple[str, list[tuple[str, int]]]] = []
        self.starts = [dict.fromkeys([(topic, 0) for topic in topics], 0)]
        stalls = StallDetector(check_seconds=10.0, clock=lambda: self.seconds)
        self.lag = Lag("ingest", self.metrics, lambda: self.seconds)
        clients = FakeClients(broker)
        check = Interval(10.0, lambda: self.seconds)
        self.watch = TopicWatch("ingest", clients, "p.", topics, check)
        self.inbox = Inbox(
            "ingest", clients, "p.", topics, self.metrics, stalls, self.watch, self.lag, self
        )
        (self.consumer,) = clients.consumers

    def on_assign(self, partitions: list[TopicPartition]) -> None:
        self._note("assign", partitions)
        self.inbox.start(self.starts.pop(0) if len(self.starts) > 1 else self.starts[0])

    def on_revoke(self, partitions: list[TopicPartition]) -> None:
        self._note("revoke", partitions)

    def on_lost(self, partitions: list[TopicPartition]) -> None:
        self._note("lost", partitions)

    def _note(self, what: str, partitions: list[TopicPartition]) -> None:
        self.seen.append((what, [(each.topic, each.partition) for each in partitions]))

    def lag_of(self, topic: str, partition: int = 0) -> float | None:
        labels = {"pipeline": "p", "agent": "ingest", "topic": topic, "partition": str(partition)}
        name = "millrace_consumer_lag_records"
        return self.metrics.registry.get_sample_value(name, labels)

    def broker_errors(self, name: str) -> float | None:
        labels = {"pipeline": "p", "agent": "ingest", "error": name}
        return self.metrics.registry.get_sample_value("millrace_broker_errors_total", labels)


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({"p.events": 2, "p.labels": 2})


@pytest.fixture
def agent(broker: FakeBroker) -> Agent:
    return Agent(broker)


def put(broker: FakeBroker, *times_ms: int, topic: str = "p.events", partition: int = 0) -> None:
    for time_ms in times_ms:
        broker.put(topic, b"%d" % time_ms, partition=partition, timestamp_ms=time_ms)


def in_transaction(broker: FakeBroker, *times_ms: int, commits: bool = True) -> None:
    producer = FakeClients(broker).producer({"transactional.id": "somebody's"})
    producer.init_transactions(1.0)
    producer.begin_transaction()
    for time_ms in times_ms:
        producer.produce("p.events", b"%d" % time_ms, None, 0, timestamp=time_ms)
    (producer.commit_transaction if commits else producer.abort_transaction)(1.0)


def places(origins: list[Origin]) -> list[tuple[str, int]]:
    return [(each.topic, each.offset) for each in origins]


def test_a_record_keeps_what_it_was_read_with(broker: FakeBroker, agent: Agent) -> None:
    """Its topic with prefix and without, its place, time, key, value and headers."""
    broker.put("p.events", b"v", b"k", timestamp_ms=5, headers=[("a", b"b")])
    broker.put("p.labels", None, timestamp_ms=6)
    assert agent.inbox.poll(10) == [
        Origin("events", 0, 0, 5, b"k", b"v", (("a", b"b"),), "p.events"),
        Origin("labels", 0, 0, 6, None, None, (), "p.labels"),
    ]


def test_it_joins_the_group_of_its_agent(agent: Agent) -> None:
    """With all its topics, whose partitions it is given when it polls."""
    agent.inbox.poll(1)
    assert agent.consumer.group == "p.ingest"
    topics = [(topic, partition) for topic in ("p.events", "p.labels") for partition in (0, 1)]
    assert agent.seen == [("assign", topics)]


def test_topics_are_merged_by_time(broker: FakeBroker, agent: Agent) -> None:
    """A label follows the event of the same time, and each topic keeps its own order."""
    put(broker, 10, 30, 20)
    put(broker, 10, 15, 40, topic="p.labels")
    assert places(agent.inbox.poll(10)) == [
        ("events", 0),
        ("labels", 0),
        ("labels", 1),
        ("events", 1),
        ("events", 2),
        ("labels", 2),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_of_the_next_records_the_earliest_is_first(seed: int) -> None:
    """Whatever the times are: those of one topic need not ascend."""
    random = Random(seed)
    broker, topics = FakeBroker({"p.a": 1, "p.b": 1, "p.c": 1}), ("b", "a", "c")
    logs = {
        name: [Origin(name, 0, at, random.randrange(9), None, None) for at in range(count)]
        for name, count in zip(topics, (random.randrange(12) for _ in topics), strict=True)
    }
    for name, log in logs.items():
        put(broker, *(each.timestamp_ms for each in log), topic=f"p.{name}")
    expected = merge(*logs.values(), key=lambda each: (each.timestamp_ms, each.topic))

    assert places(Agent(broker, topics).inbox.poll(100)) == places([*expected])


def test_records_around_an_error_are_returned(broker: FakeBroker, agent: Agent) -> None:
    """It is counted, as the ends of partitions among the records are noted."""
    agent.starts = [{("events", 0): 0, ("events", 1): 0}]
    put(broker, 1, 2)
    put(broker, 3, partition=1)
    agent.inbox.poll(1)
    agent.consumer.report(KafkaError(KafkaError._TRANSPORT))

    assert [(each.partition, each.offset) for each in agent.inbox.poll(10)] == [(0, 1), (1, 0)]

    assert agent.broker_errors("_TRANSPORT") == 1
    assert [agent.inbox.behind(("events", at), 9) for at in (0, 1)] == [9, 9]


def test_partitions_are_not_mixed(broker: FakeBroker, agent: Agent) -> None:
    """The records of one come together, whatever their times."""
    agent.starts = [{("events", 0): 0, ("events", 1): 0}]
    put(broker, 10, 30)
    put(broker, 20, 40, partition=1)
    assert [each.partition for each in agent.inbox.poll(10)] == [0, 0, 1, 1]


def test_no_more_records_than_asked_for(broker: FakeBroker, agent: Agent) -> None:
    """The others come with the next poll."""
    put(broker, *range(5))
    assert places(agent.inbox.poll(2)) == [("events", 0), ("events", 1)]
    assert len(agent.inbox.poll(3)) == 3


def test_it_begins_where_it_is_told_to(broker: FakeBroker, agent: Agent) -> None:
    """Not where the group has committed."""
    put(broker, *range(5))
    broker.groups["p.ingest"].offsets["p.events", 0] = 2
    agent.starts = [{("events", 0): 3}]
    assert places(agent.inbox.poll(10)) == [("events", 3), ("events", 4)]


def test_a_rebalance_within_a_poll_begins_again(broker: FakeBroker, agent: Agent) -> None:
    """The record that was polled before it is not folded behind a gap, nor twice."""
    put(broker, *range(6))
    agent.starts = [{("events", 0): 1}, {("events", 0): 3}]
    broker.before("consume", agent.consumer.rebalance)

    first, second = agent.inbox.poll(10), agent.inbox.poll(10)

    assert first == []
    assert [each.offset for each in second] == [3, 4, 5]


@pytest.mark.parametrize("operation", ["poll", "consume"])
def test_an_error_of_a_listener_ends_the_poll(
    broker: FakeBroker, agent: Agent, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever call of the consumer it happened in."""

    put(broker, 1, 2)
    agent.inbox.poll(1)
    monkeypatch.setattr(agent, "starts", [])
    broker.before(operation, agent.consumer.rebalance)
    with pytest.raises(IndexError):
        agent.inbox.poll(10)


def test_closing_tells_of_the_revocation(agent: Agent) -> None:
    """An error in it is raised, once the group has been left."""
    agent.inbox.poll(1)
    agent.inbox.close()
    assert [what for what, _ in agent.seen] == ["assign", "revoke"]
    assert agent.consumer.is_closed


def test_an_error_while_closing_is_raised(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the group has been left."""
    agent.inbox.poll(1)
    monkeypatch.setattr(agent, "seen", None)
    with pytest.raises(AttributeError):
        agent.inbox.close()
    assert agent.consumer.is_closed


@pytest.mark.parametrize("how", ["rebalance", "evict"])
def test_nothing_is_read_of_partitions_that_are_gone(
    broker: FakeBroker, agent: Agent, how: str
) -> None:
    """They are unassigned before the next poll; their lag is not reported any more."""
    agent.inbox.poll(1)
    put(broker, 1)
    getattr(agent.consumer, how)()
    agent.starts = [{}]
    assert agent.inbox.poll(10) == []
    expected = "revoke" if how == "rebalance" else "lost"
    assert [what for what, _ in agent.seen] == ["assign", expected, "assign"]


def test_offsets_of_the_group(broker: FakeBroker, agent: Agent) -> None:
    """Those that there are, 0 among them; asked for none, it asks nobody."""
    broker.groups["p.ingest"].offsets |= {("p.events", 0): 0, ("p.labels", 1): 7}
    assigned = [TopicPartition(t, p) for t in ("p.events", "p.labels") for p in (0, 1)]
    assert agent.inbox.committed(assigned) == {
        ("events", 0): Committed(0, None),
        ("labels", 1): Committed(7, None),
    }
    broker.fail_next("committed", KafkaError._FAIL)
    assert agent.inbox.committed([]) == {}


def test_offsets_that_are_kept_back(broker: FakeBroker, agent: Agent) -> None:
    """A coordinator that does not return the offsets is named, and what to do about it."""
    broker.fail_next("committed", KafkaError._TIMED_OUT)
    with pytest.raises(BrokerError, match=r"timed out after 30 s.*group p\.ingest.*restart that"):
        agent.inbox.committed([TopicPartition("p.events", 0)])


def test_other_errors_about_offsets_are_explained(broker: FakeBroker, agent: Agent) -> None:
    """A timeout has another cause; a missing right is named."""
    broker.fail_next("committed", KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(BrokerError, match=r"User:ANONYMOUS may not do Read on group 'p\.ingest'"):
        agent.inbox.committed([TopicPartition("p.events", 0)])


def test_offsets_are_kept_with_which_topic_they_are_of(broker: FakeBroker, agent: Agent) -> None:
    """So that whoever reads them sees whether the topic was created again since."""
    agent.watch.identify()
    agent.inbox.poll(1)
    agent.inbox.consumer.commit(
        offsets=agent.inbox.positions({("events", 0): 3}), asynchronous=False
    )
    (found,) = agent.inbox.committed([TopicPartition("p.events", 0)]).values()
    assert found == Committed(3, Identity(broker.topic_ids["p.events"], 2))


def test_the_ends_of_a_partition(broker: FakeBroker, agent: Agent) -> None:
    """What retention has left."""
    put(broker, *range(5))
    broker.expire("p.events", before=3)
    assert agent.inbox.watermarks("events", 0) == (3, 5)
    assert agent.inbox.watermarks("events", 1) == (0, 0)


def test_positions_are_those_of_the_full_topics(agent: Agent) -> None:
    """As librdkafka wants them."""
    (position,) = agent.inbox.positions({("events", 1): 5})
    assert (position.topic, position.partition, position.offset) == ("p.events", 1, 5)


def test_a_position_lies_behind_markers(broker: FakeBroker, agent: Agent) -> None:
    """Once all that was handed out is folded: what is committed and expires then is not missed."""
    place = ("events", 0)
    in_transaction(broker, 10, 20)
    in_transaction(broker, 30, commits=False)
    assert agent.inbox.behind(place, 0) == 0  # nothing has been polled yet
    assert len(agent.inbox.poll(10)) == 2
    assert [agent.inbox.behind(place, folded) for folded in (0, 1, 2)] == [0, 1, 5]
    put(broker, 40)
    agent.inbox.poll(10)
    assert [agent.inbox.behind(place, folded) for folded in (5, 6)] == [5, 6]


def test_a_position_is_not_beyond_an_open_transaction(broker: FakeBroker, agent: Agent) -> None:
    """What it holds may yet be committed."""
    in_transaction(broker, 10)
    producer = FakeClients(broker).producer({"transactional.id": "open"})
    producer.init_transactions(1.0)
    producer.begin_transaction()
    producer.produce("p.events", b"20", None, 0)
    assert len(agent.inbox.poll(10)) == 1
    assert agent.inbox.behind(("events", 0), 1) == 2
    producer.commit_transaction(1.0)
    assert places(agent.inbox.poll(10)) == [("events", 2)]
    assert [agent.inbox.behind(("events", 0), folded) for folded in (2, 3)] == [2, 4]


def test_a_new_assignment_forgets_where_the_ends_were(broker: FakeBroker, agent: Agent) -> None:
    """A partition that was somebody else's meanwhile is not passed over."""
    in_transaction(broker, 10)
    agent.inbox.poll(10)
    agent.inbox.start({("events", 0): 0})
    assert agent.inbox.behind(("events", 0), 1) == 1


def test_an_expired_offset_is_an_error(broker: FakeBroker, agent: Agent) -> None:
    """It is never skipped: the next assignment decides whether the gap is accepted."""
    put(broker, *range(5))
    broker.expire("p.events", before=3)
    with pytest.raises(ExpiredError, match=r"p\.events\[0\] from offset 0 .* up to 3 records"):
        agent.inbox.poll(10)


def test_an_offset_that_is_of_another_topic_is_an_error(broker: FakeBroker, agent: Agent) -> None:
    """Which says that, and nothing of retention."""
    put(broker, *range(5))
    agent.watch.identify()
    assert len(agent.inbox.poll(10)) == 5
    broker.delete("p.events")
    broker.create("p.events", 2)
    put(broker, *range(3))
    with pytest.raises(TopicError, match=r"offset 5 of p\.events\[0\].* deleted and created again"):
        agent.inbox.poll(10)


def test_an_offset_beyond_the_end_is_an_error(broker: FakeBroker, agent: Agent) -> None:
    """Where the broker gives no ids, the topic may have been truncated, or created again."""
    agent.starts = [{("events", 0): 5}]
    with pytest.raises(TopicError, match=r"offset 5 of p\.events\[0\], beyond its end, 0"):
        agent.inbox.poll(10)


def test_the_ends_are_reached_before_it_closes(broker: FakeBroker, agent: Agent) -> None:
    """What comes meanwhile is left to others: the position is not beyond it."""
    agent.inbox.poll(10)
    in_transaction(broker, 10)
    agent.inbox.poll(1)
    agent.inbox.reach_ends()
    assert agent.inbox.behind(("events", 0), 1) == 2
    put(broker, 20)
    agent.inbox.poll(1)
    put(broker, 30)
    agent.inbox.reach_ends()
    assert agent.inbox.behind(("events", 0), 3) == 3


@pytest.mark.parametrize(
    ("is_created_again", "what"),
    [(False, "there is no topic p.events any more"), (True, "p.events was deleted and created")],
)
def test_a_topic_that_is_deleted_is_noticed(
    broker: FakeBroker, agent: Agent, is_created_again: bool, what: str
) -> None:
    """Within some seconds: the consumer itself would go on at its position in the new one."""
    put(broker, *range(3))
    agent.watch.identify()
    assert len(agent.inbox.poll(10)) == 3
    broker.delete("p.events")
    if is_created_again:
        broker.create("p.events", 2)
        put(broker, *range(4))
    agent.seconds += 9.9
    agent.inbox.poll(10)
    agent.seconds += 0.2
    with pytest.raises(BrokerError, match=what):
        agent.inbox.poll(10)


def test_a_broker_that_does_not_say_which_topics_there_are(
    broker: FakeBroker, agent: Agent
) -> None:
    """It is asked again with the next check; other work goes on."""
    agent.watch.identify()
    put(broker, 1)
    agent.seconds += 10.1
    broker.fail_next("describe_topics", KafkaError._TIMED_OUT)
    assert len(agent.inbox.poll(10)) == 1
    assert agent.broker_errors("_TIMED_OUT") == 1
    broker.delete("p.labels")
    agent.inbox.poll(10)
    agent.seconds += 10.1
    with pytest.raises(BrokerError, match=r"no topic p\.labels"):
        agent.inbox.poll(10)


def test_transient_errors_are_counted(broker: FakeBroker, agent: Agent) -> None:
    """And logged; the records that come with them are taken."""
    put(broker, 1)
    agent.consumer.report(KafkaError(KafkaError._TRANSPORT))
    with capture_logs() as logs:
        assert len(agent.inbox.poll(10)) == 1
    assert agent.broker_errors("_TRANSPORT") == 1
    assert [each["event"] for each in logs] == ["the broker cannot be reached"]
    assert "transport failure" in logs[0]["reason"]


def test_other_errors_end_the_poll(agent: Agent) -> None:
    """The engine starts again with another consumer."""
    agent.consumer.report(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(BrokerError, match=r"consumer of agent ingest failed: .*authorization"):
        agent.inbox.poll(10)
    assert agent.broker_errors("TOPIC_AUTHORIZATION_FAILED") is None


def test_a_partition_that_is_not_fetched_is_an_error(broker: FakeBroker, agent: Agent) -> None:
    """Found at the second check, ten seconds after the first, with the fetcher's state."""
    agent.inbox.poll(10)
    agent.consumer.stalled.add(("p.events", 0))
    put(broker, *range(3))
    agent.seconds += 10.1
    for _ in range(2):
        agent.inbox.poll(10)  # the second check is not due yet
    agent.seconds += 10.1
    with pytest.raises(
        BrokerError,
        match=r"agent ingest was not given p\.events\[0\] from offset 0 on within 10 s.*'stalled'",
    ):
        agent.inbox.poll(10)


def test_fetching_is_checked_only_when_all_that_was_fetched_is_taken(
    broker: FakeBroker, agent: Agent
) -> None:
    """Behind a long queue the consumer fetches no more, which is no stall."""
    asked = []
    put(broker, *range(6))
    agent.inbox.poll(1)
    agent.seconds += 10.1
    broker.before("offsets_for_times", lambda: asked.append(True))
    agent.inbox.poll(5)
    assert asked == []
    agent.inbox.poll(5)
    assert asked == [True]


def test_a_broker_that_does_not_say_how_far_it_goes(broker: FakeBroker, agent: Agent) -> None:
    """That it does not answer the check in time is counted, and the poll goes on."""
    agent.inbox.poll(1)
    put(broker, *range(3))
    broker.fail_next("offsets_for_times", KafkaError._TIMED_OUT)
    agent.seconds += 10.1
    assert len(agent.inbox.poll(10)) == 3
    assert agent.broker_errors("_TIMED_OUT") == 1


def test_lag_is_what_is_not_read(broker: FakeBroker, agent: Agent) -> None:
    """Of each partition that is asked for, up to the end that the consumer knows."""
    put(broker, *range(5))
    agent.inbox.poll(2)
    agent.inbox.report_lag({("events", 0): 2, ("labels", 0): 0})
    assert (agent.lag_of("events"), agent.lag_of("labels")) == (3, 0)


def test_what_nobody_may_read_is_no_lag(broker: FakeBroker, agent: Agent) -> None:
    """Behind the last record there are markers, and what was aborted."""
    agent.starts = [{("events", 1): 0}]
    put(broker, 1, partition=1)
    transaction = broker.transaction("other")
    transaction.places.add(("p.events", 1))
    broker.put("p.events", b"void", partition=1, transaction=transaction)
    broker.end_transaction("other", "aborted")
    agent.inbox.poll(10)
    agent.inbox.report_lag({("events", 1): 1})
    assert agent.lag_of("events", 1) == 0


@pytest.mark.parametrize(("most_records", "is_stalled"), [(100, True), (1, False)])
def test_a_stall_is_where_nothing_is_taken(
    broker: FakeBroker, agent: Agent, most_records: int, is_stalled: bool
) -> None:
    """Unless more was fetched than is taken at once: then a partition waits its turn."""
    put(broker, 1, 2)
    agent.inbox.poll(1)
    agent.inbox.poll(most_records)
    put(broker, 3)
    agent.inbox.report_lag({("events", 0): 1})
    agent.seconds += 5.0
    assert bool(agent.inbox.stall(4.9)) is is_stalled
    assert agent.inbox.stall(5.0) == ""


def test_a_partition_that_is_held_back_is_said_to_be(broker: FakeBroker, agent: Agent) -> None:
    """The check finds that all that may be read has been: an open transaction hides the rest."""
    agent.inbox.poll(10)
    broker.put("p.events", b"open", transaction=broker.transaction("other"))
    agent.seconds += 10.1
    agent.inbox.poll(10)
    agent.inbox.report_lag({("events", 0): 0})
    agent.seconds += 1.0
    assert "an open transaction holds them back" in agent.inbox.stall(0.5)


@pytest.mark.parametrize("how", ["rebalance", "evict"])
def test_partitions_that_are_gone_are_no_stall(broker: FakeBroker, agent: Agent, how: str) -> None:
    """Also while the group has not decided yet who has them next."""
    agent.inbox.poll(10)
    broker.put("p.events", b"open", transaction=broker.transaction("other"))
    agent.inbox.report_lag({("events", 0): 0})
    agent.seconds += 1.0
    assert agent.inbox.stall(0.5)
    Agent(broker)  # a second member, for which the group waits
    getattr(agent.consumer, how)()
    agent.inbox.poll(10)
    assert agent.seen[-1][0] in ("revoke", "lost")
    assert agent.inbox.stall(0.5) == ""


def test_a_new_assignment_forgets_what_it_knew(broker: FakeBroker, agent: Agent) -> None:
    """What waited before may be another worker's now."""
    agent.inbox.poll(10)
    broker.put("p.events", b"open", transaction=broker.transaction("other"))
    agent.inbox.report_lag({("events", 0): 0})
    agent.seconds += 1.0
    assert agent.inbox.stall(0.5)
    agent.consumer.rebalance()
    agent.inbox.poll(10)
    assert agent.inbox.stall(0.5) == ""


def test_partitions_can_be_held(broker: FakeBroker, agent: Agent) -> None:
    """They are not read until they are let go again, or are assigned anew."""
    agent.inbox.poll(1)
    put(broker, 1, 2)
    put(broker, 1, 2, topic="p.labels")
    agent.inbox.hold({("events", 0)})
    assert places(agent.inbox.poll(10)) == [("labels", 0), ("labels", 1)]
    assert agent.inbox.poll(10) == []
    agent.inbox.hold(frozenset())
    assert places(agent.inbox.poll(10)) == [("events", 0), ("events", 1)]
    agent.inbox.hold({("events", 1), ("labels", 1)})
    assert agent.consumer.paused == {("p.events", 1), ("p.labels", 1)}
    agent.inbox.start({("events", 1): 0})
    assert agent.consumer.paused == set()


def test_a_partition_that_is_held_has_not_stalled(broker: FakeBroker, agent: Agent) -> None:
    """It is not read because it is not to be."""
    agent.inbox.poll(1)
    put(broker, 1, 2)
    agent.inbox.hold({("events", 0)})
    for _ in range(3):
        agent.seconds += 60.0
        assert agent.inbox.poll(10) == []
