"""Events and labels of two topics are folded again as they were, wherever state is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.operators.record import Origin
from millrace.streams.runtime.session import Session
from millrace.streams.settings import Guarantee
from millrace.streams.state import input_order
from tests.unit.streams.runtime.worker import (
    FakeWorker,
    crash,
    predictions,
    put_events,
    put_label,
    stored,
    work,
)
from tests.unit.streams.state.earlier import order_before

MakeWorker = Callable[..., FakeWorker]


def put_both(broker: FakeBroker, numbers: range, rng: Random) -> None:
    """Produce events in the order of their numbers, and labels of some, early or late."""
    put_events(broker, numbers, is_labelled=False)
    for number in numbers:
        if rng.random() < 0.8:
            label, time_ms = rng.random() < 0.5, number + rng.choice([-3, 0, 5, 40])
            put_label(broker, number, label, max(time_ms, 0))


def work_in_turns(broker: FakeBroker, session: Session, rng: Random, first: int = 0) -> None:
    """Fold batches of all sizes, while more is produced."""
    for begin in range(first, first + 60, 20):
        put_both(broker, range(begin, begin + 20), rng)
        for _ in range(rng.randint(1, 4)):
            work(session, rng.randint(1, 12))
    while work(session):
        pass


def lose_state(worker: FakeWorker) -> None:
    """Delete all records of the topics of state, as if they had expired."""
    broker = worker.broker
    for topic in (worker.state_topic, "p.models"):
        for partition, log in enumerate(broker.topics[topic]):
            broker.expire(topic, log.end, partition)


def rebuild(make_worker: MakeWorker, **settings: Any) -> Session:
    session = make_worker(**settings).connect()
    while work(session, 7):
        pass
    return session


@pytest.mark.parametrize("guarantee", Guarantee, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_state_that_is_lost_is_learned_again_in_the_same_order(
    broker: FakeBroker, make_worker: MakeWorker, seed: int, guarantee: Guarantee
) -> None:
    """By a worker that is given the records in another one; and again by the next."""
    rng, settings = Random(seed), {"processing_guarantee": guarantee}
    first, second = make_worker(**settings), make_worker(**settings)
    session = first.start()
    work_in_turns(broker, session, rng)
    before, published = stored(session), predictions(broker)
    crash(first)
    lose_state(first)

    with capture_logs() as logs:
        rebuilt = second.connect()
        while work(rebuilt, rng.randint(1, 20)):
            pass
    assert stored(rebuilt) == before
    assert {*map(str, predictions(broker))} == {*map(str, published)}
    if guarantee is Guarantee.EXACTLY_ONCE:
        assert predictions(broker) == published
    assert "the order of records" not in str(logs)

    work_in_turns(broker, rebuilt, rng, first=60)
    before = stored(rebuilt)
    crash(second)
    lose_state(second)
    assert stored(rebuild(make_worker, **settings)) == before


def test_what_was_aborted_is_not_in_the_order(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Nor what was polled and left, nor what was revoked: the next worker may take it otherwise."""
    first, second = make_worker(), make_worker()
    session = first.start()
    put_events(broker, range(3))
    work(session)
    put_label(broker, 0, True, 1)
    asyncio.run(session.fold(session.poll(10)))
    broker.fail_next("commit_transaction", KafkaError._FAIL, fatal=True)
    with pytest.raises(KafkaException):
        session.commit()
    session.is_broken = True
    session.close()
    put_events(broker, range(3, 6))

    session = second.connect()
    while work(session, 2):
        pass
    before = stored(session)
    crash(second)
    lose_state(second)
    assert stored(rebuild(make_worker)) == before
    (topic,) = [each for each in broker.topics if each.startswith("p.order.")]
    assert len(broker.records(topic)) < 10


@pytest.mark.parametrize("guarantee", Guarantee, ids=str)
def test_a_worker_that_vanishes_between_saves_is_followed(
    broker: FakeBroker, make_worker: MakeWorker, guarantee: Guarantee
) -> None:
    """From its last save on; notes of before are not read again."""
    rng, settings = Random(5), {"processing_guarantee": guarantee}
    first, second = make_worker(**settings), make_worker(**settings)
    session = first.start()
    work_in_turns(broker, session, rng)
    first.pass_time()
    put_events(broker, [60])
    work(session)
    work_in_turns(broker, session, rng, first=61)
    before = stored(session)
    crash(first)
    reads = reads_of(broker)

    session = second.connect()
    while work(session, 5):
        pass
    assert stored(session) == before
    assert min(reads) > 0


def reads_of(broker: FakeBroker) -> list[int]:
    """Note from which offsets on the order is read."""
    (name,) = [each for each in broker.topics if each.startswith("p.order.")]
    (log,), reads = broker.topics[name], list[int]()
    committed = log.committed

    def read(offset: int) -> Any:
        reads.append(offset)
        return committed(offset)

    log.committed = read  # type: ignore[method-assign]
    return reads


def test_without_a_transaction_what_was_noted_before_a_crash_is_followed(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Offsets are committed after it: outputs are there twice, and have learned the same."""
    settings = {"processing_guarantee": Guarantee.AT_LEAST_ONCE}
    first, second = make_worker(**settings), make_worker(**settings)
    session = first.start()
    put_label(broker, 1, True, 30)
    put_events(broker, range(20, 40))
    asyncio.run(session.fold(session.poll(15)))
    session.commit()
    assert broker.groups[first.group].offsets == {}
    before = predictions(broker)
    crash(first)
    put_label(broker, 25, False, 1)  # would come first by its time

    session = second.connect()
    while work(session):
        pass
    twice = predictions(broker)
    assert twice[: len(before)] == before
    assert twice[len(before) : 2 * len(before)] == before


def test_where_the_order_is_gone_too_records_are_taken_as_they_come(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """It is said; what is learned now can be learned again."""
    first, second = make_worker(), make_worker()
    work_in_turns(broker, first.start(), Random(1))
    crash(first)
    lose_state(first)
    (topic,) = [each for each in broker.topics if each.startswith("p.order.")]
    broker.expire(topic, broker.topics[topic][0].end)

    with capture_logs() as logs:
        session = second.connect()
        while work(session):
            pass
    (said,) = [each for each in logs if "the order of records" in each["event"]]
    assert (said["log_level"], said["topics"]) == ("warning", ["p.events", "p.labels"])
    before = stored(session)
    crash(second)
    lose_state(second)
    with capture_logs() as logs:
        assert stored(rebuild(make_worker)) == before
    assert "the order of records" not in str(logs)


def test_what_an_earlier_release_has_noted_is_followed_and_kept(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """It is among its state; from the next save on it is in the log."""
    first, second = make_worker(), make_worker()
    session = first.start()
    put_events(broker, range(5))
    work(session)
    first.pass_time()
    put_events(broker, [5])
    work(session)  # and the state is saved
    put_label(broker, 8, True, 0)
    put_events(broker, range(6, 12))
    crash(first)
    state, group = first.state_topic, broker.groups[first.group]
    runs = [("events", 8), ("labels", 0), ("events", 11)]
    note = order_before(state, runs, flush=1)
    broker.put(state, note.value, note.key.encode(), headers=note.headers)
    group.offsets |= {("p.events", 0): 12, ("p.labels", 0): 1}
    (topic,) = [each for each in broker.topics if each.startswith("p.order.")]
    broker.expire(topic, broker.topics[topic][0].end)

    assert in_turn(second.start()) == [6, 7, 8, 0, 9, 10, 11]
    crash(second)
    third = make_worker()
    session = third.connect()
    while work(session, 3):
        pass
    session.close()
    lose_state(third)
    broker.expire("p.events", 6)  # what nothing was noted of
    assert in_turn(make_worker(accept_gaps=True).start()) == [6, 7, 8, 0, 9, 10, 11]


def test_what_an_earlier_release_has_noted_of_another_topic_is_not_followed(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """It was created again: its offsets mean nothing there, and nothing waits for them."""
    first = make_worker()
    session = first.start()
    put_events(broker, range(5))
    work(session)
    first.pass_time()
    put_events(broker, [5])
    work(session)
    crash(first)
    note = order_before(first.state_topic, [("events", 90), ("labels", 0)], flush=1)
    broker.put(first.state_topic, note.value, note.key.encode(), headers=note.headers)
    broker.delete("p.events")
    broker.create("p.events", 1)
    put_events(broker, range(3))
    put_label(broker, 1, True, 0)

    session = make_worker(accept_gaps=True).start()
    assert in_turn(session) == [0, 0, 1, 2]


def test_a_note_that_cannot_be_read_yet_is_waited_for(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Its transaction is committed, and the marker of that comes a moment later."""
    first = make_worker()
    session = first.start()
    for number in range(3):
        put_events(broker, [number])
        work(session)
    put_label(broker, 9, True, 0)
    work(session)
    crash(first)
    lose_state(first)
    (topic,) = [each for each in broker.topics if each.startswith("p.order.")]
    transaction = broker.topics[topic][0]._entries[2].transaction
    assert transaction is not None
    transaction.outcome = "open"
    for _ in range(20):
        broker.before("poll", lambda: None)
    broker.before("poll", lambda: setattr(transaction, "outcome", "committed"))

    assert in_turn(make_worker().start()) == [0, 1, 2, 0]


def in_turn(session: Session) -> list[int]:
    """Return the offsets of what is read next, in the order in which it would be folded."""
    order, taken = session.assignments[0].order, list[Origin]()
    assert order is not None
    while arriving := session.poll(20):
        taken += order.arrange(arriving)
    return [each.offset for each in taken]


def test_a_topic_that_is_far_ahead_is_not_read_on(
    broker: FakeBroker, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records wait on the broker, not in memory."""
    monkeypatch.setattr(input_order, "_MOST_WAITING", 3)
    monkeypatch.setattr(input_order, "_FEW_WAITING", 1)
    first, second = make_worker(), make_worker()
    session = first.start()
    for number in range(30):
        put_events(broker, [number], is_labelled=False)
        put_label(broker, number, number % 2 == 0, number)
        work(session)
    before = stored(session)
    crash(first)
    lose_state(first)

    session, held = second.connect(), set[tuple[str, int]]()
    while work(session, 10):
        held |= second.consumer.paused
    assert held <= {("p.events", 0), ("p.labels", 0)}
    assert held
    assert stored(session) == before
    session.poll(1)
    assert second.consumer.paused == set()


def test_partitions_have_orders_of_their_own(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Whoever takes one over follows that one."""
    first = make_worker(partitions=2)
    session = first.start()
    for number in range(20):
        put_events(broker, [number], number % 2, is_labelled=False)
        put_label(broker, number, number % 3 == 0, number, number % 2)
        if number % 3 == 0:
            work(session)
    while work(session):
        pass
    before = [stored(session, partition) for partition in (0, 1)]
    crash(first)
    lose_state(first)

    session = rebuild(make_worker, partitions=2)
    assert [stored(session, partition) for partition in (0, 1)] == before
