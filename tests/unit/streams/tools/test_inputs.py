"""What a task of several inputs has read is read in its order, or it is said what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, ExpiredError
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.operators.record import Origin
from millrace.streams.settings import Settings
from millrace.streams.state.input_order import Note, Run
from millrace.streams.tools.inputs import TaskInputs, UnknownOrderError, in_noted_order
from millrace.streams.tools.reproduce import Reproduction, reproduce
from tests.unit.streams.runtime.worker import (
    KEY,
    FakeWorker,
    crash,
    predictions,
    put_events,
    put_label,
    work,
)

TOPICS = ("commands", "events", "labels")
BEGIN = dict.fromkeys(TOPICS, 0)


def read(topic: str, *offsets: int) -> Iterator[Origin]:
    return iter([Origin(topic, 0, offset, 0, None, None, full_topic=topic) for offset in offsets])


def places(origins: Iterator[Origin]) -> list[Run]:
    return [(each.topic, each.offset) for each in origins]


@given(st.lists(st.sampled_from(TOPICS), max_size=40), st.data())
def test_topics_are_merged_as_is_noted(drawn: list[str], data: st.DataObject) -> None:
    """However the order was cut into notes; one that was put back changes nothing."""
    reached, taken, notes, runs = {**BEGIN}, list[Run](), list[Note](), list[Run]()
    begins = {**BEGIN}
    for topic in drawn:
        taken.append((topic, reached[topic]))
        runs.append(taken[-1])
        reached[topic] += 1
        if data.draw(st.booleans()):
            notes.append(Note(begins, runs))
            begins, runs = {**reached}, []
    notes.append(Note(begins, runs))
    for stale in data.draw(st.lists(st.sampled_from(notes), max_size=3)):
        first = notes.index(stale)
        notes.insert(data.draw(st.integers(first + 1, len(notes))), stale)
    topics = {topic: read(topic, *range(end)) for topic, end in reached.items()}
    assert places(in_noted_order(iter(notes), topics)) == taken


def test_of_one_topic_the_order_is_known_without_a_note() -> None:
    """Before, between and behind those that there are."""
    topics = {"events": read("events", 0, 1, 2, 3), "labels": read("labels", 0, 1)}
    notes = [
        Note({"events": 1, "labels": 0}, [("events", 1), ("labels", 0)]),
        Note({"events": 3, "labels": 1}, [("labels", 1)]),
    ]
    assert places(in_noted_order(notes, topics)) == [
        *(("events", 0), ("events", 1), ("labels", 0)),
        *(("events", 2), ("labels", 1), ("events", 3)),
    ]


FIRST = {"events": 0, "labels": 0}


@pytest.mark.parametrize(
    ("notes", "first"),
    [
        pytest.param([], "events[0]@0 and labels[0]@0", id="without notes"),
        pytest.param(
            [Note({"events": 1, "labels": 1}, [])], "events[0]@0 and labels[0]@0", id="before them"
        ),
        pytest.param(
            [Note(FIRST, [("events", 0)]), Note({"events": 2, "labels": 1}, [])],
            "events[0]@1 and labels[0]@0",
            id="between them",
        ),
        pytest.param(
            [Note(FIRST, [("labels", 0)])], "events[0]@0 and labels[0]@1", id="behind them"
        ),
    ],
)
def test_an_order_that_is_not_known_is_an_error(notes: list[Note], first: str) -> None:
    """It says of which records."""
    topics = {"events": read("events", 0, 1), "labels": read("labels", 0, 1)}
    with pytest.raises(UnknownOrderError) as failure:
        places(in_noted_order(notes, topics))
    assert str(failure.value) == f"nothing says which of {first} came first"


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    return make_pipeline()


@pytest.fixture
def worker(pipeline: Pipeline) -> FakeWorker:
    """Return a worker that has folded events and labels as they came, with a crash between."""
    rng, broker = Random(3), FakeBroker()
    for begin in (0, 40):
        worker = FakeWorker(broker, pipeline)
        session = worker.start()
        for number in range(begin, begin + 40):
            put_events(broker, [number], is_labelled=False)
            if rng.random() < 0.7:
                about = max(number - rng.choice([0, 1, 9]), 0)
                put_label(broker, about, about % 3 == 0, 0)
            if rng.random() < 0.4:
                work(session, rng.randint(1, 9))
        while work(session):
            pass
        crash(worker)
    return worker


def again(worker: FakeWorker, pipeline: Pipeline, event_id: str, **more: Any) -> Reproduction:
    settings = Settings(
        **{"broker": "fake", "chain": "full", "state_key": KEY.decode(), "partitions": 1} | more
    )
    return reproduce(worker.clients, pipeline, settings, event_id, lambda *_: None)


def test_predictions_of_two_topics_are_made_again(worker: FakeWorker, pipeline: Pipeline) -> None:
    """Those before and after a worker has crashed."""
    versions = {each["event_id"]: each["model_version"] for each in predictions(worker.broker)}
    assert len(versions) == 80
    for event_id in ("0", "17", "39", "40", "79"):
        result = again(worker, pipeline, event_id)
        assert result.differences == {}
        assert result.again["model_version"] == versions[event_id]


def test_without_the_order_it_is_said_from_when_on_it_is_kept(
    worker: FakeWorker, pipeline: Pipeline
) -> None:
    """And in which topic."""
    broker, topic = worker.broker, f"p.order.{worker.agent.name}"
    broker.expire(topic, broker.topics[topic][0].end)
    with pytest.raises(BrokerError, match=rf"came first\. It is kept .* as {topic} keeps"):
        again(worker, pipeline, "50")


def test_a_chain_that_has_kept_no_order_yet_is_an_error(
    worker: FakeWorker, pipeline: Pipeline
) -> None:
    """An earlier release has left no topic of the order."""
    worker.broker.delete(f"p.order.{worker.agent.name}")
    with pytest.raises(BrokerError, match=r"p\.events\[0\]@0 and p\.labels\[0\]@0 came first"):
        again(worker, pipeline, "50")


def test_an_order_that_was_noted_by_a_rebuild_calls_nothing_different(
    worker: FakeWorker, pipeline: Pipeline
) -> None:
    """The one in which the event was predicted is not known; what came later is made again."""
    broker = worker.broker
    for topic in (f"p.order.{worker.agent.name}", worker.state_topic, "p.models"):
        broker.expire(topic, broker.topics[topic][0].end)
    rebuilding = FakeWorker(broker, pipeline)
    session = rebuilding.connect()
    while work(session, 7):
        pass
    put_events(broker, [90])
    work(session)
    assert again(worker, pipeline, "90").differences == {}
    with pytest.raises(BrokerError, match="event '17' was predicted before it was kept"):
        again(worker, pipeline, "17")


def test_without_a_key_the_order_does_not_count(
    worker: FakeWorker, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the setting."""
    monkeypatch.setattr("millrace.streams.tools.beginnings.state_key_if_any", lambda _: None)
    with pytest.raises(BrokerError, match=r"p\.events and p\.labels is signed.*MILLRACE_STATE_KEY"):
        again(worker, pipeline, "50")


def test_what_is_noted_later_does_not_count(worker: FakeWorker) -> None:
    """A worker goes on meanwhile: what has been read of an input may end before."""
    broker = worker.broker
    inputs = TaskInputs(worker.clients, worker.agent, "p.", 0, key=KEY)
    origins = inputs.in_order()
    session = worker.connect()
    put_label(broker, 1, True, 90)
    put_events(broker, [90, 91])
    while work(session):
        pass
    taken: list[Origin] = []
    with pytest.raises(BrokerError, match="nothing says which"):
        taken.extend(origins)
    ends = sum(broker.topics[topic][0].end for topic in ("p.events", "p.labels"))
    assert len(taken) == inputs.records == ends - 3


def test_the_inputs_are_read_from_given_offsets(worker: FakeWorker) -> None:
    """As an archived state has them; where records behind it have expired, that is an error."""
    whole = [*TaskInputs(worker.clients, worker.agent, "p.", 0, key=KEY).in_order()]
    begins = {"control": 0, "events": 0, "labels": 0}
    for each in whole[:60]:
        begins[each.topic] = each.offset + 1
    worker.broker.expire("p.events", begins["events"])
    rest = TaskInputs(worker.clients, worker.agent, "p.", 0, begins, KEY)
    assert [*rest.in_order()] == whole[60:]
    worker.broker.expire("p.events", begins["events"] + 1)
    with pytest.raises(ExpiredError, match=r"p\.events\[0\] begins at offset"):
        TaskInputs(worker.clients, worker.agent, "p.", 0, begins, KEY)
