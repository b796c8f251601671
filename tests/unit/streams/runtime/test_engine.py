"""An engine starts again from the last commit after an error, and stops without losing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from river import naive_bayes
from structlog.testing import capture_logs

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.runtime.engine import Engine
from tests.unit.streams.runtime.worker import (
    FakeWorker,
    in_order,
    predictions,
    put_events,
    versions,
)

MakeWorker = Callable[..., FakeWorker]


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    """Run a test, for at most a few seconds: an engine that is wrong may wait forever."""

    async def bounded() -> Any:
        return await asyncio.wait_for(test(), timeout=30)

    return asyncio.run(bounded())


async def process_next(engine: Engine) -> int:
    batch = await engine.next_batch()
    assert batch is not None
    await engine.process(batch)
    return len(batch.origins)


def test_batches_are_folded_and_committed(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """At most as many records at a time as the limit says; what it takes is measured."""
    worker = make_worker(batch_records=3)
    engine = worker.engine()
    put_events(broker, range(5))

    async def test() -> list[int]:
        sizes = [await process_next(engine), await process_next(engine)]
        await engine.close()
        return sizes

    assert run(test) == [2, 3]
    assert versions(broker) == in_order(5)
    agent = {"agent": worker.agent.name}
    assert worker.count("agent_batch_records_sum", **agent) == 5
    assert worker.count("agent_batch_records_count", **agent) == 2
    assert worker.count("agent_batch_seconds_count", **agent) == 2
    assert worker.count("agent_batch_seconds_sum", **agent) > 0


@pytest.mark.parametrize("operation", ["commit_transaction", "send_offsets_to_transaction"])
def test_after_an_error_it_starts_from_the_last_commit(
    broker: FakeBroker, make_worker: MakeWorker, operation: str
) -> None:
    """The agent is told of the error; the same records come again, and count once."""
    worker = make_worker()
    engine = worker.engine()
    put_events(broker, range(5))
    broker.fail_next(operation, KafkaError._TIMED_OUT)

    async def test() -> None:
        with pytest.raises(KafkaException):
            await process_next(engine)
        assert engine.failure == "the broker cannot be reached"
        assert not engine.is_ready
        assert await process_next(engine) == 5
        assert engine.is_ready
        assert engine.failure == ""
        await engine.close()

    run(test)
    assert versions(broker) == in_order(5)
    assert worker.count("agent_restarts_total", agent=worker.agent.name) == 1
    assert worker.count("predictions_total", model="own") == 5


def test_an_error_while_folding_breaks_the_session(
    broker: FakeBroker, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has folded before the error is not committed when it leaves the group."""
    worker = make_worker()
    engine = worker.engine()
    put_events(broker, range(3))

    async def test() -> None:
        batch = await engine.next_batch()
        assert batch is not None
        task = batch.session.assignments[0].task

        def fail(_: object) -> None:
            task.__class__.fold(task, _)  # type: ignore[arg-type]
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(task, "fold", fail)
            with pytest.raises(ZeroDivisionError):
                await engine.process(batch)
        await engine.close()

    run(test)
    assert versions(broker) == []
    assert broker.groups[worker.group].offsets == {}


def test_an_error_of_the_consumer_reaches_the_agent(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """And the next batch comes from another consumer."""
    worker = make_worker()
    engine = worker.engine()
    put_events(broker, range(2))

    async def test() -> None:
        assert await process_next(engine) == 2
        worker.consumer.report(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        with pytest.raises(BrokerError, match="consumer of agent"):
            await engine.next_batch()
        put_events(broker, [2])
        assert await process_next(engine) == 3  # two are replayed
        await engine.close()

    run(test)
    assert versions(broker) == in_order(3)


def test_state_that_is_refused_ends_the_stream(
    broker: FakeBroker, make_worker: MakeWorker, make_pipeline: Callable[..., Pipeline]
) -> None:
    """No restart would help: who made the engine is told why, once."""
    before = make_worker().engine()
    put_events(broker, range(2))
    refused: list[str] = []
    other = FakeWorker(broker, make_pipeline(models={"another": naive_bayes.GaussianNB}))
    engine = other.engine(on_refused=lambda error: refused.append(str(error)))

    async def test() -> None:
        await process_next(before)
        await before.close()
        assert await engine.next_batch() is None
        assert await engine.next_batch() is None
        assert engine.failure == "saved state cannot be loaded"
        await engine.close()

    run(test)
    assert len(refused) == 1
    assert "another definition" in refused[0]


def test_it_waits_longer_with_every_failure(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Twice as long each time, until a batch succeeds; the log says why."""
    engine = make_worker().engine(backoff_seconds=0.001)
    put_events(broker, range(2))

    async def test() -> None:
        for _ in range(3):
            broker.fail_next("commit_transaction", KafkaError._STATE)
            with pytest.raises(KafkaException):
                await process_next(engine)
        await process_next(engine)
        broker.fail_next("poll", KafkaError._STATE)
        with pytest.raises(KafkaException):
            await engine.next_batch()
        put_events(broker, [2])
        await process_next(engine)
        await engine.close()

    with capture_logs() as logs:
        run(test)

    restarts = [each for each in logs if each["event"] == "restarting from the last commit"]
    assert [each["backoff_seconds"] for each in restarts] == [0.001, 0.002, 0.004, 0.001]
    assert all("_STATE" in each["reason"] for each in restarts)
    assert {each["log_level"] for each in restarts} == {"warning"}


@pytest.mark.parametrize(("failures", "seconds"), [(8, 25.6), (9, 30.0), (5_000, 30.0)])
def test_it_waits_half_a_minute_at_most(
    broker: FakeBroker, make_worker: MakeWorker, failures: int, seconds: float
) -> None:
    """However often it has failed in a row; and it stops at once when it is told to."""
    engine = make_worker().engine(backoff_seconds=0.1)
    engine._failures = failures
    broker.fail_next("init_transactions", KafkaError._STATE)

    async def test() -> object:
        with pytest.raises(KafkaException):
            await engine.next_batch()
        waiting = asyncio.ensure_future(engine.next_batch())
        while not logs:
            await asyncio.sleep(0)
        engine.stop()
        return await waiting

    with capture_logs() as logs:
        assert run(test) is None
    assert logs[0]["backoff_seconds"] == pytest.approx(seconds)


def test_it_first_waits_a_tenth_of_a_second(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """By default: what has failed may have been a moment's trouble."""
    engine = make_worker().engine(None)
    broker.fail_next("init_transactions", KafkaError._STATE)
    put_events(broker, [0])

    async def test() -> None:
        with pytest.raises(KafkaException):
            await engine.next_batch()
        await process_next(engine)
        await engine.close()

    with capture_logs() as logs:
        run(test)
    assert [each["backoff_seconds"] for each in logs if "restarting" in each["event"]] == [0.1]


def test_a_stopped_engine_ends_the_stream(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Once told to stop it connects to nothing and has no more batches."""
    worker = make_worker()
    engine = worker.engine()
    engine.stop()
    assert run(engine.next_batch) is None
    assert not worker.clients.producers
    assert not engine.is_ready


def test_an_interrupted_poll_loses_nothing(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """What was polled when the agent was cancelled is read again; what was folded stays folded."""
    worker = make_worker()
    engine = worker.engine()
    put_events(broker, range(2))

    async def test() -> None:
        await process_next(engine)
        polling = asyncio.ensure_future(engine.next_batch())
        await asyncio.sleep(0)
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        put_events(broker, range(2, 4))
        assert await process_next(engine) == 2  # the state was saved when it left
        await engine.close()

    with capture_logs() as logs:
        run(test)
    assert versions(broker) == in_order(4)
    (restart,) = [each for each in logs if each["event"].startswith("restarting")]
    assert restart["reason"] == "interrupted"


def test_an_error_that_nobody_waits_for_counts(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """A poll that fails after its agent was cancelled has broken the session all the same."""
    worker = make_worker()
    engine = worker.engine()

    polling_now, cancelled = Event(), Event()

    def wait_and_fail() -> None:
        polling_now.set()
        cancelled.wait()
        raise KafkaException(KafkaError(KafkaError._FAIL))

    async def test() -> None:
        put_events(broker, range(2))
        batch = await engine.next_batch()
        assert batch is not None
        await batch.session.fold(batch.origins)
        broker.before("poll", wait_and_fail)
        polling = asyncio.ensure_future(engine.next_batch())
        while not polling_now.is_set():
            await asyncio.sleep(0)
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        cancelled.set()
        await engine.close()

    run(test)
    assert versions(broker) == []


@pytest.mark.parametrize("what_follows", ["next batch", "close"])
def test_a_batch_is_finished_though_its_agent_is_cancelled(
    broker: FakeBroker, make_worker: MakeWorker, what_follows: str
) -> None:
    """The next batch, or closing, waits for it."""
    worker = make_worker(partitions=4)
    engine = worker.engine()
    for partition in range(4):  # each is a slice of its own
        put_events(broker, range(10 * partition, 10 * partition + 10), partition)
    offsets = broker.groups[worker.group].offsets

    async def test() -> None:
        batch = await engine.next_batch()
        assert batch is not None
        assert len(batch.origins) == 40
        processing = asyncio.ensure_future(engine.process(batch))
        await asyncio.sleep(0)
        processing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await processing
        assert offsets == {}
        if what_follows == "next batch":
            put_events(broker, [40])
            assert await engine.next_batch() is not None
            assert len(offsets) == 4
        await engine.close()

    run(test)
    assert [each["event_id"] for each in predictions(broker)] == [str(each) for each in range(10)]
    read = {place: at for place, at in offsets.items() if at}
    assert read == {("p.events", partition): 10 for partition in range(4)}


def test_closing_commits_saves_and_leaves(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """The state is on the broker, and the group has no member any more."""
    worker = make_worker()
    engine = worker.engine()
    put_events(broker, range(3))

    async def test() -> None:
        await process_next(engine)
        await engine.close()

    run(test)
    assert b"manifest" in [each.key() for each in broker.records(worker.state_topic)]
    assert broker.groups[worker.group].members == []
    assert not engine.is_ready
    with pytest.raises(RuntimeError, match="cannot schedule"):
        run(engine.next_batch)


def test_closing_before_anything_was_read_is_fine(make_worker: MakeWorker) -> None:
    """An engine that has never connected has nothing to leave."""
    engine = make_worker().engine()
    with capture_logs() as logs:
        run(engine.close)
    assert logs == []


def test_a_last_commit_that_fails_keeps_no_other_agent_from_closing(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """What it had open is aborted, the log says so, and closing raises nothing."""
    worker = make_worker()
    engine = worker.engine()
    put_events(broker, range(3))

    async def test() -> None:
        batch = await engine.next_batch()
        assert batch is not None
        await batch.session.fold(batch.origins)
        broker.fail_next("commit_transaction", KafkaError._TIMED_OUT)
        await engine.close()

    with capture_logs() as logs:
        run(test)

    (closed,) = [each for each in logs if each["log_level"] == "error"]
    assert (closed["event"], closed["agent"]) == ("closed without a last commit", worker.agent.name)
    assert "_TIMED_OUT" in closed["reason"]
    assert broker.topics["p.predictions"][0].last_stable == 4
    assert versions(broker) == []
    assert worker.count("agent_up", agent=worker.agent.name) == 0


def test_a_broker_that_does_not_answer_keeps_nobody_from_closing(
    broker: FakeBroker, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After twelve seconds the last commit is given up: it is made again by the next owner."""
    monkeypatch.setattr("millrace.streams.runtime.engine._CLOSE_SECONDS", 0.1)
    engine = make_worker().engine()
    put_events(broker, range(3))
    answer = Event()

    async def test() -> None:
        await process_next(engine)
        broker.before("close", answer.wait)
        await engine.close()

    with capture_logs() as logs:
        run(test)
    answer.set()
    (closed,) = [each for each in logs if each["log_level"] == "error"]
    assert closed["event"] == "closed without a last commit"
    assert closed["reason"].startswith("no answer within")


def test_an_outage_is_a_failure_and_no_line_for_each_restart(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """`/healthz` says so until a batch succeeds again."""
    engine = make_worker().engine(backoff_seconds=0.001)
    put_events(broker, range(3))

    async def test() -> None:
        for _ in range(5):
            broker.fail_next("commit_transaction", KafkaError._TRANSPORT)
            with pytest.raises(KafkaException):
                await process_next(engine)
            assert engine.failure == "the broker cannot be reached"
        await process_next(engine)
        assert engine.failure == ""
        await engine.close()

    with capture_logs() as logs:
        run(test)
    said = [each["event"] for each in logs if each["log_level"] == "warning"]
    assert [each for each in said if "broker" in each or "restarting" in each] == [
        "the broker cannot be reached",
        "the broker is reached again",
    ]


def test_a_stall_is_a_failure_and_is_logged_once(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """`/healthz` says so for as long as it lasts; the log says so when it begins."""
    worker = make_worker()
    engine = worker.engine()
    put_events(broker, range(2))

    async def test() -> None:
        batch = await engine.next_batch()
        assert batch is not None
        await engine.process(batch)
        broker.put("p.events", b"held back", transaction=broker.transaction("open"))
        batch.session.poll(1)
        worker.pass_time(60.0)
        engine.check_progress()
        assert engine.failure == ""
        worker.pass_time(0.1)
        for _ in range(2):
            engine.check_progress()
        assert engine.failure == "records wait, but none is read"
        broker.end_transaction("open", "committed")
        await process_next(engine)
        engine.check_progress()
        assert engine.failure == ""
        await engine.close()

    with capture_logs() as logs:
        run(test)
    (stalled,) = [each for each in logs if each["log_level"] == "error"]
    assert stalled["event"].startswith("stalled: p.events[0]")
    assert stalled["agent"] == worker.agent.name


def test_an_agent_is_down_until_it_has_its_partitions(make_worker: MakeWorker) -> None:
    """The metric is there from the start, so that an alert can rest on it."""
    worker = make_worker()
    engine = worker.engine()
    labels = {"pipeline": "p", "agent": worker.agent.name}
    assert worker.metrics.registry.get_sample_value("millrace_agent_up", labels) == 0
    assert (engine.is_ready, engine.failure) == (False, "")


def test_which_partitions_it_has(make_worker: MakeWorker) -> None:
    """None before it is assigned any, and none once it is closed."""
    engine = make_worker().engine()

    async def test() -> list[bool]:
        had = [engine.has_partition(0)]
        engine._poll()
        had += [engine.has_partition(0), engine.has_partition(1)]
        await engine.close()
        return [*had, engine.has_partition(0)]

    assert run(test) == [False, True, False, False]
