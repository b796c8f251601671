"""Blocks of events are those of the records one by one, wherever a log is cut."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from river import linear_model, naive_bayes, preprocessing

from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.label_default import LabelDefault
from millrace.streams.formats.json import to_json
from millrace.streams.operators import event_blocks
from millrace.streams.operators.label_join import LabelJoin
from millrace.streams.operators.record import LabelRecord, Record, VectorRecord
from millrace.streams.operators.runs import Run
from millrace.streams.topology.task import Task
from tests.unit.streams.operators.commanding import Control, Log, folded, kept, make_task

Make = Callable[..., Any]
BEGIN_MS, MINUTE_MS = 1_700_000_000_000, 60_000
EVENTS = 650
SEEDS = range(6)
DELAYS: dict[str, list[int]] = {  # of labels that come by themselves, in events
    "inside": [],
    "soon": [20],
    "apart": [0, 1, 5, 40],
    "mixed": [0, 30],
    "late": [0, 300],
    "silence": [0, 5, 150],
}


class Silent(linear_model.Perceptron):  # type: ignore[misc]  # River has no types
    """Says nothing of some events."""

    def predict_one(self, x: dict[str, Any]) -> bool | None:
        return None if x["b"] > 9 else super().predict_one(x)


def scaled(model: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: preprocessing.StandardScaler() | model()


MODELS: dict[str, dict[str, Any]] = {
    "binary": {
        "scaled": scaled(linear_model.LogisticRegression),
        "bayes": naive_bayes.GaussianNB,
        "silent": Silent,
    },
    "regression": {
        "scaled": scaled(linear_model.LinearRegression),
        "passive": linear_model.PARegressor,
        "other": lambda: linear_model.PARegressor(mode=2),
    },
}


class Case(NamedTuple):
    """A log, and what happens before some of its records: a promotion, or a deploy."""

    pipeline: Pipeline
    records: list[Record]
    changes: dict[int, str | Pipeline]


class Course:
    """A task that is fed slices of a log."""

    def __init__(self, case: Case) -> None:
        self.task, self._pipeline = make_task(case.pipeline), case.pipeline
        self._control, self._deploys = Control(case.pipeline), 0
        self._log = Log()
        self.evaluations: list[tuple[int, str]] = []

    def take(self, records: Sequence[Record], change: str | Pipeline | None = None) -> None:
        """Take records, before which a change comes."""
        if isinstance(change, Pipeline):
            self._deploys += 1
            heir = self._empty(change)
            heir.inherit(self.task, self._control.deploy(change))
            self.task, self._pipeline = heir, change
        elif change is not None and change != self._control.in_force.champion:
            records = [self._control.accept("promote", model=change), *records]
        for each in folded(self.task, records):
            if each.topic == "evaluations":
                self.evaluations.append((each.origin.offset, to_json(each.value)))

    def restart(self) -> None:
        """Go on from what is saved."""
        self._log.save(self.task)
        self.task = self._log.restore(self._empty(self._pipeline))

    def _empty(self, pipeline: Pipeline) -> Task:
        return make_task(pipeline, definition=f"d{self._deploys}" if self._deploys else "")

    @property
    def kept(self) -> dict[str, object]:
        """What is kept of blocks, but where in memory their events wait."""
        found: dict[str, object] = {}
        for name, entries in kept(self.task).items():
            if "blocks" in name:
                found[name] = [(key, {**value, "first_chunk": 0}) for key, value in entries]  # type: ignore[dict-item]
        return found


def drawn(labels: str, rng: random.Random, make_pipeline: Make, make_origin: Make) -> Case:
    """Draw a definition and a log with these labels."""
    task = rng.choice(["binary", "regression"])
    names = rng.sample([*MODELS[task]], rng.choice([1, 2, 3]))
    limit, ttl = rng.choice([40, 10_000, 10_000]), timedelta(hours=rng.choice([3, 90]))
    silence = LabelDefault(False if task == "binary" else 0.0, after=timedelta(hours=2))
    defined: dict[str, Any] = {
        "models": {name: MODELS[task][name] for name in names},
        "pending": Pending(limit=limit, ttl=ttl),
        "label_default": silence if labels == "silence" else None,
    }
    pipeline: Pipeline = make_pipeline(task, **defined)
    records = [
        kind(value, make_origin(topic="features", offset=offset), *more)
        for offset, (kind, value, *more) in enumerate(values(labels, task, rng))
    ]
    changes: dict[int, str | Pipeline] = {}
    for at in rng.sample(range(len(records)), rng.choice([0, 0, 3])):
        changes[at] = rng.choice(names)
    if rng.random() < 0.5:
        more = defined["models"] | {"scaled": scaled(linear_model.Perceptron), "new": Silent}
        if task == "regression":
            more = defined["models"] | {
                "scaled": linear_model.PARegressor,
                "new": scaled(MODELS[task]["other"]),
            }
        changes[rng.randrange(len(records))] = make_pipeline(task, **(defined | {"models": more}))
    return Case(pipeline, records, changes)


def values(labels: str, task: str, rng: random.Random) -> Iterator[tuple[Any, ...]]:
    """Yield events, one a minute, and labels, of which some never come."""
    inside = {"inside": 1.0, "mixed": 0.6}.get(labels, 0.0)
    answered = rng.choice([1.0, 0.95, 0.6])
    stray = rng.choice([[0], [0] * 30 + [-1, 50], [0] * 30 + [4_000]])
    due: list[tuple[int, str, Any]] = []
    for n in range(EVENTS):
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(5, 3)}
        signal = x["a"] + rng.gauss(0, 0.5) if n < EVENTS // 2 else -x["a"]
        label: Any = signal > 0 if task == "binary" else signal
        is_inside = rng.random() < inside
        yield (
            VectorRecord,
            {
                "event_id": f"e{n}",
                "key": None,
                "event_time_ms": BEGIN_MS + (n + rng.choice(stray)) * MINUTE_MS,
                "label": label if is_inside else None,
                "features": x,
            },
        )
        if not is_inside and DELAYS[labels] and rng.random() < answered:
            due.append((n + rng.choice(DELAYS[labels]), f"e{n}", label))
        for each in [each for each in due if each[0] <= n]:
            due.remove(each)
            given = {"event_id": each[1], "label": each[2], "label_time_ms": None, "key": None}
            yield LabelRecord, {**given, "source": "labels"}, "features"


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many events each run has."""
    found: list[int] = []
    take_run = LabelJoin.take_run

    def note(join: LabelJoin, run: Run) -> list[float | None]:
        found.append(len(run.events))
        return take_run(join, run)

    monkeypatch.setattr(LabelJoin, "take_run", note)
    return found


@pytest.fixture(autouse=True)
def _more_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every second block have metrics."""
    monkeypatch.setattr(event_blocks, "METRICS_EVERY", 2)


@pytest.mark.parametrize("labels", DELAYS)
@pytest.mark.parametrize("seed", SEEDS)
def test_slices_restarts_and_changes(
    seed: int, labels: str, make_pipeline: Make, make_origin: Make, lengths: list[int]
) -> None:
    """What is published, with which record, and what is kept are those of record by record."""
    rng = random.Random(f"{labels} {seed}")
    case = drawn(labels, rng, make_pipeline, make_origin)
    one_by_one, cut = Course(case), Course(case)
    for at, record in enumerate(case.records):
        one_by_one.take([record], case.changes.get(at))
    assert lengths == []
    most, at = rng.choice([30, 150, EVENTS]), 0
    while at < len(case.records):
        later = [each for each in (*case.changes, len(case.records)) if each > at]
        end = min(at + rng.randint(1, most), *later)
        cut.take(case.records[at:end], case.changes.get(at))
        at = end
        if rng.random() < 0.2:
            cut.restart()
    assert cut.evaluations == one_by_one.evaluations
    assert cut.kept == one_by_one.kept != {}


def test_the_logs_are_worth_it(make_pipeline: Make, make_origin: Make, lengths: list[int]) -> None:
    """Blocks of each kind of log are published, with metrics; runs go on over their ends."""
    for labels in DELAYS:
        published = with_metrics = 0
        for seed in SEEDS:
            case = drawn(labels, random.Random(f"{labels} {seed}"), make_pipeline, make_origin)
            course = Course(case)
            course.take(case.records)
            published += len(course.evaluations)
            with_metrics += sum('"rolling":' in each for _, each in course.evaluations)
        assert published > 10, labels
        assert with_metrics > 5, labels
    assert sum(each > 150 for each in lengths) > 10
    assert max(lengths) > 600
