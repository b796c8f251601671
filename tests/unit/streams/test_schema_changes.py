"""A schema is changed while events are in flight: none is rejected, and each is read as it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from millrace import Pipeline, fields
from millrace.schemas import AvroType
from millrace.streams.operators.record import Origin, Record
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task

Make = Callable[..., Any]
EVENTS = 20_000
SLICE = 1_000
LABEL = (["null", "boolean"], None)


@pytest.fixture(scope="module")
def before(make_pipeline: Make, avro: Make) -> Pipeline:
    schema = avro(id="string", a="int", gone=("double", 0.0), b="double", y=LABEL)
    return make_pipeline(schema=schema, features=[fields("a", "b")])


@pytest.fixture(scope="module")
def now(make_pipeline: Make, avro: Make, before: Pipeline) -> Pipeline:
    """Give the same with a field added, one removed, one promoted, and one renamed."""
    schema = avro(
        id="string", a=["null", "long"], d="double", c=(["null", "double"], None), y=LABEL
    )
    schema["fields"][2]["aliases"] = ["b"]
    return make_pipeline(
        schema=schema, features=[fields("a", "d", "c")], earlier_schemas=[before.schema]
    )


def task(pipeline: Pipeline, *operators: str) -> Task:
    """Return a task of an agent with these operators."""
    agent = AgentSpec(operators)
    return TaskFactory(pipeline, agent, clean_partitions=1, max_event_bytes=1_000).make()


def run(
    task: Task, codec: TopicCodec, topic: str, values: Sequence[bytes]
) -> tuple[list[Record], list[bytes]]:
    """Pass the values of a topic through a task in slices; return the records, and their bytes."""
    made: list[Record] = []
    for start in range(0, len(values), SLICE):
        origins = [
            Origin(topic, 0, start + place, 2_000_000_000_000, None, value)
            for place, value in enumerate(values[start : start + SLICE])
        ]
        records, undecodable = codec.decode_all(origins)
        assert undecodable == []
        made += task.run(Slice(records))
    return made, [codec.encode(each)[1] for each in made]


def by_turns(made: Sequence[Iterable[bytes]], turns: Iterable[int]) -> list[bytes]:
    """Return what several have made, in the order of their turns."""
    each = [*map(iter, made)]
    return [next(each[turn]) for turn in turns]


def test_twenty_thousand_events_in_flight(before: Pipeline, now: Pipeline) -> None:
    """Agents are switched one after the other, in any order, over records of both schemas."""
    both = [before.event_schema, now.event_schema]
    codecs = [TopicCodec(each, others=both) for each in (before, now)]
    turns = [0 if n % 3 or n % 7 == 0 else 1 for n in range(EVENTS)]
    events: tuple[list[bytes], list[bytes]] = ([], [])
    for n, turn in enumerate(turns):
        old = {"id": f"e{n}", "a": n, "b": n / 4, "gone": 1.0, "y": None}
        new = {"id": f"e{n}", "a": n, "d": n / 4, "c": n / 8}
        in_avro = before.event_schema.accepted.encode(old)  # a producer that is not switched yet
        in_json = json.dumps(old if n % 5 == 0 else new).encode()
        events[turn].append(in_avro if turn == 0 or n % 2 else in_json)
    written = [
        run(task(each, "ingest"), codec, "events", some)[1]
        for each, codec, some in zip((before, now), codecs, events, strict=True)
    ]
    clean = by_turns(written, turns)

    half = EVENTS // 2
    vectors = []
    for pipeline, codec, part in zip(
        (before, now), codecs, (clean[:half], clean[half:]), strict=True
    ):
        made, data = run(task(pipeline, "feature"), codec, "clean", part)
        assert {each.topic for each in made} == {"features"}
        vectors += data
    features = [codecs[1].decode(Origin("features", 0, 0, 0, None, each)).value for each in vectors]
    for n, vector in enumerate(features):
        expected: dict[str, Any] = {"a": n, "b" if n < half else "d": n / 4}
        if n >= half and turns[n] and not n % 2 and n % 5:
            expected["c"] = n / 8
        assert vector["event_id"] == f"e{n}"
        assert vector["features"] == expected
        assert type(vector["features"]["a"]) is int

    predicted = []
    for pipeline, codec, part in zip(
        (before, now), codecs, (vectors[: half // 2], vectors[half // 2 :]), strict=True
    ):
        operators = task(pipeline, "prediction", "learning")
        predicted += run(operators, codec, "features", part)[0]
    found = [each.value["event_id"] for each in predicted if each.topic == "predictions"]
    assert found == [f"e{n}" for n in range(EVENTS)]
    assert {each.topic for each in predicted} == {"predictions"}


def test_a_field_that_is_null_for_the_first_time(before: Pipeline, now: Pipeline) -> None:
    """What a later schema leaves out is no feature of a task that has the schema before."""
    codec = TopicCodec(before, others=[now.event_schema])
    writer = TopicCodec(now)
    values = [json.dumps({"id": f"e{n}", "a": n or None, "d": 0.5}).encode() for n in range(2)]
    _, clean = run(task(now, "ingest"), writer, "events", values)
    _, own = run(
        task(before, "ingest"), codec, "events", [b'{"id": "e2", "a": 2, "b": 1, "gone": 3}']
    )
    made, _ = run(task(before, "feature"), codec, "clean", [clean[0], own[0], clean[1]])
    assert [each.value["features"] for each in made] == [
        {"b": 0.5},
        {"a": 2, "b": 1.0},
        {"a": 1, "b": 0.5},
    ]


def test_vectors_of_another_definition(
    before: Pipeline, make_vector: Make, make_label: Make
) -> None:
    """Features that a task does not know, or that are not there any more, are no fault."""
    vectors = [
        make_vector("e1", a=1, b=0.5),
        make_vector("e2", b=0.5, new=1.5),
        make_vector("e3", new=2.5),
    ]
    operators = task(before, "prediction", "learning")
    made = operators.run(Slice(vectors))
    assert [each.topic for each in made] == ["predictions"] * 3
    assert [each.value["features"] for each in made] == [each.value["features"] for each in vectors]
    made = operators.run(Slice([make_label(f"e{n}", True) for n in (1, 2, 3)]))
    assert {each.topic for each in made} == {"outcomes"}
    assert [each.value["fate"] for each in made] == ["joined"] * 3


def test_a_producer_with_an_earlier_schema(before: Pipeline, now: Pipeline) -> None:
    """Ingest reads single-object encoding of earlier schemas; any other is unknown to it."""
    data = before.event_schema.as_written.encode({"id": "e", "a": 1, "b": 2.0, "y": True})
    codec = TopicCodec(now)
    (made,), _ = run(task(now, "ingest"), codec, "events", [data])
    assert made.topic == "clean"
    assert made.value["fields"] == {"id": "e", "a": 1, "d": 2.0, "c": None}
    assert made.value["label"] is True
    other: AvroType[Any] = AvroType(
        {"type": "record", "name": "Loan", "fields": [{"name": "id", "type": "string"}]}
    )
    (reject,), _ = run(task(now, "ingest"), codec, "events", [other.encode({"id": "e"})])
    assert reject.value["reason"] == "unknown_schema"


def test_the_old_name_of_a_time_in_json(make_pipeline: Make, avro: Make) -> None:
    """A renamed field has its old name in JSON still, and text as its time."""
    moment = {"type": "long", "logicalType": "timestamp-millis"}
    schema = avro(id="string", at=moment, a="double")
    schema["fields"][1]["aliases"] = ["time"]
    own = make_pipeline(schema=schema, label=None, event_time="at")
    values = [
        b'{"id": "e", "time": "2023-11-14T22:13:20Z", "a": 1}',
        b'{"id": "e", "time": 1700000000000, "a": 1}',
        b'{"id": "e", "at": "2023-11-14T22:13:20Z", "time": 7, "a": 1}',
    ]
    made, _ = run(task(own, "ingest"), TopicCodec(own), "events", values)
    assert [each.value.get("event_time_ms") for each in made] == [1_700_000_000_000] * 3
