"""A task passes records through its operators, and returns what topics have to carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import CommandError
from millrace.schemas.records import AcceptedCommand, Prediction
from millrace.streams.operators.audit import Cause, audited
from millrace.streams.operators.base import RecordOperator, Topics
from millrace.streams.operators.columns import Made, PredictionColumns
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import (
    AcceptedRecord,
    AuditRecord,
    Origin,
    PredictionRecord,
    Record,
)
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import INTERNAL

Make = Callable[..., Any]


class Step(RecordOperator):
    """Writes to its topics for each record that it reads, and adds its name to the path."""

    def __init__(self, pipeline: Pipeline, name: str, reads: str, *writes: str) -> None:
        self.seen: KeyedState[object] = KeyedState()
        super().__init__(pipeline, Topics(frozenset({reads}), frozenset(writes)), seen=self.seen)
        self.name = name  # type: ignore[misc]
        self._writes = writes

    @classmethod
    def topics_in(cls, agent: object) -> Topics:
        raise NotImplementedError

    @classmethod
    def make(cls, context: object) -> Step:
        raise NotImplementedError

    def process(self, record: Record) -> Iterable[Record]:
        self.seen[str(len(self.seen))] = path_of(record)
        self.tally[self.name, record.topic] += 1
        return [made(each, [*path_of(record), self.name], record.origin) for each in self._writes]


def made(topic: str, path: list[Any], origin: Origin) -> Record:
    kind = PredictionRecord if topic == "predictions" else Record
    return kind({"path": path}, origin, topic)  # type: ignore[arg-type]


def path_of(record: Record) -> list[Any]:
    return record.value["path"]  # type: ignore[return-value]


@pytest.fixture
def at() -> Callable[[str, int], Record]:
    """Make a record of a topic."""
    return lambda topic, i: made(topic, [i], Origin(topic, 0, i, 0, None, None))


@pytest.fixture
def step(make_pipeline: Make) -> Callable[..., Step]:
    """Make an operator that reads one topic and writes others."""
    return partial(Step, make_pipeline())


def paths(records: list[Record]) -> list[tuple[str, list[Any]]]:
    return [(each.topic, path_of(each)) for each in records]


def test_joined_topics_are_not_written(at: Make, step: Make) -> None:
    """What the next operator of the chain reads of a private topic is not published."""
    task = Task([step("a", "events", "clean", "rejects"), step("b", "clean", "features")], int)
    assert paths(task.run(Slice([at("events", 1)]))) == [
        ("rejects", [1, "a"]),
        ("features", [1, "a", "b"]),
    ]


def test_public_topics_are_written_and_read(at: Make, step: Make) -> None:
    """What users read too is published even where an operator of the chain reads it."""
    assert "predictions" not in INTERNAL
    task = Task([step("a", "features", "predictions"), step("b", "predictions", "alerts")], int)
    assert paths(task.run(Slice([at("features", 1)]))) == [
        ("predictions", [1, "a"]),
        ("alerts", [1, "a", "b"]),
    ]


def test_what_others_have_made_is_passed_on(at: Make, step: Make) -> None:
    """A topic of another agent's that the second operator reads reaches it, past the first."""
    task = Task([step("a", "examples", "alerts"), step("b", "predictions", "rejects")], int)
    assert paths(task.run(Slice([at("predictions", 1), at("examples", 2)]))) == [
        ("alerts", [2, "a"]),
        ("rejects", [1, "b"]),
    ]


def test_nested_operators_keep_their_stores(at: Make, step: Make) -> None:
    """An operator that another one calls is not called by the task, but what it keeps counts."""
    outer, inner = step("a", "features", "predictions"), step("b", "features")
    outer.nested = (inner,)
    task = Task([outer], int)
    task.run(Slice([at("features", 1)]))
    assert [name for name, _ in task.stores()] == ["a/seen", "b/seen"]
    assert (len(outer.stores["seen"]), len(inner.stores["seen"])) == (1, 0)
    inner.tally["b", "features"] += 1
    assert task.take_tally() == {("a", "features"): 1, ("b", "features"): 1}


def test_slices_make_no_difference(at: Make, step: Make) -> None:
    """Per topic, the outputs come in the order of the input, in one slice or in many."""

    def run(size: int) -> list[tuple[str, list[Any]]]:
        task = Task(
            [step("a", "events", "clean", "clean", "rejects"), step("b", "clean", "features")],
            int,
        )
        records = [at("events", i) for i in range(12)]
        outputs = [
            each
            for start in range(0, 12, size)
            for each in task.run(Slice(records[start : start + size]))
        ]
        return sorted(paths(outputs), key=lambda each: each[0])

    assert run(1) == run(5) == run(12)


def test_a_topic_that_nobody_reads(at: Make, step: Make) -> None:
    """A record that no operator reads, a dead letter for example, leads to nothing."""
    assert Task([step("a", "events", "clean")], int).run(Slice([at("rejects", 1)])) == []


class Predicting(Step):
    """Makes a prediction of each record that it reads."""

    def process(self, record: Record) -> Iterable[Record]:
        prediction: Prediction = {
            "event_id": str(record.origin.offset),
            "key": None,
            "event_time_ms": 0,
            "prediction_time_ms": 0,
            "value": None,
            "model": "own",
            "model_version": 0,
            "staleness_examples": 0,
            "reasons": None,
            "certainty": None,
            "definition": "",
            "probabilities": {},
            "features": {},
        }
        return [PredictionRecord(prediction, record.origin)]

    def settle(self, made: list[Record]) -> list[Made]:
        values: Any = [each.value for each in made]
        return [PredictionColumns.of(values, [each.origin for each in made])]


def test_predictions_are_stamped_as_they_leave(at: Make, make_pipeline: Make) -> None:
    """The time of a prediction is the clock's."""
    now = iter(range(5_000, 6_000))
    task = Task([Predicting(make_pipeline(), "a", "features", "predictions")], now.__next__)
    for time_ms in (5_000, 5_001):
        made = task.run(Slice([at("features", 1), at("features", 2)]))
        assert [each.value["event_id"] for each in made] == ["1", "2"]
        assert [each.value["prediction_time_ms"] for each in made] == [time_ms, time_ms]


def test_stores_have_full_names(step: Make) -> None:
    """A store is known by its operator and its own name."""
    task = Task([step("a", "events"), step("b", "clean")], int)
    assert [name for name, _ in task.stores()] == ["a/seen", "b/seen"]
    assert [store for _, store in task.stores()] == [each.stores["seen"] for each in task.operators]


def test_tally_is_taken_once(at: Make, step: Make) -> None:
    """The tallies of all operators are added, and begin anew."""
    task = Task([step("a", "events", "clean"), step("b", "clean")], int)
    task.run(Slice([at("events", 1), at("events", 2)]))
    assert task.take_tally() == {("a", "events"): 2, ("b", "clean"): 2}
    assert task.take_tally() == {}


def command(number: int, name: str = "pause") -> AcceptedRecord:
    value: AcceptedCommand = {
        "number": number,
        "id": f"c{number}",
        "command": name,
        "arguments": {},
        "who": "anna",
        "why": "",
    }
    return AcceptedRecord(value, Origin("clean", 0, number, 0, None, None))


class Obedient(Step):
    """Notes the command in what it has seen."""

    def apply(self, command: AcceptedRecord) -> list[AuditRecord]:
        self.seen[str(len(self.seen))] = command.value["number"]
        return [audited(Cause.of(command), "learning", command.value["command"])]


@pytest.fixture
def obedient(make_pipeline: Make) -> Obedient:
    """Make an operator that applies commands."""
    return Obedient(make_pipeline(), "learning", "clean", "examples", "audit")


@pytest.mark.parametrize("cut", range(4))
def test_a_command_is_applied_at_its_place(cut: int, obedient: Obedient, at: Make) -> None:
    """What is before it goes through the chain first, wherever the log is cut."""
    task = Task([obedient], int)
    records = [at("clean", 0), command(1), at("clean", 2)]
    made = [*task.run(Slice(records[:cut])), *task.run(Slice(records[cut:]))]
    assert [*obedient.seen.values()] == [[0], 1, [2]]
    examples = [[0, "learning"], command(1).value, [2, "learning"]]
    got = [each.value for each in made if each.topic == "examples"]
    assert [each.get("path", each) for each in got] == examples


def test_a_command_is_applied_once(obedient: Obedient) -> None:
    """A command that is read again is passed on, and changes nothing."""
    task = Task([obedient], int)
    made = task.run(Slice([command(1), command(1), command(2)]))
    assert [*obedient.seen.values()] == [1, 2]
    assert [each.topic for each in made].count("examples") == 3


def test_a_command_that_changes_nothing_is_told(make_pipeline: Make) -> None:
    """The task says that it has come to its place."""
    task = Task([Step(make_pipeline(), "learning", "clean", "audit")], int)
    (told,) = task.run(Slice([command(1)]))
    assert (told.value["action"], told.value["writer"]) == ("no_effect", "learning")


def test_a_command_passes_agents_that_it_does_not_concern(step: Callable[..., Step]) -> None:
    """It goes on to the topics between agents, once, and to no others."""
    task = Task([step("a", "clean", "features"), step("b", "features", "examples", "alerts")], int)
    made = task.run(Slice([command(1)]))
    assert [(each.topic, each.value) for each in made] == [("examples", command(1).value)]
    assert "audit/trail" not in dict(task.stores())


def test_a_command_that_is_not_known_halts(obedient: Obedient) -> None:
    """It is of a later release, and nothing may be skipped."""
    with pytest.raises(CommandError, match="got 'fly'"):
        Task([obedient], int).run(Slice([command(1, "fly")]))
