"""What every contestant does with an event, so that they differ in everything but this.

Decode, predict, add to the accuracy, learn, write a JSON prediction. Millrace does its own, and
more: it validates, keeps what it saw until the label comes, scores two baselines and another
metric, looks for drift in inputs, predictions and loss, and saves its state.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import fastavro
from river import forest, linear_model, metrics, preprocessing, tree

from bench.job import Job
from millrace import catalogue

_HEADER_BYTES = 10  # of Avro's single-object encoding
_RIVERS: dict[str, Callable[[], Any]] = {
    "logistic_regression": lambda: (
        preprocessing.StandardScaler() | linear_model.LogisticRegression()
    ),
    "hoeffding_tree": tree.HoeffdingTreeClassifier,
    "adaptive_random_forest": partial(forest.ARFClassifier, seed=catalogue.SEED),
}


class Learner:
    """A model that is tested on each event and then learns from it."""

    def __init__(self, job: Job) -> None:
        self.decode = decoder(job)
        self.model = make_model(job)
        self.metric = metrics.Accuracy()  # type: ignore[no-untyped-call]  # River's

    def handle(self, event: tuple[str, dict[str, float], bool]) -> tuple[str, bytes]:
        """Return an event's id and its prediction, and learn from its label."""
        event_id, features, label = event
        probabilities = self.model.predict_proba_one(features)
        predicted = max(probabilities, key=probabilities.__getitem__) if probabilities else False
        self.metric.update(label, predicted)
        self.model.learn_one(features, label)
        prediction = {
            "event_id": event_id,
            "value": predicted,
            "probability": probabilities.get(True, 0.0),
        }
        return event_id, json.dumps(prediction).encode()


def make_model(job: Job) -> Any:
    """Return the model of the job as River has it, for every contestant but Millrace.

    Millrace's catalogue has its own, which do the same in less time.
    """
    return _RIVERS[job.model]()


def decoder(job: Job) -> Callable[[bytes], tuple[str, dict[str, float], bool]]:
    """Return what makes id, features and label of the bytes of an event."""
    parsed = fastavro.parse_schema(job.schema)

    def decode(value: bytes) -> tuple[str, dict[str, float], bool]:
        record: Any = fastavro.schemaless_reader(BytesIO(value[_HEADER_BYTES:]), parsed, None)
        return record.pop("id"), record, record.pop("label")

    return decode
