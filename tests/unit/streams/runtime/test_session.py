"""What a session guarantees: every record counts exactly once, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, shipped
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.operators.columns import Made, as_records
from millrace.streams.operators.record import PredictionRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.runtime.session import Session
from tests.unit.streams.runtime.worker import (
    FakeWorker,
    crash,
    in_order,
    predictions,
    put_events,
    put_label,
    stored,
    versions,
    work,
)

MakeWorker = Callable[..., FakeWorker]


def fold(session, most_records=1_000):
    """Poll and fold a batch, and do not commit it."""
    asyncio.run(session.fold(session.poll(most_records)))


def manifests(broker, worker):
    return [each for each in broker.records(worker.state_topic) if each.key() == b"manifest"]


def test_outputs_and_offsets_become_visible_with_one_commit(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Until the transaction ends, no reader sees an output, and the group has no offset."""
    worker = make_worker()
    put_events(broker, range(3))
    group = broker.groups[worker.group]
    seen = []

    def look() -> None:
        seen.append((len(predictions(broker)), dict(group.offsets)))

    broker.before("commit_transaction", look)
    work(worker.connect())
    look()

    assert seen == [(0, {}), (3, {("p.events", 0): 3})]


def test_a_crash_before_the_commit_repeats_nothing(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """What was written is aborted by the next owner, which folds the records for the first time."""
    first, second = make_worker(), make_worker()
    put_events(broker, range(5))
    fold(first.connect())
    crash(first)

    with capture_logs() as logs:
        assert work(second.connect()) == 5

    assert versions(broker) == in_order(5)
    fenced = [each for each in logs if each["event"] == "fencing another worker's transaction"]
    assert [each["worker"].startswith(f"{first.group}-") for each in fenced] == [True]


def test_a_crash_after_the_commit_repeats_nothing(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Without saved state, committed records are replayed without output, then it is live."""
    first, second = make_worker(), make_worker()
    put_events(broker, range(5))
    work(first.connect())
    crash(first)
    put_events(broker, range(5, 8))

    assert work(second.connect()) == 8

    assert versions(broker) == in_order(8)
    assert second.count("predictions_total", model="own") == 3


def test_a_crash_between_two_flushes_replays_what_came_since_the_first(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A task begins at the offset that its state covers, not at the one that is committed."""
    first, second = make_worker(), make_worker()
    session = first.start()
    put_events(broker, range(5))
    first.pass_time()
    work(session)
    put_events(broker, range(5, 8))
    work(session)
    crash(first)
    put_events(broker, range(8, 10))

    assert work(second.connect()) == 5  # 5 to 9, of which 8 and 9 are new

    assert versions(broker) == in_order(10)


def test_a_run_with_crashes_equals_one_without(
    broker: FakeBroker, make_worker: MakeWorker, make_pipeline: Callable[..., Pipeline]
) -> None:
    """Predictions, models, metrics and monitors are the same to the last digit."""
    undisturbed = FakeBroker()
    steady = FakeWorker(undisturbed, make_pipeline()).start()
    worker, session = make_worker(), None
    for begin in range(0, 132, 6):
        for each in (broker, undisturbed):
            put_events(each, range(begin, begin + 6))
        if session is None:
            session = worker.connect()
        work(session)
        if begin % 4 == 0:
            worker.pass_time()
            session.poll(1)  # has time to save the state
        if begin % 18 == 6:
            crash(worker)
            worker, session = make_worker(), None
    work(steady)

    assert session is not None
    assert stored(session) == stored(steady)
    assert len(predictions(broker)) == 132
    assert predictions(broker) == predictions(undisturbed)


def test_a_zombie_cannot_commit(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """A worker that wakes up after its partitions were taken over is fenced, outputs and all."""
    zombie, heir = make_worker(), make_worker()
    put_events(broker, range(5))
    asleep = zombie.connect()
    fold(asleep)
    crash(zombie)
    work(heir.connect())

    with pytest.raises(KafkaException, match="_FENCED"):
        asleep.commit()

    assert versions(broker) == in_order(5)


def test_a_zombie_cannot_save_its_state(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Its group alone refuses it, though it has read nothing new since its last commit."""
    worker = make_worker()
    put_events(broker, range(5))
    session = worker.connect()
    work(session)
    crash(worker)

    with pytest.raises(KafkaException, match="UNKNOWN_MEMBER_ID"):
        session.commit(is_last=True)

    assert manifests(broker, worker) == []


def test_state_that_a_zombie_committed_at_last_counts(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """The state is read again once the previous owner is fenced: from then on it is final."""
    zombie, heir = make_worker(), make_worker()
    put_events(broker, range(5))
    session = zombie.connect()
    fold(session)
    broker.before("commit_transaction", lambda: None)  # of the outputs
    broker.fail_next("commit_transaction", KafkaError._TIMED_OUT)  # of the state
    with pytest.raises(KafkaException):
        session.commit(is_last=True)
    crash(zombie)
    taken = heir.connect()
    broker.before("init_transactions", lambda: zombie.state_producer.commit_transaction(1.0))

    assert work(taken) == 0  # all is in the state that was committed just before the fence

    assert taken.assignments[0].next_offset["events"] == 5
    assert versions(broker) == in_order(5)


def test_a_broken_session_commits_nothing_when_it_leaves(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """On revocation, too: what it has folded since the error may be wrong."""
    worker = make_worker()
    put_events(broker, range(5))
    session = worker.connect()
    fold(session)
    session.is_broken = True

    session.close()

    assert predictions(broker) == []
    assert broker.groups[worker.group].offsets == {}
    assert manifests(broker, worker) == []


def test_a_broken_session_leaves_nothing_open(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """It aborts before it leaves, which may take a while, so that no reader waits for it."""
    worker = make_worker()
    put_events(broker, range(5))
    session = worker.connect()
    fold(session)
    session.is_broken = True
    log, seen = broker.topics["p.predictions"][0], []
    broker.before("close", lambda: seen.append((log.last_stable, log.end)))

    session.close()

    assert seen == [(6, 6)]  # five aborted records and a marker
    assert worker.consumer.is_closed


def test_lost_partitions_are_aborted(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """What was folded is taken back, metrics and all; assigned again, it is folded once."""
    worker = make_worker()
    put_events(broker, range(5))
    session = worker.connect()
    fold(session)
    crash(worker)

    with capture_logs() as logs:
        assert work(session) == 5

    assert versions(broker) == in_order(5)
    assert worker.count("records_received_total", kind="event") == 5
    assert worker.count("predictions_total", model="own") == 5
    lost = [each for each in logs if each["event"].startswith("lost partitions: ")]
    assert [each["lost"] for each in lost] == [3]  # of events, labels and commands


def test_lost_partitions_are_let_go_of(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Until others are assigned, there is nothing to fold and nothing to show."""
    first, second = make_worker(), make_worker()
    one = first.start()
    second.connect()
    crash(first)

    assert one.poll(1) == []  # the group waits for the second worker

    assert one.assignments == {}
    assert first.count("agent_up", agent=first.agent.name) == 0


def test_after_a_loss_it_writes_under_another_id(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """The one before may have been fenced; nothing is pending in between."""
    worker = make_worker()
    session = worker.connect()
    session.poll(1)
    before = session.outbox.transactional_id
    crash(worker)
    session.poll(1)

    assert session.outbox.transactional_id not in ("", before)
    put_events(broker, range(2))
    assert work(session) == 2
    assert versions(broker) == in_order(2)


def test_revoked_partitions_are_handed_on(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """The state is saved and the ownership released: the next owner has nothing to fence."""
    first, second = make_worker(), make_worker()
    put_events(broker, range(5))
    session = first.connect()
    work(session)
    session.close()
    put_events(broker, range(5, 7))

    with capture_logs() as logs:
        assert work(second.connect()) == 2

    assert versions(broker) == in_order(7)
    assert [each["event"] for each in logs] == ["assigned"]
    assert logs[0]["restored"] == [0]


def test_partitions_move_between_workers(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """A second worker is given its share only when the first has committed and let go of it."""
    first, second = (make_worker(partitions=2) for _ in range(2))
    one = first.connect()
    one.poll(1)
    assert sorted(one.assignments) == [0, 1]
    put_events(broker, range(4))
    put_events(broker, range(4, 8), partition=1)
    fold(one)
    two = second.connect()

    assert work(two) == 0
    assert work(one) == 0
    assert work(two) == 0

    assert (sorted(one.assignments), sorted(two.assignments)) == ([0], [1])
    assert [each["event_id"] for each in predictions(broker)] == ["0", "1", "2", "3"]


def test_what_is_assigned_while_closing_is_ignored(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A worker that leaves takes nothing over any more."""
    worker = make_worker()
    session = worker.start()
    broker.before("close", worker.consumer.assign_again)

    with capture_logs() as logs:
        session.close()

    assert logs == []
    assert session.assignments == {}


def test_an_undelivered_output_is_an_error(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """The transaction fails as a whole, and the records are read and folded again."""
    worker = make_worker()
    session = worker.start()
    put_events(broker, range(5))
    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)
    with pytest.raises(KafkaException):
        work(session)
    session.is_broken = True
    session.close()
    assert predictions(broker) == []

    work(worker.connect())

    assert versions(broker) == in_order(5)
    assert worker.count("predictions_total", model="own") == 5


def test_at_least_once_commits_no_offset_before_its_outputs(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Where one of them is not delivered, no offset is committed, so that it is made again."""
    worker = make_worker(processing_guarantee="at_least_once")
    put_events(broker, range(3))
    session = worker.connect()
    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)

    with pytest.raises(BrokerError, match=r"1 records were not written to topic p\."):
        work(session)

    assert broker.groups[worker.group].offsets == {}


def test_at_least_once_waits_for_acknowledgements(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Records that the broker has not acknowledged in time are an error, too."""
    worker = make_worker(processing_guarantee="at_least_once")
    put_events(broker, range(3))
    session = worker.connect()
    fold(session)
    broker.unacknowledged = 2

    with pytest.raises(BrokerError, match=r"2 records were not acknowledged within 60 s"):
        session.commit(is_last=True)

    assert broker.groups[worker.group].offsets == {}


def test_at_least_once_learns_exactly_once(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """After a crash outputs may be there twice, but no model has learned twice."""
    first, second = (make_worker(processing_guarantee="at_least_once") for _ in range(2))
    put_events(broker, range(4))
    session = first.connect()
    fold(session)
    first.pass_time()
    broker.fail_next("commit", KafkaError._TIMED_OUT)
    with pytest.raises(KafkaException):
        session.commit()  # the outputs are written, the offsets are not
    crash(first)
    put_events(broker, range(4, 6))

    work(second.connect())

    assert versions(broker) == in_order(4) + in_order(6)


@pytest.fixture
def drift(make_worker: MakeWorker, broker: FakeBroker) -> FakeWorker:
    """An agent that writes nothing for a few records: there are predictions for it to read."""
    worker = make_worker()
    put_events(broker, range(5))
    work(worker.connect())
    return make_worker("drift", chain="default")


def test_offsets_without_outputs_wait_a_moment(broker: FakeBroker, drift: FakeWorker) -> None:
    """A broker is slow to store them; they follow when nothing comes, and as soon as it is time."""
    offsets = broker.groups[drift.group].offsets
    session = drift.connect()
    assert work(session) == 5
    assert offsets == {}
    drift.pass_time(0.11)
    assert session.poll(1) == []
    assert offsets == {("p.predictions", 0): 6}  # with the marker behind them
    broker.put("p.predictions", broker.values("p.predictions")[0])
    assert work(session) == 1
    assert offsets == {("p.predictions", 0): 6}  # until another 0.1 s have passed


def test_what_happened_counts_with_the_offsets(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Where a batch leads to no output, and its offsets wait, so does what happened in it."""
    worker = make_worker()
    session = worker.start()
    put_label(broker, 7, True, 0)
    asyncio.run(session.fold(session.poll(10)))
    session.outbox.commit(session.inbox.consumer, [])
    assert worker.count("labels_total", fate="early") == 0
    session.commit()
    assert worker.count("labels_total", fate="early") == 1


def test_the_state_is_saved_when_it_is_due(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Not with each commit; and, once it is due, also when no records come."""
    worker = make_worker()
    session = worker.start()
    put_events(broker, range(3))
    worker.pass_time(10.0)
    work(session)
    assert manifests(broker, worker) == []
    worker.pass_time(0.1)
    session.poll(1)
    session.poll(1)
    assert len(manifests(broker, worker)) == 1
    assert worker.count("snapshot_timestamp_seconds", agent=worker.agent.name) > 0


def test_the_state_is_due_some_seconds_after_an_assignment(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """However long the session has waited for one."""
    worker = make_worker()
    session = worker.connect()
    worker.pass_time()
    put_events(broker, range(3))
    work(session)
    assert manifests(broker, worker) == []


def test_unchanged_state_is_not_written_again(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Time alone changes nothing."""
    worker = make_worker()
    session = worker.start()
    put_events(broker, range(3))
    work(session)
    worker.pass_time()
    session.poll(1)
    begun: list[bool] = []
    broker.before("begin_transaction", lambda: begun.append(True))
    for _ in range(2):
        worker.pass_time()
        session.poll(1)
    assert begun == []
    session.close()
    assert len(manifests(broker, worker)) == 1


def test_records_that_cannot_be_decoded_are_rejected(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """They are counted, and the others of the batch are folded."""
    worker = make_worker("feature", chain="default")
    broker.put("p.clean", b"\xff", key=b"k")
    work(worker.connect())

    (reject,) = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert (reject["topic"], reject["offset"]) == ("p.clean", 0)
    assert worker.count("events_rejected_total", reason=reject["reason"]) == 1


def test_events_that_cannot_be_written_are_rejected(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """An id that is cut in the middle of a character, for example; they are counted, too."""
    worker = make_worker()
    event = {"id": "\ud800", "a": 1.0, "b": 2.0, "y": None}
    broker.put("p.events", json.dumps(event).encode())
    put_events(broker, [1])
    work(worker.connect())

    (reject,) = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert (reject["topic"], reject["offset"], reject["reason"]) == (
        "p.events",
        0,
        "ill_typed_field",
    )
    assert worker.count("events_rejected_total", reason="ill_typed_field") == 1
    assert [event_id for event_id, _ in versions(broker)] == ["1"]


def test_outputs_that_cannot_be_written_are_rejected(
    broker: FakeBroker, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of the user's own may predict a text that is no text; the rest is written."""
    worker = make_worker()
    session = worker.start()
    put_events(broker, [0, 1])
    assignment = session.assignments[0]
    fold_part = assignment.fold

    def fold_odd(*args: Any) -> Any:
        outputs, tally = fold_part(*args)
        records = as_records(outputs)
        for each in records:
            if isinstance(each, PredictionRecord) and each.value["event_id"] == "0":
                each.value["model"] = "\ud800"
        return records, tally

    monkeypatch.setattr(assignment, "fold", fold_odd)
    work(session)

    (reject,) = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert (reject["topic"], reject["offset"], reject["reason"]) == (
        "p.events",
        0,
        "ill_typed_field",
    )
    assert worker.count("events_rejected_total", reason="ill_typed_field") == 1
    assert [event_id for event_id, _ in versions(broker)] == ["1"]


def test_other_agents_have_their_turn_within_a_batch(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A batch of 450 records is folded in slices, of at most 200 records."""
    session = make_worker().start()
    put_events(broker, range(450))
    turns = []

    async def run() -> None:
        folding = asyncio.ensure_future(session.fold(session.poll(1_000)))
        while not folding.done():
            await asyncio.sleep(0)
            turns.append(session.assignments[0].next_offset["events"])

    asyncio.run(run())

    assert sorted({*turns}) == [1, 3, 7, 15, 31, 63, 127, 255, 450]


def slow_down(worker: FakeWorker, session: Session, seconds: float) -> None:
    """Let each record take so long."""
    task = session.assignments[0].task
    fold_slice = task.fold

    def fold(slice_: Slice) -> list[Made]:
        worker.pass_time(seconds * len(slice_))
        return fold_slice(slice_)

    task.fold = fold  # type: ignore[method-assign]


def test_a_slow_model_commits_one_record_after_the_other(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Where a record takes 1.25 s, a batch is one record, and nothing is read twice."""
    worker = make_worker(flush_seconds=1_000)
    session = worker.start()
    slow_down(worker, session, 1.25)
    put_events(broker, range(5))

    assert [work(session) for _ in range(5)] == [1, 1, 1, 1, 1]
    assert versions(broker) == in_order(5)


def test_a_model_that_becomes_slow_holds_up_one_slice(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """The records that a batch has no time for are the first of the next one."""
    worker = make_worker(flush_seconds=1_000)
    session = worker.start()
    put_events(broker, range(10))
    work(session)
    slow_down(worker, session, 0.1)
    put_events(broker, range(10, 40))

    assert [work(session) for _ in range(3)] == [16, 1, 1]
    assert versions(broker) == in_order(28)


def test_records_that_wait_are_dropped_with_their_partition(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """They are read again by the next owner, from the last commit on."""
    worker = make_worker(flush_seconds=1_000)
    session = worker.start()
    slow_down(worker, session, 1.0)
    put_events(broker, range(5))
    work(session)
    session.close()

    other = make_worker().connect()
    for _ in range(3):
        work(other)

    assert versions(broker) == in_order(5)


def test_where_time_cuts_the_log_changes_nothing(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Events and labels, which two topics bring, are folded in the order that is noted."""
    worker = make_worker(flush_seconds=1_000)
    session = worker.start()
    slow_down(worker, session, 0.03)
    put_events(broker, range(0, 40, 2))
    for number in range(1, 40, 2):
        put_label(broker, number - 1, True, number)
    while work(session):
        pass
    learned = stored(session)
    crash(worker)

    restored = make_worker().connect()
    for _ in range(10):
        work(restored)

    assert stored(restored) == learned


def test_a_batch_of_a_partition_that_has_gone_is_skipped(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """It was revoked while the batch was polled; another worker folds it."""
    worker = make_worker()
    put_events(broker, range(3))
    session = worker.connect()
    batch = session.poll(10)
    session.on_revoke([])

    asyncio.run(session.fold(batch))
    session.commit()

    assert predictions(broker) == []
    assert not any(broker.groups[worker.group].offsets.values())


def test_a_session_that_cannot_join_is_not_ready(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """It is ready once it has been assigned partitions, and says so in a metric."""
    worker = make_worker()
    session = worker.connect()
    assert not session.is_ready
    session.poll(1)
    assert session.is_ready
    assert worker.count("agent_up", agent=worker.agent.name) == 1
    session.close()
    assert worker.count("agent_up", agent=worker.agent.name) == 0


FOREIGN = {
    "feature": ("p.clean", [b"{}", b"\xff", b"", None]),
    "prediction": ("p.features", [b"{}", b"\xc3\x01", None]),
    "learning": ("p.examples", [b"{}", None]),
    "drift": ("p.predictions", [b"{}", b"[]", b"{", None, b'{"event_id": 1}']),
}


@pytest.mark.parametrize("agent", FOREIGN)
def test_foreign_records_stop_no_agent(
    agent: str, broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """They are rejected with the full name of their topic, and what follows is folded."""
    topic, values = FOREIGN[agent]
    worker = make_worker(agent, chain="split")
    session = worker.start()
    for value in values:
        broker.put(topic, value, b"\xff")
    broker.put("p.models", None, b"\xff")
    broker.put("p.models", b"{}", b"k")
    work(session)
    work(session)
    rejects = [json.loads(each or b"") for each in broker.values("p.rejects")]
    models = 2 if agent == "prediction" else 0
    assert Counter(each["topic"] for each in rejects) == Counter(
        {topic: len(values), "p.models": models}
    )
    assert worker.count("internal_errors_total", operator=agent) == 0


def test_unsigned_models_are_rejected(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Of the right type, they are no fault of Millrace's: whoever wrote them has not the key."""
    worker = make_worker("prediction", chain="split")
    session = worker.start()
    snapshot = {"scope_key": "", "champion": "own", "version": 1, "covers": {}, "payload": b"x"}
    broker.put("p.models", shipped("model_snapshot").encode(snapshot), b"learning/models/")
    work(session)
    (reject,) = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert (reject["topic"], reject["reason"]) == ("p.models", "malformed")


@pytest.mark.parametrize("chain", ["full", "default", "split"])
def test_the_trace_context_is_carried_through_every_chain(
    chain: str, broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """From an event to its prediction, and to the rejects of agents further on."""
    names = ["ingest", "feature", "prediction", "learning"]
    workers = [make_worker(name, chain=chain) for name in names if chain == "split"] or [
        make_worker(name, chain=chain) for name in names[: 1 if chain == "full" else 3]
    ]
    sessions = [worker.start() for worker in workers]
    headers = [("traceparent", b"00-1"), ("other", b"x")]
    event = {"id": "0", "a": 1.0, "b": 2.0, "y": None}
    for _ in range(2):  # the second one is a duplicate
        broker.put("p.events", json.dumps(event).encode(), headers=headers)
    for session in sessions:
        work(session)
    (prediction,) = broker.records("p.predictions")
    (reject,) = broker.records("p.rejects")
    assert prediction.headers() == reject.headers() == [("traceparent", b"00-1")]
