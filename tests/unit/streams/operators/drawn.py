"""Definitions and logs that are drawn at random, with all that can happen to events and labels."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from river import base, drift, linear_model, preprocessing

from millrace.models.certainty.conformal import Conformal
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.label_conflicts import LabelConflicts
from millrace.models.pipeline.sources import LabelSource
from millrace.schemas.records import FeatureVector, Label
from millrace.streams.operators.record import LabelRecord, Record, VectorRecord

Make = Callable[..., Any]
LENGTH = 700
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


def drawn_pipeline(
    rng: random.Random, make_pipeline: Make, scopes: Sequence[str] = ("global", "partition")
) -> Pipeline:
    """Draw a definition."""
    apart = random.Random(str(rng.getstate()))  # so that the rest is drawn as before
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
        scope=rng.choice(scopes),
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
        labels=[
            LabelSource("reviews", event_id="id", label="y", key="id", priority=2),
            LabelSource("chargebacks", event_id="id", label="y", key="id"),
        ],
        reasons=apart.choice([0, 2]),
        label_conflicts=apart.choice(
            [None, None, LabelConflicts(within=timedelta(seconds=apart.choice([1, 15])))]
        ),
        certainty=apart.choice(
            [
                None,
                Conformal(coverage=0.8, by_key=apart.random() < 0.2),
                Conformal(method="pi", abstain=task != "regression" and apart.random() < 0.5),
            ]
        ),
    )


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
    apart = random.Random(str(rng.getstate()))
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
            given: Label = {
                "event_id": due[1],
                "label": due[2],
                "label_time_ms": None,
                "key": due[1],
                "source": apart.choice(["labels", "@reviews", "@chargebacks"]),
            }
            for _ in range(rng.choice([1] * 30 * ordinary + [2])):
                put(LabelRecord, given)
    return records


def cuts(rng: random.Random, length: int) -> list[int]:
    """Draw the lengths of slices."""
    most, found = rng.choice([30, 200, length]), list[int]()
    while sum(found) < length:
        found.append(rng.randint(1, most))
    return found
