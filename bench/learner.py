"""What every contestant but Millrace does with an event, so that they differ only in the rest.

Decode it, predict, update the accuracy, train the model, and encode a prediction as JSON. Millrace
does this and more; docs/performance.md lists what.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from river.forest import ARFClassifier
from river.linear_model import LogisticRegression
from river.metrics import Accuracy
from river.preprocessing import StandardScaler
from river.tree import HoeffdingTreeClassifier

from bench.avro import RecordType
from bench.job import Job

Event: TypeAlias = tuple[str, dict[str, float], bool]  # event id, features and label
_SEED = 42  # that of Millrace's catalogue


MODELS: Mapping[str, Callable[[], Any]] = {
    "logistic_regression": lambda: StandardScaler() | LogisticRegression(),
    "hoeffding_tree": HoeffdingTreeClassifier,
    "adaptive_random_forest": partial(ARFClassifier, seed=_SEED),
}


class Learner:
    """A model that predicts each event and is then trained on it.

    It is River's own. Millrace's catalogue has a faster one that predicts the same.
    """

    def __init__(self, job: Job) -> None:
        self.model = MODELS[job.model]()
        self.metric: Any = Accuracy()  # type: ignore[no-untyped-call]  # River's
        self._event = RecordType(job.schema)

    def decode(self, value: bytes) -> Event:
        record = self._event.decode(value)
        return record.pop("id"), record, record.pop("label")

    def handle(self, event: Event) -> tuple[str, bytes]:
        """Return the id and the encoded prediction of an event, then train on its label."""
        event_id, features, label = event
        probabilities = self.model.predict_proba_one(features)
        predicted = max(probabilities, key=probabilities.__getitem__) if probabilities else False
        self.metric.update(label, predicted)
        self.model.learn_one(features, label)
        probability = probabilities.get(True, 0.0)
        prediction = {"event_id": event_id, "value": predicted, "probability": probability}
        return event_id, json.dumps(prediction).encode()
