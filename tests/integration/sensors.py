"""Sensor readings: the stream and the pipelines of the integration tests.

Workers load this file as their pipeline (`sensors.py:every_sensor`); tests import it for the
readings, the same ones in every run, and for what a River model makes of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from river import base, drift, dummy, naive_bayes

from millrace import (
    DriftSettings,
    LabelConflicts,
    LabelSource,
    Pending,
    Pipeline,
    Source,
    catalogue,
    derived,
    fields,
    rolling,
)

START_MS = 1_750_000_000_000
STEP_MS = 1_000
HOTTER_FROM = 300
"""Number of the reading at which it becomes warmer, so that there is a drift to see."""

SENSORS = tuple(f"s{number}" for number in range(8))
WINDOW = timedelta(minutes=1)
TTL = timedelta(hours=1)

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Reading",
    "namespace": "sensors",
    "fields": [
        {"name": "reading_id", "type": "string"},
        {"name": "sensor", "type": ["null", "string"], "default": None},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "temperature", "type": "double"},
        {"name": "load", "type": "double"},
        {"name": "faulty", "type": ["null", "boolean"], "default": None},
    ],
}

NO_PREDICTION = 666.0
NOT_LEARNED = 555.0


class Fragile(naive_bayes.GaussianNB):
    """A user's model with two weak spots."""

    def predict_proba_one(self, x: dict[str, Any]) -> dict[Any, float]:
        if x["temperature"] == NO_PREDICTION:
            raise ValueError("no prediction")
        answer: dict[Any, float] = super().predict_proba_one(x)
        return answer

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if x["temperature"] == NOT_LEARNED:
            raise ValueError("cannot learn")
        super().learn_one(x, y)


def heat_per_load(reading: Mapping[str, Any]) -> float:
    """Return a feature that a load of 0 has none of."""
    return float(reading["temperature"] / reading["load"])


class Large(naive_bayes.GaussianNB):
    """A model of 20 MB, which no compression makes smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.ballast = random.Random(1).randbytes(20_000_000)


def words(count: int) -> str:
    """Return text of so many characters that compresses badly."""
    return random.Random(1).randbytes(count // 2).hex()


def _pipeline(**own: Any) -> Pipeline:
    defaults: dict[str, Any] = {
        "name": "sensors",
        "schema": SCHEMA,
        "event_id": "reading_id",
        "key": "sensor",
        "event_time": "at",
        "label": "faulty",
        "task": "binary",
        "features": [fields("temperature", "load"), rolling("temperature", "mean", window=WINDOW)],
        "models": {
            "logistic_regression": catalogue.logistic_regression,
            "hoeffding_tree": catalogue.hoeffding_tree,
        },
        "pending": Pending(ttl=TTL),
        "drift": DriftSettings(cooldown=100),
    }
    return Pipeline(**(defaults | own))


every_sensor = _pipeline()
plain = _pipeline(features=[fields("temperature", "load")])
"""Keeps no state of features."""

attached = _pipeline(
    features=[fields("temperature", "load")],
    events=[Source("shop.readings", envelope="debezium"), Source("readings")],
)
"""Reads topics of others, too."""

late = _pipeline(events=[Source("late", start="latest")])
disputed = _pipeline(
    features=[fields("temperature", "load")],
    labels=[
        LabelSource(
            "claims", event_id="reading.id", label="says", values={"bad": True, "ok": False}
        ),
        LabelSource("verdicts", event_id="of", label=lambda row: row["faulty"], priority=2),
    ],
    label_conflicts=LabelConflicts(within=TTL / 2),
)
"""Gets labels from two sources, of which one counts more."""

LATER_SCHEMA: dict[str, Any] = SCHEMA | {
    "fields": [
        *SCHEMA["fields"][:4],
        {"name": "use", "type": ["null", "double"], "aliases": ["load"]},
        {"name": "humidity", "type": "long", "default": 40},
        SCHEMA["fields"][5],
    ]
}
plain_later = _pipeline(
    schema=LATER_SCHEMA,
    earlier_schemas=[SCHEMA],
    features=[fields("temperature", "use", "humidity")],
)
only_linear = _pipeline(models={"logistic_regression": catalogue.logistic_regression})
large = _pipeline(models={"large": Large})
by_sensor = _pipeline(scope="key")
fragile = _pipeline(
    scope="key",
    features=[fields("temperature", "load"), derived("heat_per_load", heat_per_load)],
    models={"fragile": Fragile},
)
wordy = _pipeline(
    features=[fields("temperature"), derived("words", lambda reading: words(int(reading["load"])))],
    models={"last": dummy.NoChangeClassifier},
    carry_headers=["tenant"],
    ignore_tombstones=True,
)


def alarm() -> base.DriftDetector:
    """Return a detector that fires at every other value."""
    return drift.DummyDriftDetector(trigger_method="fixed", t_0=2, seed=1)


resetting = _pipeline(drift=DriftSettings(loss=alarm, cooldown=5, policy="reset"))

resetting_attached = replace(resetting, events=[Source("readings")])
"""Reads a topic of somebody else, too, and resets its models."""

expiring = _pipeline(
    features=[fields("temperature"), rolling("load", "mean", window=timedelta(milliseconds=100))],
    pending=Pending(ttl=timedelta(seconds=1)),
)


def readings(count: int, first: int = 0, labelled: bool = True) -> list[dict[str, Any]]:
    """Return readings `first` to `first + count - 1` of the one stream that there is."""
    rng = random.Random(7)
    made = []
    for number in range(first + count):
        mean = 50 if number < HOTTER_FROM else 65
        temperature, load = rng.gauss(mean, 10), rng.uniform(0.1, 1)
        faulty = temperature + 20 * load + rng.gauss(0, 3) > 62
        made.append(
            {
                "reading_id": str(number),
                "sensor": rng.choice(SENSORS),
                "at": START_MS + number * STEP_MS,
                "temperature": temperature,
                "load": load,
                "faulty": faulty if labelled else None,
            }
        )
    return made[first:]


def features(stream: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return what a model is to see of each reading of a stream, computed the slow way."""
    window_ms = WINDOW // timedelta(milliseconds=1)
    vectors = []
    for position, reading in enumerate(stream):
        recent = [
            each["temperature"]
            for each in stream[: position + 1]
            if each["sensor"] == reading["sensor"] and each["at"] > reading["at"] - window_ms
        ]
        vectors.append(
            {
                "temperature": reading["temperature"],
                "load": reading["load"],
                "temperature_mean_1m": math.fsum(recent) / len(recent),
            }
        )
    return vectors
