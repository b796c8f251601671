"""How a worker takes partitions over: whose they were, where it begins, and what may be missing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.kafka.fakes.broker import Log
from millrace.streams.state.binding import Binding
from millrace.streams.state.records import state_record
from tests.unit.streams.runtime.worker import (
    KEY,
    FakeWorker,
    crash,
    in_order,
    put_events,
    put_in_transaction,
    put_label,
    versions,
    work,
)

MakeWorker = Callable[..., FakeWorker]


def test_a_new_pipeline_begins_at_the_beginning(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Nothing was read before, so everything is live, and there is nothing to warn of."""
    put_events(broker_with_topics(broker, make_worker), range(3))
    worker = make_worker()
    with capture_logs() as logs:
        session = worker.connect()
        session.poll(1)
    assert 0 < worker.count("restore_seconds", agent=worker.agent.name) < 60
    assignment = session.assignments[0]
    assert (assignment.next_offset, assignment.live_from) == (
        {"control": 0, "events": 0, "labels": 0},
        {"control": 0, "events": 0, "labels": 0},
    )
    (assigned,) = logs
    assert (assigned["event"], assigned["log_level"]) == ("assigned", "info")
    assert (assigned["partitions"], assigned["restored"]) == ([0], [])
    assert assigned["restore_seconds"] >= 0


def broker_with_topics(broker: FakeBroker, make_worker: MakeWorker) -> FakeBroker:
    make_worker()
    return broker


def test_what_expired_before_anything_was_read_is_no_gap(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A new pipeline takes the log as retention has left it."""
    worker = make_worker()
    put_events(broker, range(5))
    broker.expire("p.events", before=2)

    assert work(worker.connect()) == 3


def test_without_state_it_begins_where_the_group_was(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """An agent that keeps nothing between records has nothing to rebuild."""
    first, second = (make_worker(chain="default") for _ in range(2))
    put_events(broker, range(3))
    assert work(first.connect()) == 3
    crash(first)
    put_events(broker, range(3, 5))

    with capture_logs() as logs:
        assert work(second.connect()) == 2
    assert "rebuilding" not in str(logs)


def test_state_that_is_gone_is_rebuilt_from_the_log(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """It is said where from and where to; outputs are not written again."""
    first, second = make_worker(), make_worker()
    put_events(broker, range(4))
    work(first.connect())
    crash(first)

    with capture_logs() as logs:
        session = second.connect()
        work(session)

    (rebuilding,) = [each for each in logs if each["event"].startswith("no saved state")]
    assert rebuilding["log_level"] == "warning"
    assert {name: rebuilding[name] for name in ("topic", "partition")} == {
        "topic": "p.events",
        "partition": 0,
    }
    assert (rebuilding["from_offset"], rebuilding["to_offset"]) == (0, 4)
    assert session.assignments[0].live_from == {"control": 0, "events": 4, "labels": 0}
    assert versions(broker) == in_order(4)


def test_a_gap_is_refused(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Records that the state needs have expired: the error counts them and says what to do."""
    first, second = make_worker(), make_worker()
    put_events(broker, range(5))
    work(first.connect())
    crash(first)
    broker.expire("p.events", before=3)

    with pytest.raises(
        BrokerError,
        match=r"needs p\.events\[0\] from offset 0 on.* 3: up to 3 records.*ACCEPT_GAPS=true",
    ):
        second.connect().poll(1)
    assert second.count("records_skipped_total", agent=second.agent.name, topic="events") == 0


def test_a_gap_behind_the_state_is_refused(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Also where the state itself is there, but records after it have expired."""
    first, second = make_worker(), make_worker()
    session = first.start()
    put_events(broker, range(5))
    work(session)
    session.close()
    put_events(broker, range(5, 9))
    broker.expire("p.events", before=6)

    with pytest.raises(BrokerError, match=r"from offset 5 on.* 6: up to 1 records"):
        second.connect().poll(1)


def test_what_the_state_covers_may_expire(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Up to the very offset at which it ends."""
    first, second = make_worker(), make_worker()
    session = first.start()
    put_events(broker, range(5))
    work(session)
    session.close()
    put_events(broker, range(5, 7))
    broker.expire("p.events", before=5)

    assert work(second.connect()) == 2


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
@pytest.mark.parametrize("ends_aborted", [False, True])
def test_markers_that_expire_are_no_gap(
    broker: FakeBroker, make_worker: MakeWorker, guarantee: str, ends_aborted: bool
) -> None:
    """A topic that was read to its end may expire as a whole, whatever lies behind its records."""
    first, second = (make_worker(processing_guarantee=guarantee) for _ in range(2))
    session = first.start()
    put_in_transaction(broker, range(3))
    if ends_aborted:
        put_in_transaction(broker, [3], commits=False)
    work(session)
    session.close()
    end = broker.topics["p.events"][0].end
    broker.expire("p.events", before=end)
    put_events(broker, range(4, 6))

    assert end == (6 if ends_aborted else 4)
    assert work(second.connect()) == 2
    assert stored_offsets(second)["p.events", 0] >= end


def test_markers_that_expire_are_no_gap_where_there_is_no_state(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """The group's offset lies behind them, too, though no record led to it."""
    first, second = (make_worker(chain="default") for _ in range(2))
    session = first.start()
    put_in_transaction(broker, range(3))
    work(session)
    first.pass_time()
    session.poll(1)
    crash(first)
    broker.expire("p.events", before=4)

    assert stored_offsets(second)["p.events", 0] == 4
    assert work(second.connect()) == 0


def test_what_follows_an_unfolded_batch_is_not_passed_over(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A batch that was polled and lost is read again, though the end was seen behind it."""
    first, second = make_worker(), make_worker()
    session = first.start()
    put_in_transaction(broker, range(3))
    assert len(session.poll(10)) == 3
    session.close()

    assert work(second.connect()) == 3
    assert versions(broker) == in_order(3)


def test_unread_records_that_expire_are_a_gap_though_none_was_ever_read(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """An agent that has seen an empty topic misses the first records that it was never given."""
    first, second = (make_worker(chain="default") for _ in range(2))
    first.start().close()
    put_label(broker, 1, True, 0)
    broker.expire("p.labels", before=1)

    with pytest.raises(BrokerError, match=r"needs p\.labels\[0\] from offset 0 on.* is 1: up to 1"):
        second.connect().poll(1)


def test_a_task_that_began_behind_0_needs_nothing_before_its_beginning(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """It is saved with its first commit where it began, so that a crash asks for no more."""
    first, second = make_worker(), make_worker()
    put_events(broker, range(5))
    broker.expire("p.events", before=2)
    session = first.connect()
    assert work(session) == 3
    crash(first)
    put_events(broker, [5])

    assert work(second.connect()) == 1
    assert len(versions(broker)) == 4


def recreate(broker: FakeBroker, topic: str, partitions: int = 1) -> None:
    broker.delete(topic)
    broker.create(topic, partitions)


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
@pytest.mark.parametrize("records", [2, 9])
def test_a_topic_that_was_created_again_is_told_from_retention(
    broker: FakeBroker, make_worker: MakeWorker, guarantee: str, records: int
) -> None:
    """Whether it is shorter than the old one or not: its id says that it is another topic."""
    first, second = (make_worker(processing_guarantee=guarantee) for _ in range(2))
    session = first.start()
    put_events(broker, range(5))
    work(session)
    session.close()
    recreate(broker, "p.events")
    put_events(broker, range(10, 10 + records))

    expected = rf"at offset 5 of p\.events\[0\].*deleted and created again.* 0 to {records}\. To"
    with pytest.raises(BrokerError, match=expected):
        second.connect().poll(1)


def test_a_topic_that_was_created_again_is_read_from_its_beginning_on_request(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """All of it is predicted by the model that there was; afterwards the setting is not needed."""
    first, second, third = make_worker(), make_worker(accept_gaps=True), make_worker()
    session = first.start()
    put_events(broker, range(5))
    work(session)
    session.close()
    recreate(broker, "p.events")
    put_events(broker, range(10, 12))

    with capture_logs() as logs:
        session = second.connect()
        assert work(session) == 2
    crash(second)
    put_events(broker, [12])
    assert work(third.connect()) == 1

    assert versions(broker)[5:] == [("10", 5), ("11", 6), ("12", 7)]
    (gap,) = [each for each in logs if each["event"].startswith("continuing behind a gap")]
    assert (gap["cause"], gap["to_offset"]) == ("recreated", 0)
    labels = {"agent": second.agent.name, "topic": "events", "cause": "recreated"}
    assert second.count("gaps_accepted_total", **labels) == 1


def test_an_accepted_gap_is_saved_though_nothing_comes(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A worker that starts after it, without the setting, is not asked again."""
    first, second, third = make_worker(), make_worker(accept_gaps=True), make_worker()
    session = first.start()
    put_events(broker, range(5))
    work(session)
    session.close()
    recreate(broker, "p.events")
    session = second.start()
    session.poll(1)
    crash(second)
    put_events(broker, [10])
    assert work(third.connect()) == 1


def test_an_agent_without_state_sees_by_the_groups_offsets_that_a_topic_is_another(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Where a worker has committed after the topic was created again, before it noticed."""
    first, second = (make_worker(chain="default") for _ in range(2))
    session = first.start()
    put_events(broker, range(5))
    work(session)
    recreate(broker, "p.events")
    put_events(broker, range(10, 17))
    assert work(session) == 2  # as librdkafka does: it goes on at offset 5
    crash(first)

    with pytest.raises(BrokerError, match=r"at offset 7 of.*deleted and created again"):
        second.connect().poll(1)
    third = make_worker(chain="default", accept_gaps=True)
    crash(second)
    assert work(third.connect()) == 7


def test_an_agent_without_state_begins_again_where_nothing_is_committed(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Kafka forgets a group's offsets with the topic: all of the new one is read."""
    first, second = (make_worker(chain="default") for _ in range(2))
    session = first.start()
    put_events(broker, range(5))
    work(session)
    crash(first)
    recreate(broker, "p.events")
    put_events(broker, range(10, 17))
    assert work(second.connect()) == 7


def test_a_position_beyond_the_end_is_said_to_be(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A topic whose id is not known, or that lost its newest records, may have been truncated."""
    first, second = make_worker(), make_worker()
    session = first.start()
    put_events(broker, range(5))
    work(session)
    session.close()
    broker.topic_ids["p.events"], old = "", broker.topics["p.events"]
    broker.topics["p.events"] = [Log()]
    put_events(broker, range(3))

    with pytest.raises(
        BrokerError, match=r"at offset 5 of p\.events\[0\], beyond its end, 3: .*truncated"
    ):
        second.connect().poll(1)
    broker.topics["p.events"] = old


def test_positions_of_an_earlier_release_are_compared_by_the_ends(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """It has not kept which topics they were of."""
    worker = make_worker(chain="default")
    put_events(broker, range(4))
    broker.groups[worker.group].offsets["p.events", 0] = 2
    assert work(worker.connect()) == 2


def test_state_topics_that_were_created_again_are_rebuilt(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Also under a running worker, which would else write on what is not there any more."""
    worker = make_worker()
    session = worker.start()
    put_events(broker, range(5))
    work(session)
    recreate(broker, worker.state_topic)
    worker.pass_time()
    with pytest.raises(BrokerError, match=f"topic {worker.state_topic} was deleted and created"):
        session.poll(1)
    session.is_broken = True
    session.close()

    session = worker.connect()
    put_events(broker, [5])
    assert work(session) == 6
    assert versions(broker) == in_order(6)


def test_models_that_were_created_again_are_no_gap_for_prediction(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Learning publishes them again: prediction reads the new topic from its beginning."""
    predictor = make_worker("prediction", chain="split")
    session = predictor.start()
    for _ in range(3):
        broker.put("p.models", None, b"learning/models/")
    work(session)
    session.close()
    recreate(broker, "p.models")
    session = make_worker("prediction", chain="split").start()
    assert session.assignments[0].next_offset["models"] == 0


def test_partitions_that_are_added_to_inputs_are_read_where_ingest_routes(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Under a running worker, by a rebalance: labels may have fewer, and no topic stops."""
    worker = make_worker(chain="default", partitions=2)
    session = worker.start()
    put_events(broker, range(3))
    work(session)
    broker.widen("p.events", 5)
    put_events(broker, range(3, 5), partition=4)
    worker.consumer.rebalance()
    assert work(session) == 2

    assert [*session.assignments] == [0, 1, 2, 3, 4]
    assert [*session.assignments[4].next_offset] == ["events"]
    assert len(broker.topics[worker.state_topic]) == 5
    assert sum(len(broker.values("p.clean", each)) for each in (0, 1)) == 5


def test_of_inputs_that_differ_two_workers_have_their_share(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """One may read a partition of one input, and the other that partition of another input."""
    broker.create("p.events", 3)
    broker.create("p.labels", 2)
    workers = [make_worker(chain="default", partitions=3) for _ in range(2)]
    sessions = [each.connect() for each in workers]
    with capture_logs() as logs:
        for session in sessions * 3:
            session.poll(1)
        workers[1].consumer.rebalance()
        for session in (*reversed(sessions), sessions[1]):  # who has less takes over last
            session.poll(1)
    owned = [
        {place for p, a in each.assignments.items() for place in a.next_offset} for each in sessions
    ]
    assert owned == [{"events", "labels"}, {"events", "labels"}]
    for partition in range(3):
        put_events(broker, [partition], partition)
    for session in sessions * 2:
        work(session)
    assert not [each for each in logs if "fencing" in each["event"]]
    assert sum(len(broker.values("p.clean", each)) for each in range(3)) == 3


def widened(broker: FakeBroker, worker: FakeWorker, *topics: str) -> None:
    """Let a worker save its state of topics of two partitions, and give them a third one."""
    session = worker.start()
    for partition in range(2):
        put_events(broker, [partition], partition)
    work(session)
    session.close()
    for topic in topics:
        broker.widen(topic, 3)


@pytest.mark.parametrize("scope", ["key", "partition"])
def test_partitions_that_are_added_where_keys_have_state_are_refused(
    broker: FakeBroker, make_pipeline: Callable[..., Pipeline], scope: str
) -> None:
    """Half of the keys would get fresh models: the error says so, and the ways out."""
    first, second = (
        FakeWorker(broker, make_pipeline(scope=scope, key="id"), partitions=2) for _ in range(2)
    )
    widened(broker, first, "p.events", "p.labels")
    with pytest.raises(
        BrokerError, match=r"p\.events has 3 partitions, and had 2 .*another name.*p\.models"
    ):
        second.connect().poll(1)
    crash(second)

    for topic in (second.state_topic, "p.models"):
        recreate(broker, topic, 3)
    assert work(second.connect()) == 2  # learned again from the log as it is


def test_a_worker_that_has_new_partitions_only_refuses_them_too(
    broker: FakeBroker, make_pipeline: Callable[..., Pipeline]
) -> None:
    """It has no state to compare with, and looks at that of the others."""
    pipeline = make_pipeline(scope="key", key="id")
    widened(broker, FakeWorker(broker, pipeline, partitions=2), "p.events", "p.labels")
    workers = [FakeWorker(broker, pipeline, partitions=3) for _ in range(3)]
    sessions = [each.connect() for each in workers]
    refusals = []
    for session in sessions * 2:
        try:
            session.poll(1)
        except BrokerError as error:
            refusals.append("has 3 partitions, and had 2" in str(error))
    assert refusals == [True] * 3


def test_partitions_that_are_added_to_one_of_two_inputs_with_state_are_refused(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A task reads the same partition of both: the error has the command that helps."""
    first, second = (make_worker(partitions=2) for _ in range(2))
    widened(broker, first, "p.events")
    with pytest.raises(
        BrokerError, match=r"same number of partitions.*--topic p\.labels --partitions 3"
    ):
        second.connect().poll(1)


def test_partitions_that_are_added_where_nothing_is_keyed_are_accepted(
    broker: FakeBroker, make_pipeline: Callable[..., Pipeline]
) -> None:
    """With scope global the one model stays where it is."""
    pipeline = make_pipeline(scope="global")
    first, second = (
        FakeWorker(broker, pipeline, "feature", chain="default", partitions=2) for _ in range(2)
    )
    session = first.start()
    session.close()
    broker.widen("p.clean", 3)
    session = second.start()
    assert [*session.assignments] == [0, 1, 2]
    assert len(broker.topics[second.state_topic]) == 3


def test_topics_of_state_that_cannot_be_widened_are_named(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """With how many partitions they need, and why the broker refuses."""
    worker = make_worker(chain="default", partitions=2)
    broker.widen("p.events", 3)
    broker.fail_next("widening", KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(
        BrokerError, match=r"'p\.state\.ingest' must have 3 partitions.*authorization"
    ):
        worker.connect().poll(1)


def stored_offsets(worker: FakeWorker) -> dict[tuple[str, int], int]:
    return worker.broker.groups[worker.group].offsets


def test_a_gap_that_is_accepted_keeps_nothing_waiting(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """The order of several inputs is followed as far as its records are there."""
    first, second = make_worker(), make_worker(accept_gaps=True)
    session = first.start()
    for number in range(4):
        put_label(broker, number, True, 10 * number)
        put_events(broker, [number])
        work(session)
    crash(first)
    broker.expire("p.labels", before=4)
    broker.expire("p.events", before=2)

    session = second.connect()
    assert work(session) == 2
    put_events(broker, [4])
    assert work(session) == 1
    assert versions(broker)[-1] == ("4", 2)  # learned from events 2 and 3


def test_a_gap_is_accepted_on_request(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """It is logged as an error and counted, and the worker continues behind it."""
    first, second = make_worker(), make_worker(accept_gaps=True)
    put_events(broker, range(5))
    work(first.connect())
    crash(first)
    broker.expire("p.events", before=3)

    with capture_logs() as logs:
        assert work(second.connect()) == 2

    (gap,) = [each for each in logs if each["event"].startswith("continuing behind a gap")]
    assert (gap["log_level"], gap["topic"], gap["partition"]) == ("error", "p.events", 0)
    assert (gap["from_offset"], gap["to_offset"]) == (0, 3)
    assert second.count("records_skipped_total", agent=second.agent.name, topic="events") == 3


def test_only_records_that_are_missing_count_as_skipped(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Not those that the state covers."""
    first, second = make_worker(), make_worker(accept_gaps=True)
    session = first.start()
    put_events(broker, range(5))
    work(session)
    session.close()
    put_events(broker, range(5, 9))
    broker.expire("p.events", before=7)

    assert work(second.connect()) == 2

    assert second.count("records_skipped_total", agent=second.agent.name, topic="events") == 2


def test_flushes_are_numbered_over_restarts(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """From 1 on, so that it is known which models belong to which manifest."""
    for number in (1, 2, 3):
        worker = make_worker()
        session = worker.connect()
        put_events(broker, [number])
        work(session)
        session.close()
    manifests = [each for each in broker.records(worker.state_topic) if each.key() == b"manifest"]
    assert [dict(each.headers() or ())["flush"] for each in manifests] == [b"1", b"2", b"3"]


def test_what_a_task_knows_is_a_metric(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """From the moment it is restored, for as long as it is assigned."""
    first, second = make_worker(), make_worker()
    session = first.connect()
    put_events(broker, range(5))
    work(session)
    session.close()
    session = second.start()
    assert second.count("model_version", partition="0") == 5
    session.close()
    assert second.count("model_version", partition="0") == 0


@pytest.mark.parametrize(
    ("operator", "chain", "is_kept"),
    [
        pytest.param("ingest", "full", True, id="two inputs and state"),
        pytest.param("feature", "default", False, id="one input"),
        pytest.param("ingest", "default", False, id="no state"),
        pytest.param("prediction", "split", False, id="models, which are compacted"),
    ],
)
def test_where_the_order_of_inputs_is_kept(
    make_worker: MakeWorker, operator: str, chain: str, is_kept: bool
) -> None:
    """Only where state depends on it, and it can be read again."""
    session = make_worker(operator, chain=chain).start()
    assert (session.assignments[0].order is not None) is is_kept


def test_only_other_workers_are_fenced(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """A worker that is told of the same partitions once more does not fence itself."""
    worker = make_worker()
    session = worker.start()
    put_events(broker, range(3))
    with capture_logs() as logs:
        worker.consumer.assign_again()
        work(session)

    assert [each["event"] for each in logs] == ["assigned"]
    assert versions(broker) == in_order(3)


def test_ownership_that_cannot_be_recorded_is_an_error(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """Otherwise nobody would fence this worker when it is gone."""
    worker = make_worker()
    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)

    with pytest.raises(BrokerError, match=rf"not written to topic {worker.state_topic}"):
        worker.connect().poll(1)


def test_each_previous_owner_is_fenced(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """Partitions of several workers that are gone may come to one."""
    gone = [make_worker(partitions=2) for _ in range(2)]
    sessions = [each.connect() for each in gone]
    for session in sessions * 2:
        session.poll(1)
    put_events(broker, [0], partition=0)
    put_events(broker, [1], partition=1)
    ids = sorted(each._transactional_ids for each in sessions)
    for worker in gone:
        crash(worker)

    with capture_logs() as logs:
        assert work(make_worker(partitions=2).connect()) == 2

    assert [each["worker"] for each in logs if "fencing" in each["event"]] == ids


def test_a_worker_without_transactions_claims_nothing(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """There is nothing open that anybody would have to abort."""
    worker = make_worker(processing_guarantee="at_least_once")
    session = worker.start()
    session.close()
    assert broker.records(worker.state_topic) == []


def test_where_no_partition_is_left_nothing_is_claimed(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """A worker more than there are partitions is ready, and waits."""
    first, second = make_worker(), make_worker()
    one, two = first.start(), second.connect()
    for session in (two, one, two):
        session.poll(1)
    assert ([*one.assignments], [*two.assignments]) == ([0], [])
    assert two.is_ready
    assert second.count("restore_seconds", agent=second.agent.name) >= 0


def test_prediction_apart_begins_with_the_newest_published_models(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """They are read from their topic, before the first event is predicted."""
    learner, predictor = (make_worker(name, chain="split") for name in ("learning", "prediction"))
    worker = make_worker("ingest", chain="split")
    feature = make_worker("feature", chain="split")
    put_events(broker, range(6))
    for each in (worker, feature, predictor):
        work(each.connect())
    learning = learner.connect()
    work(learning)
    learning.close()
    put_events(broker, range(6, 8))
    for each in (worker, feature):
        crash(each)
    for each in (make_worker("ingest", chain="split"), make_worker("feature", chain="split")):
        work(each.connect())
    crash(predictor)

    work(make_worker("prediction", chain="split").connect())

    assert [version for _, version in versions(broker)] == [0] * 6 + [6, 6]


def test_models_that_were_compacted_away_are_no_gap(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """The newest ones are there, which is all that prediction needs."""
    names = ("ingest", "feature", "prediction", "learning")
    workers = {name: make_worker(name, chain="split") for name in names}
    sessions = {name: worker.start() for name, worker in workers.items()}
    for number in range(3):
        put_events(broker, [number])
        workers["learning"].pass_time()
        for session in sessions.values():
            work(session)
    crash(workers["prediction"])
    broker.expire("p.models", before=3)  # the second of three; markers take up offsets

    with capture_logs() as logs:
        session = make_worker("prediction", chain="split").connect()
        session.poll(1)

    assert session.assignments[0].next_offset["models"] == 3
    assert session.assignments[0].live_from["models"] > 0
    rebuilt = [each["topic"] for each in logs if each["event"].startswith("no saved state")]
    assert rebuilt == ["p.features"]


@pytest.fixture
def split(broker: FakeBroker, make_worker: MakeWorker) -> Callable[[int], None]:
    """Return what passes an event, and its label, through the agents of the chain `split`.

    What is learned of the first of them is published.
    """
    names = ("ingest", "feature", "prediction", "learning")
    workers = {name: make_worker(name, chain="split") for name in names}
    sessions = {name: worker.start() for name, worker in workers.items()}

    def pass_event(number: int) -> None:
        work(sessions["prediction"])  # with the models that have come
        put_events(broker, [number])
        for name in names[:3]:
            work(sessions[name])
        workers["learning"].pass_time()
        work(sessions["learning"])

    return pass_event


def test_models_that_were_removed_are_not_used_again(
    broker: FakeBroker, split: Callable[[int], None]
) -> None:
    """Learning evicts them elsewhere, and says so by a tombstone: prediction begins afresh."""
    split(0)
    split(1)
    tombstone = state_record("models", "learning/models/", None, flush=9)
    tombstone = Binding("p.", KEY).signed(0, tombstone)
    broker.put("p.models", None, b"learning/models/", headers=tombstone.headers)
    split(2)
    assert versions(broker) == [("0", 0), ("1", 1), ("2", 0)]


def test_prediction_follows_only_what_learning_has_published(
    broker: FakeBroker, split: Callable[[int], None]
) -> None:
    """What somebody puts there without the key, or puts back, is rejected, and changes nothing."""
    split(0)
    split(1)
    split(2)
    first = broker.records("p.models")[0]
    broker.put("p.models", first.value(), first.key(), headers=first.headers())
    broker.put("p.models", None, b"learning/models/")
    split(3)
    assert versions(broker) == [("0", 0), ("1", 1), ("2", 2), ("3", 3)]
    reasons = [json.loads(each or b"")["detail"] for each in broker.values("p.rejects")]
    assert "it was put back" in reasons[0]
    assert "not the headers `flush` and `sequence`" in reasons[1]
