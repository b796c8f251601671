"""Wherever a log is cut, and whichever records are taken together, the fold is the same."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from river import base, drift, linear_model, preprocessing

from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.schemas.records import FeatureVector, Label
from millrace.streams.formats.json import to_json
from millrace.streams.operators.label_join import LabelJoin
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import LabelRecord, Record, VectorRecord
from millrace.streams.operators.runs import Run
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from tests.chaos.likeness import difference, entries_of

Make = Callable[..., Any]
LENGTH = 700
SEEDS = (*range(60), 401)  # 401: a slice of labels, for events at which a candidate was silent
CLASSES = {"binary": (True, False), "multiclass": ("sky", "grass", "path", "brick")}


class Moody(base.Classifier):
    """Predicts the newest label; raises, or answers what is no class, where features say so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.newest: Any = None
        self.learned = 0

    @property
    def _multiclass(self) -> bool:
        return True

    def _obey(self, x: dict[str, Any], doing: str) -> None:
        if x["mood"] == f"{self.name} raises {doing}":
            raise ValueError(x["mood"])

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self.learned += 1
        self._obey(x, "learning")
        self.newest = y

    def predict_one(self, x: dict[str, Any]) -> Any:
        self._obey(x, "predicting")
        return None if x["mood"] == f"{self.name} is silent" else self.newest


class Wandering(base.Regressor):
    """Predicts the mean of what it has learned; raises, or answers NaN, where features say so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0.0
        self.learned = 0

    def learn_one(self, x: dict[str, Any], y: float) -> None:
        self.learned += 1
        if x["mood"] == f"{self.name} raises learning":
            raise ValueError(x["mood"])
        self.total += y

    def predict_one(self, x: dict[str, Any]) -> float:  # type: ignore[override]
        if x["mood"] == f"{self.name} raises predicting":
            raise ValueError(x["mood"])
        if x["mood"] == f"{self.name} is silent":
            return float("nan")
        return self.total / max(self.learned, 1)


def linear(task: str) -> Callable[[], Any]:
    model = linear_model.LinearRegression if task == "regression" else linear_model.Perceptron
    return lambda: preprocessing.StandardScaler() | model()


def sensitive() -> Any:
    return drift.PageHinkley(min_instances=5, threshold=2.0)


@pytest.fixture
def made_of(make_pipeline: Make) -> Callable[[random.Random], Pipeline]:
    """Draw a definition."""

    def draw(rng: random.Random) -> Pipeline:
        task = rng.choice(["binary", "multiclass", "regression"])
        own: Any = Wandering if task == "regression" else Moody
        models: dict[str, Any] = {"own": lambda: own("own")}
        if rng.random() < 0.6:
            models |= {"other": lambda: own("other")}
        if rng.random() < 0.3 and task != "multiclass":
            models |= {"linear": linear(task)}
        return make_pipeline(
            task,
            models=models,
            scope=rng.choice(["global", "partition"]),
            key="id",
            pending=Pending(
                ttl=timedelta(seconds=rng.choice([20, 100_000])), limit=rng.choice([20, 100_000])
            ),
            drift=DriftSettings(
                loss=rng.choice([sensitive, "adwin"]),
                policy=rng.choice(["alert", "reset", "replace"]),
                cooldown=20,
                replacement_after=30,
            ),
            on_invalid_prediction=rng.choice(["alert", "reset", "replace"]),
            max_classes=rng.choice([2, 1_000]),
        )

    return draw


def moods(rng: random.Random, ordinary: int) -> Iterator[str]:
    """Yield moods: good ones mostly, and bad ones that last for a while."""
    bad = [
        f"{name} {what}"
        for name in ("own", "other")
        for what in ("raises predicting", "raises learning", "is silent")
    ]
    while True:
        yield from ["good"] * rng.choice([1, 20, 100]) * ordinary
        yield from [rng.choice(bad)] * rng.choice([1, 1, 2, 30])


def drawn(rng: random.Random, pipeline: Pipeline, make_origin: Make) -> list[Record]:
    """Draw events and labels: inside, delayed, early, twice, never; in time, late, far ahead."""
    records: list[Record] = []
    ordinary = rng.choice([1, 10])  # what is odd comes so seldom
    mood, labels = moods(rng, ordinary), list[tuple[int, str, Any]]()
    inside, delay = rng.choice([0.0, 0.5, 1.0]), rng.choice([0, 5, 100])

    def put(kind: type[Record], value: Any) -> None:
        records.append(kind(value, make_origin(topic="features", offset=len(records)), "features"))

    for i in range(LENGTH):
        x = {"a": rng.gauss(i // 300, 1.0), "b": rng.random(), "mood": next(mood)}
        truth: Any = x["a"] + x["b"]
        if pipeline.task != "regression":
            classes = CLASSES[pipeline.task]
            truth = classes[int(truth * 2) % len(classes)] if rng.random() < 0.9 else classes[0]
        event_id = f"e{i if rng.random() < 1 - 0.02 / ordinary else i - rng.choice([1, 20])}"
        time_ms = i * 1_000 + rng.choice([0] * 50 * ordinary + [-9_000, 9_000, 90_000])
        label = truth if rng.random() < inside else None
        put(
            VectorRecord,
            FeatureVector(
                event_id=event_id, key=event_id, event_time_ms=time_ms, label=label, features=x
            ),
        )
        if label is None and rng.random() < 0.95:
            labels.append(
                (i + delay + rng.choice([0] * 30 * ordinary + [-200, 50]), event_id, truth)
            )
        for due in sorted(each for each in labels if each[0] <= i):
            labels.remove(due)
            given = Label(event_id=due[1], label=due[2], label_time_ms=None, key=due[1])
            for _ in range(rng.choice([1] * 30 * ordinary + [2])):
                put(LabelRecord, given)
    return records


def cuts(rng: random.Random, length: int) -> list[int]:
    """Draw the lengths of slices."""
    most, found = rng.choice([30, 200, length]), list[int]()
    while sum(found) < length:
        found.append(rng.randint(1, most))
    return found


def folded(pipeline: Pipeline, records: list[Record], sizes: list[int]) -> tuple[Any, ...]:
    """Fold records in slices; return what is written by topic, counted, and kept."""
    models = ScopedModels(pipeline)
    learning = LearningOperator(pipeline, models)
    operator = PredictionOperator(
        pipeline, models, learning, lambda _: pytest.fail("there are no snapshots")
    )
    written: defaultdict[str, list[str]] = defaultdict(list)
    at = 0
    for size in sizes:
        for each in operator.run(Slice(records[at : at + size])):
            written[each.topic].append(to_json(each.value))
        at += size
    stores = operator.stores | learning.stores
    kept = {name: entries_of(store) for name, store in stores.items()}
    return dict(written), operator.tally + learning.tally, kept


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many records each run has."""
    sizes: list[int] = []
    take_run = LabelJoin.take_run

    def note(join: LabelJoin, run: Run) -> None:
        sizes.append(len(run.steps))
        take_run(join, run)

    monkeypatch.setattr(LabelJoin, "take_run", note)
    return sizes


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slice_is_what_its_records_are_one_by_one(
    seed: int, made_of: Any, make_origin: Make, taken: list[int]
) -> None:
    """Outputs by topic, their order, counts and state are the same wherever the log is cut."""
    rng = random.Random(seed)
    pipeline = made_of(rng)
    records = drawn(rng, pipeline, make_origin)
    written, tally, kept = folded(pipeline, records, [1] * len(records))
    assert taken == []
    found, counted, state = folded(pipeline, records, cuts(rng, len(records)))
    assert found.keys() == written.keys()
    for topic, expected in written.items():
        assert found[topic] == expected, topic
    assert counted == tally
    for name, store in kept.items():
        assert difference(store, state[name]) is None, name


def test_the_streams_are_worth_it(made_of: Any, make_origin: Make, taken: list[int]) -> None:
    """They lead to all that can happen, and many records are in runs."""
    tallies, records_in_all = set[tuple[str, str]](), 0
    actions = set[str]()
    for seed in SEEDS:
        rng = random.Random(seed)
        pipeline = made_of(rng)
        records = drawn(rng, pipeline, make_origin)
        records_in_all += len(records)
        written, tally, _ = folded(pipeline, records, cuts(rng, len(records)))
        tallies |= tally.keys()
        actions |= {
            each.split('"action": "')[1].split('"')[0] for each in written.get("alerts", [])
        }
    fates = {which for what, which in tallies if what == "label"}
    assert fates >= {"joined", "early", "late", "duplicate", "unknown_class", "orphan"}
    assert {which for what, which in tallies if what == "expired"} == {"ttl", "limit"}
    reasons = {which for what, which in tallies if what in ("rejected_event", "rejected_label")}
    assert reasons >= {"predict_error", "learn_error", "invalid_prediction", "duplicate_event"}
    assert actions == {"alert", "reset", "replace"}
    assert sum(taken) > records_in_all / 8
