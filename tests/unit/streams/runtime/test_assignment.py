"""A task at its place in the log: what is folded, what is live, what is committed and saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from millrace.schemas.records import AcceptedCommand
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.operators.columns import as_records
from millrace.streams.operators.record import Origin
from millrace.streams.runtime.assignment import Assignment
from millrace.streams.state import snapshot
from millrace.streams.state.input_order import InputOrder, Note
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import Manifest
from millrace.streams.topology.chain import AgentSpec, parse_chain
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.live_task import Definition, LiveTask
from tests.unit.streams.runtime.worker import KEY

(EVERYTHING,) = parse_chain("full")
BEGINS = {"events": 5, "labels": 0}
INGEST = AgentSpec(("ingest",))


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    return make_pipeline()


@pytest.fixture
def make_assignment(pipeline: Pipeline) -> Callable[..., Assignment]:
    """Make one whose state covers `events` up to 5, of 8 that are committed."""

    def make(agent: AgentSpec = EVERYTHING, order: InputOrder | None = None) -> Assignment:
        factory = TaskFactory(
            pipeline,
            agent,
            1,
            10**6,
            lambda _: None,
            lambda _: pytest.fail("no models here"),
            lambda: 0,
        )
        definition = Definition("", factory, TopicCodec(pipeline))
        return Assignment(
            partition=0,
            live=LiveTask(definition, lambda _: definition),  # type: ignore[arg-type]  # one
            next_offset={**BEGINS},
            committed={"events": 8},
            order=order,
            order_end=lambda: 9,
        )

    return make


@pytest.fixture
def state(pipeline: Pipeline) -> StateLog:
    return StateLog(pipeline, EVERYTHING, FakeClients(FakeBroker()), "p.", KEY)


def events(*offsets: int, topic: str = "events") -> list[Origin]:
    made = []
    for offset in offsets:
        event = {"id": str(offset), "a": 1.0, "b": 2.0, "y": True}
        made.append(Origin(topic, 0, offset, 0, None, json.dumps(event).encode()))
    return made


def runs_of(assignment: Assignment, arriving: list[Origin]) -> list[tuple[bool, list[int]]]:
    return [(live, [each.offset for each in run]) for live, run in assignment.runs(arriving)]


def test_what_was_committed_before_is_not_live(make_assignment: Callable[..., Assignment]) -> None:
    """A batch is cut where it becomes live, which may be in the middle of it."""
    assert runs_of(make_assignment(), events(5, 6, 7, 8, 9)) == [
        (False, [5, 6, 7]),
        (True, [8, 9]),
    ]


def test_each_topic_becomes_live_by_itself(make_assignment: Callable[..., Assignment]) -> None:
    """A label that was never committed is live, between events that were."""
    arriving = [*events(6), *events(0, topic="labels"), *events(7)]
    assert runs_of(make_assignment(), arriving) == [(False, [6]), (True, [0]), (False, [7])]


def test_once_live_it_stays_live(make_assignment: Callable[..., Assignment]) -> None:
    """Then a batch is not cut any more."""
    assignment = make_assignment()
    assignment.next_offset["events"] = 8
    assert runs_of(assignment, events(8, 9)) == [(True, [8, 9])]


def test_records_are_folded_in_the_order_that_was_recorded(
    make_assignment: Callable[..., Assignment],
) -> None:
    """Those whose turn it is not wait for the others."""
    note = Note(BEGINS, [("events", 5), ("labels", 0), ("events", 6)])
    assignment = make_assignment(order=InputOrder(BEGINS, [note]))
    assert runs_of(assignment, events(5, 6)) == [(False, [5])]
    assert runs_of(assignment, events(0, topic="labels")) == [(True, [0]), (False, [6])]


def test_a_record_is_folded_once(
    make_assignment: Callable[..., Assignment], pipeline: Pipeline
) -> None:
    """What comes again after a rebalance in the middle of a batch is skipped."""
    assignment = make_assignment()

    first, tally = assignment.fold(events(4, 5, 6))
    again, nothing = assignment.fold(events(5, 6))

    predicted = [
        each.value["event_id"] for each in as_records(first) if each.topic == "predictions"
    ]
    assert predicted == ["5", "6"]
    assert tally["received", "event"] == 2
    assert (again, +nothing) == ([], {})
    assert assignment.next_offset == {"events": 7, "labels": 0}


@pytest.mark.parametrize("seed", range(20))
def test_each_record_is_folded_once_wherever_the_log_is_cut(
    make_assignment: Callable[..., Assignment], pipeline: Pipeline, seed: int
) -> None:
    """In slices that begin with records of those before, and in which topics take turns."""
    random, assignment = Random(seed), make_assignment(INGEST)
    logs = {topic: sorted(random.sample(range(5, 80), 30)) for topic in ("events", "labels")}
    taken = dict.fromkeys(logs, 0)
    folded, expected = [], []
    for _ in range(40):
        slice_ = [
            each
            for topic, at in taken.items()
            for each in events(*logs[topic][max(at - random.randrange(4), 0) : at], topic=topic)
        ]
        for topic in random.choices([*logs], k=random.randrange(4)):
            fresh = logs[topic][taken[topic] :][: random.randrange(5)]
            taken[topic] += len(fresh)
            slice_ += events(*fresh, topic=topic)
            expected += [(topic, offset) for offset in fresh]
        outputs, _ = assignment.fold(slice_)
        folded += [(each.origin.topic, each.origin.offset) for each in outputs]

    assert folded == expected
    behind = {topic: logs[topic][at - 1] + 1 for topic, at in taken.items() if at}
    assert assignment.next_offset == {"events": 5, "labels": 0} | behind


def test_offsets_are_committed_once(make_assignment: Callable[..., Assignment]) -> None:
    """Those that have moved beyond what is committed, and none while it is replayed."""
    assignment = make_assignment()
    assert assignment.take_uncommitted(again=False) == {}
    assert not assignment.is_uncommitted
    assignment.next_offset["events"] = 8
    assert not assignment.is_uncommitted

    assignment.next_offset["events"] = 9

    assert assignment.is_uncommitted
    assert assignment.take_uncommitted(again=False) == {"events": 9}
    assert assignment.take_uncommitted(again=False) == {}
    assert not assignment.is_uncommitted


def test_a_topic_that_was_not_assigned_before_counts_from_0(
    make_assignment: Callable[..., Assignment],
) -> None:
    """The first record of a topic of which nothing is committed is committed like any other."""
    assignment = make_assignment()
    assignment.next_offset["labels"] = 1
    assert assignment.is_uncommitted
    assert assignment.take_uncommitted(again=False) == {"labels": 1}


def test_a_flush_commits_them_again(make_assignment: Callable[..., Assignment]) -> None:
    """So that the group fences it; never an offset before the committed one.

    Of a topic that nothing has come of, 0: were its first records to expire unread, they would
    be missed.
    """
    assert make_assignment().take_uncommitted(again=True) == {"events": 8, "labels": 0}


def test_a_flush_writes_what_has_changed_since_the_last(
    make_assignment: Callable[..., Assignment], pipeline: Pipeline, state: StateLog
) -> None:
    """It is numbered, covers what was folded, and is not repeated without another record."""
    assignment = make_assignment()
    assert not assignment.is_unsaved
    assignment.fold(events(5))
    assert assignment.is_unsaved

    written = [*assignment.unsaved_state(state)]
    assignment.mark_saved(state)

    assert written[-1].key == "manifest"
    assert {each.flush for each in written} == {assignment.flushes} == {1}
    assert not assignment.is_unsaved
    assignment.fold(events(6))
    assert {each.flush for each in assignment.unsaved_state(state)} == {2}


def test_what_was_not_saved_is_written_again(
    make_assignment: Callable[..., Assignment], pipeline: Pipeline, state: StateLog
) -> None:
    """Until it is marked as saved, with what has changed since, as a flush of its own."""
    assignment = make_assignment()
    assignment.fold(events(5))
    first = {each.key for each in assignment.unsaved_state(state)}
    assert assignment.is_unsaved
    assignment.fold(events(6))

    again = [*assignment.unsaved_state(state)]

    assert {each.key for each in again} >= first
    assert {each.flush for each in again} == {2}
    assignment.mark_saved(state)
    assert not assignment.is_unsaved


def test_an_agent_without_state_writes_none(
    make_assignment: Callable[..., Assignment], pipeline: Pipeline, state: StateLog
) -> None:
    """There is no manifest of nothing; and what was folded counts as saved."""
    assignment = make_assignment(INGEST)
    assignment.fold(events(5))
    assert assignment.is_unsaved
    assert [*assignment.unsaved_state(state)] == []
    assignment.mark_saved(state)
    assert not assignment.is_unsaved
    assert assignment.flushes == 0


def test_the_order_of_inputs_is_written_with_each_commit(
    make_assignment: Callable[..., Assignment], state: StateLog
) -> None:
    """Of what was folded, once; what was left for the next batch is not there yet."""
    assignment = make_assignment(order=InputOrder(BEGINS))
    for _, run in assignment.runs(events(8, 9, 10)):
        assert [*assignment.take_order(state)] == []
        assignment.fold([*run][:2])

    (written,) = assignment.take_order(state)

    assert (written.topic, written.value) == (
        f"order.{EVERYTHING.name}",
        state.order.record(0, Note(BEGINS, [("events", 9)])).value,
    )
    assert [*assignment.take_order(state)] == []


def test_without_several_inputs_no_order_is_written(
    make_assignment: Callable[..., Assignment], state: StateLog
) -> None:
    """A topic has one of its own."""
    assignment = make_assignment()
    assignment.fold(events(8))
    assert [*assignment.take_order(state)] == []


def test_what_is_folded_a_second_time_is_not_noted(
    make_assignment: Callable[..., Assignment], state: StateLog
) -> None:
    """It is skipped, and so it is not in the order."""
    assignment = make_assignment(order=InputOrder(BEGINS))
    assignment.fold(events(8, 9))
    first = [*assignment.take_order(state)]
    assignment.fold(events(8, 9))
    assert len(first) == 1
    assert [*assignment.take_order(state)] == []


def test_state_says_from_where_on_its_order_is_followed(
    make_assignment: Callable[..., Assignment], state: StateLog
) -> None:
    """From the note that is followed when it is saved, or else from behind all that there are."""
    note = Note(BEGINS, [("events", 5), ("labels", 3)], offset=4)
    assignment = make_assignment(order=InputOrder(BEGINS, [note]))
    for _, run in assignment.runs(events(5)):
        assignment.fold(run)
    assert saved_order(assignment, state) == 4
    for _, run in assignment.runs(events(3, topic="labels")):
        assignment.fold(run)
    assert saved_order(assignment, state) == 9


def saved_order(assignment: Assignment, state: StateLog) -> int:
    *_, manifest = assignment.unsaved_state(state)
    assignment.mark_saved(state)
    found: Manifest = snapshot.load(manifest.value or b"", KEY)
    return found["order"]


def test_what_is_left_behind_a_snapshot_is_not_in_the_order(
    make_assignment: Callable[..., Assignment], state: StateLog
) -> None:
    """It is noted once it is folded."""
    command = AcceptedCommand(
        number=1, id="c1", command="snapshot", arguments={"version": "v"}, who="anna", why=""
    )
    asked = Origin("control", 0, 0, 0, None, shipped("accepted_command").encode(command))
    begins = BEGINS | {"control": 0}
    assignment = make_assignment(order=InputOrder(begins))
    assignment.next_offset["control"] = 0
    assignment.fold([*events(8), asked, *events(0, topic="labels"), *events(9)])
    assert places(assignment.rest) == [("labels", 0), ("events", 9)]
    first = [each.value for each in assignment.take_order(state)]
    assert first == [state.order.record(0, Note(begins, [("events", 8), ("control", 0)])).value]
    assignment.fold(assignment.rest)
    assert assignment.next_offset == {"control": 1, "events": 10, "labels": 1}
    second = [each.value for each in assignment.take_order(state)]
    reached = {"control": 1, "events": 9, "labels": 0}
    assert second == [state.order.record(0, Note(reached, [("labels", 0), ("events", 9)])).value]


def test_while_an_order_is_followed_nothing_is_left_behind_a_snapshot(
    make_assignment: Callable[..., Assignment],
) -> None:
    """More was arranged than one slice, and what the state would say of it is not true yet."""
    assignment = make_assignment(order=InputOrder(BEGINS, [Note(BEGINS, [("events", 5)])]))
    assert assignment.can_stop
    assignment.runs(events(5, 6))
    assert not assignment.can_stop
    assignment.runs(events(7))
    assert assignment.can_stop


def places(origins: Sequence[Origin]) -> list[tuple[str, int]]:
    return [(each.topic, each.offset) for each in origins]
