"""Tasks that predict and learn, and commands for them, as `control` would accept them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import AcceptedCommand
from millrace.streams.control.commands import spec_of
from millrace.streams.control.in_force import InForce
from millrace.streams.formats.json import to_json
from millrace.streams.operators.base import Tally
from millrace.streams.operators.keyed_state import Change
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import (
    AcceptedRecord,
    Origin,
    Record,
    SnapshotRecord,
    TombstoneRecord,
)
from millrace.streams.operators.slice import Slice
from millrace.streams.state import snapshot
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task
from tests.chaos.likeness import entries_of

Written = dict[str, list[str]]
KEY = b"a key for tests"
DAY_MS = 86_400_000


class Control:
    """Accepts commands, one after the other.

    Parameters
    ----------
    pipeline
        The definition.
    topic
        Where what is accepted goes.
    """

    def __init__(self, pipeline: Pipeline, topic: str = "features") -> None:
        self.in_force = InForce(models=tuple(pipeline.models), champion=pipeline.champion)
        self._topic = topic

    def accept(self, name: str, /, **arguments: str) -> AcceptedRecord:
        """Return the record of a command.

        Raises
        ------
        CommandError
            It does not fit what is in force.
        """
        now = replace(self.in_force, time_ms=self.in_force.time_ms + DAY_MS)
        after = spec_of(name).takes(now, arguments)
        number = self.in_force.number + 1
        self.in_force = replace(after, number=number)
        value = AcceptedCommand(
            number=number,
            id=f"c{number}",
            command=name,
            arguments={**arguments, **spec_of(name).tells(self.in_force)},
            who="anna",
            why="a trial",
        )
        origin = Origin(self._topic, 0, 10_000 + number, 0, None, None)
        return AcceptedRecord(value, origin, self._topic)

    def deploy(self, pipeline: Pipeline) -> AcceptedRecord:
        """Return the record of a deploy of this definition."""
        number = self.in_force.number + 1
        history = (*self.in_force.history, (number, f"d{number}"))
        models = tuple(pipeline.models)
        self.in_force = replace(self.in_force, models=models, number=number, history=history)
        value = AcceptedCommand(
            number=number,
            id=f"c{number}",
            command="deploy",
            arguments={"definition": f"d{number}"},
            who="anna",
            why="a trial",
        )
        origin = Origin(self._topic, 0, 10_000 + number, 0, None, None)
        return AcceptedRecord(value, origin, self._topic)


def make_task(pipeline: Pipeline, agent: str = "prediction+learning", **more: Any) -> Task:
    """Return a task of an agent with empty state."""
    spec = AgentSpec(tuple(agent.split("+")))
    return TaskFactory(pipeline, spec, clean_partitions=1, max_event_bytes=10**6, **more).make()


def folded(task: Task, records: Iterable[Record]) -> list[Record]:
    """Pass records through a task as one slice."""
    return task.run(Slice([*records]))


def as_written(records: Iterable[Record]) -> Written:
    """Return records as JSON by topic."""
    written: defaultdict[str, list[str]] = defaultdict(list)
    for each in records:
        written[each.topic].append(to_json(each.value))
    return dict(written)


def kept(task: Task) -> dict[str, list[tuple[str, object]]]:
    """Return what each store keeps."""
    return {name: entries_of(store) for name, store in task.stores()}


def learning_of(task: Task) -> LearningOperator:
    """Return the operator that learns."""
    return next(each for each in task.operators if isinstance(each, LearningOperator))


def prediction_of(task: Task) -> PredictionOperator:
    """Return the operator that predicts."""
    return next(each for each in task.operators if isinstance(each, PredictionOperator))


def load_models(record: SnapshotRecord | TombstoneRecord) -> Mapping[str, ModelSet | None]:
    """Return the models in a record of the topic `models`."""
    assert isinstance(record, SnapshotRecord)
    return {record.value["scope_key"]: snapshot.load(record.value["payload"], KEY)}


class Log:
    """A compacted log of the changes of a task's stores, pickled."""

    def __init__(self) -> None:
        self._changes: dict[str, dict[str, Change]] = defaultdict(dict)

    def save(self, task: Task) -> None:
        """Write what has changed."""
        for name, store in task.stores():
            for change in store.take_changes():  # type: ignore[attr-defined]
                if change.value is None:
                    self._changes[name].pop(change.key, None)
                else:
                    saved = snapshot.dump(change.value, KEY)
                    self._changes[name][change.key] = change._replace(value=saved)

    def restore(self, task: Task) -> Task:
        """Give an empty task what is there."""
        for name, store in task.stores():
            changes = self._changes.get(name, {}).values()
            store.restore([each._replace(value=_loaded(each)) for each in changes])
        return task

    @property
    def sizes(self) -> Mapping[str, int]:
        """Store to its number of entries."""
        return {name: len(each) for name, each in self._changes.items() if each}


def moved(task: Task, to: Task) -> tuple[Task, Tally]:
    """Save a task, restore another one from it, and return that, and what the first counted."""
    log = Log()
    log.save(task)
    return log.restore(to), task.take_tally()


def _loaded(change: Change) -> Any:
    assert isinstance(change.value, bytes)
    return snapshot.load(change.value, KEY, ["tests"])
