"""A save that goes on over many batches holds the state of one moment, and loses nothing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import KafkaError
from river import linear_model

from millrace.models.features import fields, rolling
from millrace.models.pipeline.definition import Pipeline
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.runtime import session as session_module
from millrace.streams.runtime.session import Session
from millrace.streams.state import flush as flush_module
from tests.unit.streams.runtime.worker import FakeWorker, crash, predictions, stored, work

Make = Callable[..., Any]
MakeWorker = Callable[[FakeBroker], FakeWorker]


@pytest.fixture(params=["exactly_once", "at_least_once"])
def make_worker(request: pytest.FixtureRequest, make_pipeline: Make, avro: Make) -> MakeWorker:
    """Make a worker with a model, a monitor and a window for each key."""
    pipeline: Pipeline = make_pipeline(
        schema=avro(id="string", k="string", a="double", y=["null", "boolean"]),
        key="k",
        scope="key",
        max_models=6,
        models={"own": linear_model.LogisticRegression},
        features=[fields("a"), rolling("a", "mean", "count", by="k", window=timedelta(hours=1))],
    )
    return lambda broker: FakeWorker(broker, pipeline, processing_guarantee=request.param)


@pytest.fixture(autouse=True)
def _an_entry_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a save write one entry after each batch."""
    monkeypatch.setattr(session_module, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(flush_module, "_FEW", 0)


def put(broker: FakeBroker, begin: int, end: int) -> None:
    """Produce events, every fourth without a label, by many keys of which some are common."""
    for number in range(begin, end):
        rng = random.Random(number)
        key = f"k{min(rng.randrange(9), rng.randrange(9))}"
        event: dict[str, Any] = {"id": str(number), "k": key, "a": rng.random()}
        event["y"] = None if number % 4 == 0 else rng.random() < event["a"]
        broker.put("p.events", json.dumps(event).encode(), timestamp_ms=number * 60_000)


def manifests(broker: FakeBroker, worker: FakeWorker) -> int:
    return sum(each.key() == b"manifest" for each in broker.records(worker.state_topic))


def saves(session: Session) -> int:
    return sum(each.flushes for each in session.assignments.values())


def taken_over(worker: FakeWorker) -> tuple[Session, list[Any]]:
    """Return a session with the state that was saved, and the records that it has polled."""
    session = worker.connect()
    while not session.assignments:
        polled = session.poll(7)
    return session, polled


def go_on(session: Session, polled: list[Any]) -> None:
    """Fold what was polled, and all that is left."""
    asyncio.run(session.fold(polled))
    session.commit()
    while work(session, 7):
        pass


@pytest.mark.parametrize("seed", range(2))
def test_what_is_saved_is_the_state_of_one_moment(seed: int, make_worker: MakeWorker) -> None:
    """Whenever a worker vanishes, its heir has the state that its manifest says, and goes on."""
    rng, broker = random.Random(seed), FakeBroker()
    worker = make_worker(broker)
    session, put_so_far, covered = worker.connect(), 0, 0
    for _ in range(2):
        before, more = saves(session), rng.randrange(30)
        while saves(session) == before or more:
            more -= saves(session) > before  # a while into the next save
            many = rng.choice([0, 1, 3])
            put(broker, put_so_far, put_so_far + many)
            put_so_far += many
            work(session, 7)
            worker.pass_time(3.0)
        crash(worker)
        worker = make_worker(broker)
        session, polled = taken_over(worker)
        begins = session.assignments[0].next_offset["events"]
        assert begins > covered
        covered = begins
        apart = FakeBroker()
        alone = make_worker(apart).connect()
        put(apart, 0, begins)
        while work(alone, 7):
            pass
        assert stored(session) == stored(alone)
        go_on(session, polled)
    in_order = [json.loads(each)["id"] for each in broker.values("p.events")]
    assert [each["event_id"] for each in predictions(broker)] == in_order


def test_batches_are_committed_while_a_save_goes_on(make_worker: MakeWorker) -> None:
    """Predictions do not wait for the end of a save, which ends though nothing comes any more."""
    broker = FakeBroker()
    worker = make_worker(broker)
    session = worker.start()
    put(broker, 0, 50)
    work(session)
    worker.pass_time()
    put(broker, 50, 51)
    work(session)
    assert len(predictions(broker)) == 51
    put(broker, 51, 52)
    work(session)
    for expected in (1, 2):
        assert manifests(broker, worker) == expected - 1
        worker.pass_time()
        for _ in range(200):
            session.poll(1)
        assert manifests(broker, worker) == expected
    count = worker.count("save_pause_seconds_count", agent=worker.agent.name)
    assert 20 < count < 200


def test_the_last_save_is_made_at_once(make_worker: MakeWorker) -> None:
    """A worker that stops in the middle of a save leaves the state of its last record."""
    broker = FakeBroker()
    worker = make_worker(broker)
    session = worker.start()
    put(broker, 0, 50)
    work(session)
    worker.pass_time()
    put(broker, 50, 60)
    work(session)
    kept = stored(session)
    session.close()
    heir, polled = taken_over(make_worker(broker))
    assert (stored(heir), polled) == (kept, [])


def test_a_save_that_is_refused_half_way_is_made_again(make_worker: MakeWorker) -> None:
    """What it had written, and what has changed since, is in the next."""
    broker = FakeBroker()
    worker = make_worker(broker)
    session = worker.start()
    put(broker, 0, 50)
    work(session)
    worker.pass_time()
    for number in range(50, 60):
        put(broker, number, number + 1)
        work(session)
    broker.refused[worker.state_topic] = KafkaError.POLICY_VIOLATION
    while not session.unsaved:
        session.poll(1)
    assert manifests(broker, worker) == 0
    del broker.refused[worker.state_topic]
    worker.pass_time()
    put(broker, 60, 61)
    work(session)
    while session.unsaved:
        session.poll(1)
    kept = stored(session)
    crash(worker)
    heir, _ = taken_over(make_worker(broker))
    assert heir.assignments[0].next_offset["events"] == 61
    assert stored(heir) == kept
