"""Where the state cannot be saved, predictions go on, and nothing says that it was saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from millrace.streams.kafka.fakes import FakeBroker
from tests.unit.streams.runtime.worker import (
    FakeWorker,
    crash,
    in_order,
    put_events,
    stored,
    versions,
    work,
)

MakeWorker = Callable[..., FakeWorker]
REFUSALS = [
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.POLICY_VIOLATION,
    KafkaError.INVALID_RECORD,
]


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
@pytest.mark.parametrize("code", REFUSALS)
def test_predictions_go_on_while_state_is_refused(
    broker: FakeBroker, make_worker: MakeWorker, guarantee: str, code: int
) -> None:
    """Each save is tried, said and counted; the first that is taken holds all of it."""
    worker = make_worker(processing_guarantee=guarantee)
    session = worker.start()
    broker.refused["p.models"] = code
    with capture_logs() as logs:
        for number in range(3):
            put_events(broker, [number])
            worker.pass_time()
            assert work(session) == 1
    assert versions(broker) == in_order(3)
    assert session.unsaved.startswith("the broker refuses it: ")
    assert worker.count("state_refused_total", agent=worker.agent.name) == 3
    assert sum(each["event"] == "state is not saved" for each in logs) == 3
    assert worker.count("snapshot_timestamp_seconds", agent=worker.agent.name) == 0
    assert [each.key() for each in broker.records(worker.state_topic)].count(b"manifest") == 0

    del broker.refused["p.models"]
    put_events(broker, [3])
    worker.pass_time()
    work(session)
    assert session.unsaved == ""
    kept = stored(session)
    session.close()
    heir = make_worker(processing_guarantee=guarantee)
    taken = heir.start()
    assert stored(taken) == kept
    put_events(broker, [4])
    work(taken)
    assert versions(broker) == in_order(5)


def test_a_crash_while_state_is_refused_repeats_nothing(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """The next owner rebuilds from the log what was not saved, without writing it again."""
    first, second = make_worker(), make_worker()
    session = first.start()
    broker.refused["p.models"] = KafkaError.MSG_SIZE_TOO_LARGE
    put_events(broker, range(4))
    first.pass_time()
    work(session)
    crash(first)
    taken = second.connect()
    put_events(broker, range(4, 6))
    while work(taken):
        pass
    assert versions(broker) == in_order(6)


def test_a_last_save_that_is_refused_is_no_error(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A worker that stops has committed its outputs, and lets its partitions go."""
    worker = make_worker()
    session = worker.start()
    broker.refused["p.models"] = KafkaError.MSG_SIZE_TOO_LARGE
    put_events(broker, range(4))
    work(session)
    session.close()
    assert session.unsaved
    heir = make_worker()
    with capture_logs() as logs:
        work(heir.connect())
    assert not any("fencing" in each["event"] for each in logs)
    assert versions(broker) == in_order(4)


def test_state_that_cannot_be_pickled_stops_no_prediction(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """What the user's model has become is said; nothing of the flush is written."""
    worker = make_worker()
    session = worker.start()
    put_events(broker, range(2))
    work(session)
    (assignment,) = session.assignments.values()
    models = dict(assignment.task.stores())["learning/models"][""]  # type: ignore[index]
    models.models["own"].hook = lambda: None
    worker.pass_time()
    put_events(broker, [2])
    work(session)
    assert "cannot be pickled" in session.unsaved
    del models.models["own"].hook
    worker.pass_time()
    put_events(broker, [3])
    work(session)
    assert session.unsaved == ""
    assert versions(broker) == in_order(4)


def test_an_outage_is_no_refusal(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """What passes by itself, and a fenced producer, are errors of the session as before."""
    worker = make_worker()
    session = worker.start()
    put_events(broker, range(2))
    work(session)
    worker.pass_time()
    put_events(broker, [2])
    broker.before("commit_transaction", lambda: None)
    broker.fail_next("commit_transaction", KafkaError._TIMED_OUT)
    with pytest.raises(KafkaException):
        work(session)
    assert session.unsaved == ""


def test_the_engine_warns(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """It works, and says that its state is not saved."""
    worker = make_worker()
    broker.refused["p.models"] = KafkaError.MSG_SIZE_TOO_LARGE
    engine = worker.engine()

    async def run() -> None:
        put_events(broker, [0])
        batch = await engine.next_batch()
        assert batch is not None
        worker.pass_time()
        await engine.process(batch)
        assert engine.failure == ""
        assert engine.warning.startswith("state is not saved: the broker refuses it")
        await engine.close()

    asyncio.run(run())
    assert engine.warning == ""
