"""The order in which a task took its inputs is noted, and followed when they are folded again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from millrace.streams.operators.record import Origin
from millrace.streams.state import input_order
from millrace.streams.state.input_order import InputOrder, Note, Run

TOPICS = ("commands", "events", "labels")
BEGIN = dict.fromkeys(TOPICS, 0)


def read(topic: str, *offsets: int) -> list[Origin]:
    return [Origin(topic, 0, offset, 0, None, None) for offset in offsets]


def places(origins: Iterable[Origin]) -> list[Run]:
    return [(each.topic, each.offset) for each in origins]


def following(*runs: Run, **more: Any) -> InputOrder:
    return InputOrder(BEGIN, [Note(BEGIN, runs)], **more)


class Fold:
    """A task that keeps what it has folded, and writes its order, as an assignment does."""

    def __init__(self, order: InputOrder, begins: dict[str, int] | None = None) -> None:
        self.order = order
        self.next = {**BEGIN, **(begins or {})}
        self.folded: list[Run] = []
        self.notes: list[Note] = []

    def batch(self, arriving: list[Origin]) -> None:
        """Fold what has its turn, and commit."""
        for each in self.order.arrange(arriving):
            self.order.note([each], self.next)
            self.next[each.topic] = each.offset + 1
            self.folded.append((each.topic, each.offset))
        self.notes += self.order.take_notes()


def test_where_nothing_is_noted_records_are_taken_as_they_come() -> None:
    """And their order is noted when they are folded, as runs of one topic."""
    task = Fold(InputOrder(BEGIN))
    arriving = [*read("events", 0, 1), *read("labels", 0), *read("events", 2)]
    assert task.order.arrange(arriving) == arriving
    assert task.order.take_notes() == []
    task.batch(arriving)
    assert task.notes == [Note(BEGIN, [("events", 1), ("labels", 0), ("events", 2)])]


def test_each_batch_has_its_note() -> None:
    """It begins where the one before it has ended."""
    task = Fold(InputOrder(BEGIN))
    task.batch(read("events", 0))
    task.batch(read("events", 1, 2))
    assert task.notes == [
        Note(BEGIN, [("events", 0)]),
        Note(BEGIN | {"events": 1}, [("events", 2)]),
    ]


def test_what_is_noted_is_followed() -> None:
    """Whatever the order in which the records come again; it is not noted a second time."""
    task = Fold(following(("labels", 1), ("events", 2), ("labels", 2)))
    task.batch([*read("events", 0, 1, 2), *read("labels", 0, 1, 2)])
    assert task.folded == [
        *(("labels", 0), ("labels", 1)),
        *(("events", 0), ("events", 1), ("events", 2)),
        ("labels", 2),
    ]
    assert task.order.followed is None
    assert task.notes == []


def test_records_wait_for_their_turn() -> None:
    """Over as many batches as it takes."""
    order = following(("events", 0), ("labels", 0), ("events", 1))
    assert places(order.arrange(read("events", 0, 1))) == [("events", 0)]
    assert order.followed is not None
    assert order.arrange([]) == []
    assert places(order.arrange(read("labels", 0))) == [("labels", 0), ("events", 1)]


def test_part_of_a_run_is_taken() -> None:
    """A run is not waited for as a whole."""
    order = following(("events", 2), ("labels", 0))
    assert places(order.arrange(read("events", 0, 1))) == [("events", 0), ("events", 1)]
    assert order.followed is not None


def test_a_run_whose_beginning_is_in_the_state_is_followed_to_its_end() -> None:
    """The state may end in the middle of one."""
    order = InputOrder({**BEGIN, "events": 2}, [Note(BEGIN, [("events", 2), ("labels", 0)])])
    assert places(order.arrange(read("labels", 0))) == []
    assert places(order.arrange(read("events", 2))) == [("events", 2), ("labels", 0)]


def test_what_comes_behind_the_notes_is_merged_by_time_and_noted() -> None:
    """It has waited, and is taken at once."""
    late, early = Origin("events", 0, 0, 9, None, None), Origin("labels", 0, 1, 5, None, None)
    task = Fold(following(("labels", 0)))
    task.batch([late])
    task.batch([*read("labels", 0), early])
    assert task.folded == [("labels", 0), ("labels", 1), ("events", 0)]
    assert task.notes == [Note(BEGIN | {"labels": 1}, [("labels", 1), ("events", 0)])]
    task.batch(read("events", 1))
    assert task.folded[-1] == ("events", 1)


def test_a_gap_in_the_offsets_ends_no_run() -> None:
    """Transactions' markers take up offsets that are never read."""
    order = following(("events", 4), ("labels", 3))
    arriving = [*read("labels", 3), *read("events", 0, 2, 4)]
    assert places(order.arrange(arriving)) == [
        *(("events", 0), ("events", 2), ("events", 4)),
        ("labels", 3),
    ]


def test_runs_of_records_that_will_not_arrive_are_not_waited_for() -> None:
    """Where a gap was accepted, the records at hand are taken in what is left of the order."""
    runs = [("events", 1), ("labels", 0), ("events", 4), ("labels", 1)]
    order = InputOrder({**BEGIN, "events": 3, "labels": 1}, [Note(BEGIN, runs)])
    arriving = [*read("labels", 1), *read("events", 3, 4)]
    assert places(order.arrange(arriving)) == [("events", 3), ("events", 4), ("labels", 1)]
    assert order.followed is None


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param([("elsewhere", 7), ("labels", 0)], id="of a topic that is not read any more"),
        pytest.param([("events", 9), ("labels", 0)], id="of records that were truncated"),
        pytest.param([("events", 1), ("labels", 0), ("events", 0)], id="put back by somebody"),
    ],
)
def test_nothing_waits_for_what_cannot_come(lost: list[Run]) -> None:
    """The other inputs go on."""
    order = following(*lost, ends={"events": 2, "labels": 1, "commands": 0})
    taken = [*order.arrange(read("labels", 0)), *order.arrange(read("events", 0, 1))]
    assert sorted(places(taken)) == [("events", 0), ("events", 1), ("labels", 0)]
    assert order.followed is None


def test_a_record_that_is_gone_ends_its_run() -> None:
    """What comes behind it says so."""
    order = following(("events", 1), ("labels", 0), ("events", 3))
    assert order.arrange([*read("labels", 0), *read("events", 0)]) == read("events", 0)
    arranged = order.arrange(read("events", 2, 3))
    assert places(arranged) == [("labels", 0), ("events", 2), ("events", 3)]


def test_what_was_taken_before_anything_was_noted_is_taken_as_it_comes() -> None:
    """As earlier releases did; it comes before what is noted, and it is said that it did."""
    known = {"commands": 1, "events": 3, "labels": 2}
    task = Fold(InputOrder(BEGIN, [Note(known, [("labels", 2), ("events", 3)])], folded=BEGIN))
    with capture_logs() as logs:
        task.batch([*read("events", 0, 1, 2, 3), *read("labels", 0)])
        assert task.folded == [("events", 0), ("events", 1), ("events", 2), ("labels", 0)]
        task.batch([*read("labels", 1, 2), *read("commands", 0)])
    assert sorted(task.folded[4:6]) == [("commands", 0), ("labels", 1)]
    assert task.folded[6:] == [("labels", 2), ("events", 3)]
    assert task.notes == []
    (said,) = logs
    assert said["log_level"] == "warning"
    assert (said["topics"], said["partition"]) == (["events", "labels"], 0)


def test_what_was_taken_between_two_notes_is_taken_between_them() -> None:
    """An earlier release has run for a while."""
    later = Note({**BEGIN, "events": 2}, [("labels", 0), ("events", 2)])
    task = Fold(InputOrder(BEGIN, [Note(BEGIN, [("events", 0)]), later], folded=BEGIN))
    task.batch([*read("labels", 0), *read("events", 0, 1, 2)])
    assert task.folded == [("events", 0), ("events", 1), ("labels", 0), ("events", 2)]
    assert task.notes == []


def test_what_was_folded_before_without_a_note_is_noted_now() -> None:
    """From now on it has an order; that it had another one, perhaps, is said."""
    task = Fold(InputOrder(BEGIN, folded={"events": 2, "labels": 1}))
    with capture_logs() as logs:
        task.batch([*read("events", 0), *read("labels", 0), *read("events", 1, 2)])
        task.batch(read("labels", 1))
    second, later = task.notes
    assert second == Note(BEGIN, [("events", 0), ("labels", 0), ("events", 2)], is_second=True)
    assert not later.is_second
    assert [each["topics"] for each in logs] == [["events", "labels"]]


def test_of_one_topic_the_order_is_always_known() -> None:
    """Then there is nothing to say."""
    task = Fold(InputOrder(BEGIN, folded={"events": 2}))
    with capture_logs() as logs:
        task.batch(read("events", 0, 1))
        task.batch(read("labels", 0))
    assert logs == []
    assert [each.is_second for each in task.notes] == [True, False]


def test_what_an_earlier_release_has_noted_is_kept_with_the_first_batch() -> None:
    """It was beside the state, and goes with the next save."""
    earlier = Note({**BEGIN, "events": 5}, [("labels", 0), ("events", 6)])
    task = Fold(InputOrder(earlier.begins, unkept=earlier), {"events": 5})
    task.batch([*read("events", 5, 6, 7), *read("labels", 0)])
    assert task.folded[:3] == [("labels", 0), ("events", 5), ("events", 6)]
    assert task.notes == [earlier, Note({**BEGIN, "events": 7, "labels": 1}, [("events", 7)])]
    task.batch(read("events", 8))
    assert task.notes[2:] == [Note({**BEGIN, "events": 8, "labels": 1}, [("events", 8)])]


def test_what_is_read_twice_is_noted_once() -> None:
    """After a rebalance in the middle of a batch, records come again."""
    order = following(("events", 1), ("labels", 0))
    twice = [*read("events", 0, 1), *read("events", 0, 1)]
    assert {*places([*order.arrange(twice), *order.arrange(read("labels", 0))])} == {
        *(("events", 0), ("events", 1), ("labels", 0))
    }
    assert order.followed is None


def test_notes_are_read_as_they_are_followed() -> None:
    """There may be more of them than there is memory."""
    taken = []

    def notes() -> Iterator[Note]:
        for number in range(100):
            taken.append(number)
            yield Note(BEGIN, [("events", number)])

    order = InputOrder(BEGIN, notes())
    order.arrange(read("events", 0, 1))
    assert len(taken) == 3


def test_a_topic_that_is_far_ahead_is_to_be_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until most of what waits has had its turn: so memory is bounded."""
    monkeypatch.setattr(input_order, "_MOST_WAITING", 4)
    monkeypatch.setattr(input_order, "_FEW_WAITING", 2)
    order = following(("events", 0), ("labels", 1), ("events", 1), ("labels", 2), ("events", 2))
    order.arrange(read("labels", 0, 1, 2, 3))
    assert order.ahead == set()
    order.arrange(read("labels", 4))
    assert order.ahead == {"labels"}
    order.arrange(read("events", 0))
    assert order.ahead == {"labels"}
    order.arrange(read("events", 1))
    assert order.ahead == set()


topics = st.lists(st.sampled_from(TOPICS), max_size=40)


@given(topics, st.data())
def test_records_are_taken_again_in_the_same_order(drawn: list[str], data: st.DataObject) -> None:
    """However they were interleaved, cut into batches and killed, wherever state goes up to."""
    arriving = interleaved(drawn)
    first = Fold(InputOrder(BEGIN))
    for batch in cut(arriving, data):
        first.batch(batch)

    kept = data.draw(st.integers(0, len(first.folded)), label="covered by the state")
    begins = {**BEGIN}
    for topic, offset in first.folded[:kept]:
        begins[topic] = offset + 1
    needed = [note for note in first.notes if any(begins[t] <= last for t, last in note.runs)]
    more = data.draw(st.integers(0, len(first.notes) - len(needed)), label="notes before")
    notes = first.notes[len(first.notes) - len(needed) - more :]
    again = Fold(InputOrder(begins, iter(notes), folded=first.next), begins)
    by_topic = data.draw(st.permutations(TOPICS))
    queue = [each for topic in by_topic for each in arriving if each.topic == topic]
    with capture_logs() as logs:
        for batch in cut([o for o in queue if o.offset >= begins[o.topic]], data):
            again.batch(batch)

    assert first.folded[:kept] + again.folded == first.folded
    assert again.notes == logs == []


@given(topics, st.data())
def test_workers_that_are_killed_again_and_again_agree(
    drawn: list[str], data: st.DataObject
) -> None:
    """Each takes over what was committed, follows it from the beginning, and goes on."""
    arriving = interleaved(drawn)
    notes: list[Note] = []
    before: list[Run] = []
    for _ in range(data.draw(st.integers(1, 4))):
        task = Fold(InputOrder(BEGIN, iter(notes)))
        by_topic = data.draw(st.permutations(TOPICS))
        queue = [o for topic in by_topic for o in arriving if o.topic == topic]
        batches = cut(queue, data)
        for batch in batches[: data.draw(st.integers(0, len(batches)))]:
            task.batch(batch)  # and the rest is polled, or folded, and aborted
        common = min(len(before), len(task.folded))
        assert task.folded[:common] == before[:common]
        if len(task.folded) > len(before):
            before = task.folded
        notes = [*notes, *task.notes]


def interleaved(topics: list[str]) -> list[Origin]:
    offsets, arriving = {**BEGIN}, []
    for topic in topics:
        arriving += read(topic, offsets[topic])
        offsets[topic] += 1
    return arriving


def cut(origins: list[Origin], data: st.DataObject) -> list[list[Origin]]:
    places = sorted(data.draw(st.sets(st.integers(0, len(origins)), max_size=4)))
    bounds = [0, *places, len(origins)]
    return [origins[a:b] for a, b in pairwise(bounds)]
