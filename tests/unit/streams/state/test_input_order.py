"""The order in which a task took its inputs is recorded, and followed in a replay."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from millrace.streams.operators.record import Origin
from millrace.streams.state.input_order import InputOrder, Run


def read(topic: str, *offsets: int) -> list[Origin]:
    return [Origin(topic, 0, offset, 0, None, None) for offset in offsets]


def places(origins: list[Origin]) -> list[Run]:
    return [(each.topic, each.offset) for each in origins]


def test_without_a_recorded_order_records_are_taken_as_they_come() -> None:
    """And their order is recorded, as runs of one topic."""
    order = InputOrder()
    arriving = [*read("events", 0, 1), *read("labels", 0), *read("events", 2)]
    assert order.arrange(arriving) == arriving
    assert order.take_runs() == [("events", 1), ("labels", 0), ("events", 2)]
    assert order.take_runs() == []


def test_a_run_goes_on_over_batches() -> None:
    """Until it is taken: what follows begins another."""
    order = InputOrder()
    order.arrange(read("events", 0))
    order.arrange(read("events", 1))
    assert order.take_runs() == [("events", 1)]
    order.arrange(read("events", 2))
    assert order.take_runs() == [("events", 2)]


def test_a_recorded_order_is_followed() -> None:
    """Whatever the order in which the records come again."""
    order = InputOrder([("labels", 1), ("events", 2), ("labels", 2)])
    arriving = [*read("events", 0, 1, 2), *read("labels", 0, 1, 2)]
    assert places(order.arrange(arriving)) == [
        *(("labels", 0), ("labels", 1)),
        *(("events", 0), ("events", 1), ("events", 2)),
        ("labels", 2),
    ]
    assert order.runs_to_follow() == []
    assert order.take_runs() == []


def test_records_wait_for_their_turn() -> None:
    """Over as many batches as it takes."""
    order = InputOrder([("events", 0), ("labels", 0), ("events", 1)])
    assert places(order.arrange(read("events", 0, 1))) == [("events", 0)]
    assert order.runs_to_follow() == [("labels", 0), ("events", 1)]
    assert order.arrange([]) == []
    assert places(order.arrange(read("labels", 0))) == [("labels", 0), ("events", 1)]


def test_part_of_a_run_is_taken() -> None:
    """A run is not waited for as a whole."""
    order = InputOrder([("events", 2), ("labels", 0)])
    assert places(order.arrange(read("events", 0, 1))) == [("events", 0), ("events", 1)]
    assert order.runs_to_follow() == [("events", 2), ("labels", 0)]


def test_a_run_whose_beginning_is_in_the_state_is_followed_to_its_end() -> None:
    """The state may end in the middle of one."""
    order = InputOrder([("events", 2), ("labels", 0)])
    assert places(order.arrange(read("events", 2))) == [("events", 2)]
    assert places(order.arrange(read("labels", 0))) == [("labels", 0)]


def test_behind_the_recorded_order_the_rest_is_recorded() -> None:
    """What has waited is taken at once, topic by topic, and so it is written down."""
    order = InputOrder([("labels", 0)])
    order.arrange(read("events", 0, 1))
    arranged = order.arrange(read("labels", 0, 1))
    assert places(arranged) == [("labels", 0), ("events", 0), ("events", 1), ("labels", 1)]
    assert order.take_runs() == [("events", 1), ("labels", 1)]
    assert order.arrange(read("events", 2)) == read("events", 2)


def test_a_gap_in_the_offsets_ends_no_run() -> None:
    """Transactions' markers take up offsets that are never read."""
    order = InputOrder([("events", 4), ("labels", 3)])
    arriving = [*read("labels", 3), *read("events", 0, 2, 4)]
    assert places(order.arrange(arriving)) == [
        *(("events", 0), ("events", 2), ("events", 4)),
        ("labels", 3),
    ]


@given(st.lists(st.sampled_from(["events", "labels"]), max_size=30), st.data())
def test_a_replay_takes_records_in_the_same_order(topics: list[str], data: st.DataObject) -> None:
    """However they were interleaved, cut into batches, and however they come again."""
    offsets = dict.fromkeys(["events", "labels"], 0)
    arriving = []
    for topic in topics:
        arriving += read(topic, offsets[topic])
        offsets[topic] += 1
    first = InputOrder()
    taken = []
    for batch in cut(arriving, data):
        taken += first.arrange(batch)

    replay = InputOrder(first.take_runs())
    again = data.draw(st.permutations(["events", "labels"]))
    by_topic = [each for topic in again for each in arriving if each.topic == topic]
    repeated = [each for batch in cut(by_topic, data) for each in replay.arrange(batch)]

    assert repeated == taken


def cut(origins: list[Origin], data: st.DataObject) -> list[list[Origin]]:
    places = sorted(data.draw(st.sets(st.integers(0, len(origins)), max_size=4)))
    bounds = [0, *places, len(origins)]
    return [origins[a:b] for a, b in pairwise(bounds)]


def test_runs_of_records_that_will_not_arrive_are_not_waited_for() -> None:
    """Where a gap was accepted, the records at hand are taken in what is left of the order."""
    recorded = [("events", 1), ("labels", 0), ("events", 4), ("labels", 1)]
    order = InputOrder(recorded, begins={"events": 3, "labels": 1})
    arriving = [*read("labels", 1), *read("events", 3, 4)]
    assert places(order.arrange(arriving)) == [("events", 3), ("events", 4), ("labels", 1)]
    assert order.runs_to_follow() == []
