"""Factories of pipelines, records and operators, and what stands in for Kafka between them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from river import anomaly, linear_model, naive_bayes, preprocessing

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import FeatureVector, Label
from millrace.streams.operators.base import Operator
from millrace.streams.operators.keyed_state import Change
from millrace.streams.operators.record import LabelRecord, Origin, Record, VectorRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.state import snapshot

NOW_MS = 1_700_000_000_000
KEY = b"a key for tests"

LABEL_TYPES: Mapping[str, Any] = {
    "binary": ["null", "boolean"],
    "multiclass": ["null", "string"],
    "regression": ["null", "double"],
    "anomaly": ["null", "boolean"],
}
MODELS: Mapping[str, Callable[[], Any]] = {
    "binary": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "multiclass": naive_bayes.GaussianNB,
    "regression": lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(),
    "anomaly": lambda: anomaly.HalfSpaceTrees(n_trees=3, height=4, window_size=20, seed=42),
}


def _avro(name: str = "Loan", /, **fields: Any) -> dict[str, Any]:
    declared = [
        {"name": field, "type": each[0], "default": each[1]}
        if isinstance(each, tuple)
        else {"name": field, "type": each}
        for field, each in fields.items()
    ]
    return {"type": "record", "name": name, "fields": declared}


def _pipeline(task: str = "binary", /, **changes: Any) -> Pipeline:
    defaults: dict[str, Any] = {
        "name": "p",
        "schema": _avro(id="string", a="double", b="double", y=LABEL_TYPES[task]),
        "event_id": "id",
        "task": task,
        "label": "y",
        "models": {"own": MODELS[task]},
    }
    return Pipeline(**(defaults | changes))


def _origin(value: bytes | None = None, /, **changes: Any) -> Origin:
    defaults: dict[str, Any] = {
        "topic": "events",
        "partition": 0,
        "offset": 0,
        "timestamp_ms": NOW_MS,
        "key": None,
    }
    return Origin(value=value, **(defaults | changes))


def _vector(event_id: str, time_ms: int = NOW_MS, /, **features: Any) -> Record:
    value = FeatureVector(
        event_id=event_id,
        key=features.pop("key", None),
        event_time_ms=time_ms,
        label=features.pop("label", None),
        features=features or {"a": 1.0},
    )
    return VectorRecord(value, _origin(topic="features"))


def _label(event_id: str, label: Any, /, **changes: Any) -> Record:
    value = Label(event_id=event_id, label=label, label_time_ms=None, key=None, source="labels")
    value.update(changes)  # type: ignore[typeddict-item]
    return LabelRecord(value, _origin(topic="features"), "features")


def _rows(task: str, count: int, /, seed: int = 1, flip_at: int | None = None) -> list[Any]:
    """Return features and labels; what they have to do with each other turns over at `flip_at`."""
    rng = random.Random(seed)
    made = []
    for i in range(count):
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(5, 3)}
        signal = x["a"] + 0.2 * (x["b"] - 5) + rng.gauss(0, 0.3)
        if flip_at is not None and i >= flip_at:
            signal = -signal
        label: Any = {
            "binary": signal > 0,
            "multiclass": "low" if signal < -0.5 else "high" if signal > 0.5 else "middle",
            "regression": signal,
            "anomaly": abs(signal) > 1.5,
        }[task]
        made.append((x, label))
    return made


def _move(old: Operator, new: Operator, log: dict[tuple[str, str], Change]) -> Operator:
    """Save the changes of one operator to a compacted log, and give what is there to another."""
    for name, store in old.stores.items():
        for change in store.take_changes():
            if change.value is None:
                log.pop((name, change.key), None)
            else:
                saved = snapshot.dump(change.value, KEY)
                log[name, change.key] = change._replace(value=saved)
    for name, store in new.stores.items():
        store.restore([_loaded(change) for (owner, _), change in log.items() if owner == name])
    return new


def _loaded(change: Change) -> Change:
    assert isinstance(change.value, bytes)
    modules = ["millrace.streams.operators", "tests"]
    return change._replace(value=snapshot.load(change.value, KEY, modules))


def _fold(operator: Operator, records: Iterable[Record]) -> list[Record]:
    return operator.run(Slice([*records]))


@pytest.fixture(scope="session")
def avro() -> Callable[..., dict[str, Any]]:
    """Make a record schema: a field is a type, or a type with its default."""
    return _avro


@pytest.fixture(scope="session")
def make_pipeline() -> Callable[..., Pipeline]:
    """Make a pipeline for a task: features a and b, label y."""
    return _pipeline


@pytest.fixture(scope="session")
def make_origin() -> Callable[..., Origin]:
    """Make a Kafka record as it was read."""
    return _origin


@pytest.fixture(scope="session")
def make_vector() -> Callable[..., Record]:
    """Make a feature vector from an id, an event time and features (and `key`, `label`)."""
    return _vector


@pytest.fixture(scope="session")
def make_label() -> Callable[..., Record]:
    """Make a label as the prediction operator meets it."""
    return _label


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[Any]]:
    """Make features with labels that follow from them."""
    return _rows


@pytest.fixture(scope="session")
def fold() -> Callable[[Operator, Iterable[Record]], list[Record]]:
    """Pass records through an operator."""
    return _fold


@pytest.fixture(scope="session")
def move() -> Callable[..., Operator]:
    """Carry an operator's state over a log to a fresh one, pickled and compacted."""
    return _move
