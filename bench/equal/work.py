"""One event or label at a time: validate, predict, join, evaluate, watch, learn, encode.

It keeps all its state in itself, so that pickling it saves the state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from river import dummy

from bench.equal.evaluation import Monitors, Scores
from bench.equal.join import LabelJoin
from bench.equal.wire import Event, InvalidError, Label, Predicted, Wire
from bench.job import Job
from bench.learner import MODELS


class Output(NamedTuple):
    """A record to write."""

    topic: str  # without the job's prefix
    key: str
    value: bytes


class EqualWork:
    """A model with all that Millrace's `full` has around one."""

    def __init__(self, job: Job) -> None:
        self._wire = Wire(job)
        self._model: Any = MODELS[job.model]()
        self._baselines: dict[str, Any] = {
            "no_change": dummy.NoChangeClassifier(),
            "prior": dummy.PriorClassifier(),
        }
        self._learned = 0
        self._join, self._monitors = LabelJoin(), Monitors()
        self.scores = {name: Scores() for name in ("model", *self._baselines)}

    def handle(self, value: bytes | None, time_ms: int) -> list[Output]:
        """Return what follows from a record of that time."""
        try:
            record = self._wire.read(value or b"", time_ms)
        except InvalidError as error:
            return [_reject("", str(error))]
        return self._label(record) if isinstance(record, Label) else self._event(record)

    def _event(self, event: Event) -> list[Output]:
        event_id = event.event_id
        if self._join.knows(event_id):
            return [_reject(event_id, "an event with this id has come before")]
        predicted = self._predict(event.features)
        prediction = self._wire.prediction(event, predicted, self._learned)
        made = [Output("predictions", event_id, prediction)]
        made += self._watch(event, {**event.features, "prediction": predicted.probability})
        early = self._join.early.pop(event_id, None)
        if event.label is not None:
            made += self._learn(event, predicted, event.label)
            return made if early is None else made + self._too_late(Label(event_id, early))
        if early is not None:
            return made + self._learn(event, predicted, early)
        self._join.waiting[event_id] = event, predicted
        for old, fate in self._join.surplus(event.time_ms):
            made.append(self._outcome(old.event_id, old.time_ms, fate, None))
        return made

    def _label(self, label: Label) -> list[Output]:
        waiting = self._join.waiting.pop(label.event_id, None)
        if waiting is not None:
            return self._learn(*waiting, label.label)
        if label.event_id in self._join.ended:
            return self._too_late(label)
        earlier = self._join.early.get(label.event_id)
        if earlier == label.label:
            return self._unusable(label, "duplicate")
        made = [] if earlier is None else [self._of_label(label.event_id, "corrected", earlier)]
        self._join.early[label.event_id] = label.label
        for event_id, orphan in self._join.orphans():
            made += self._unusable(Label(event_id, orphan), "orphan")
        return made

    def _predict(self, features: dict[str, float]) -> Predicted:
        probabilities = self._model.predict_proba_one(features)
        values: dict[str, bool | None] = {"model": _likeliest(probabilities)}
        for name, baseline in self._baselines.items():
            values[name] = baseline.predict_one(features)
        return Predicted(values, probabilities.get(True, 0.0))

    def _learn(self, event: Event, predicted: Predicted, label: bool) -> list[Output]:
        """Test what was predicted, watch the loss, train the model and the baselines."""
        losses: dict[str, float] = {}
        for name, value in predicted.values.items():
            if value is not None:
                losses[name] = float(value != label)
                self.scores[name].update(label, value)
        self._join.end(event.event_id, label)
        made = [self._outcome(event.event_id, event.time_ms, "joined", label, losses)]
        if "model" in losses:
            made += self._watch(event, {"loss": losses["model"]})
        self._model.learn_one(event.features, label)
        for baseline in self._baselines.values():
            baseline.learn_one(event.features, label)
        self._learned += 1
        return made

    def _watch(self, event: Event, values: Mapping[str, float]) -> list[Output]:
        return [
            Output("alerts", event.event_id, json.dumps({"source": source}).encode())
            for source in self._monitors.watch(values)
        ]

    def _too_late(self, label: Label) -> list[Output]:
        learned = self._join.ended[label.event_id]
        if learned is None:
            return self._unusable(label, "late")
        return self._unusable(label, "duplicate" if learned == label.label else "late_correction")

    def _unusable(self, label: Label, fate: str) -> list[Output]:
        """Return the dead letter and the outcome of a label."""
        return [_reject(label.event_id, fate), self._of_label(label.event_id, fate, label.label)]

    def _of_label(self, event_id: str, fate: str, label: bool) -> Output:
        return self._outcome(event_id, None, fate, label)

    def _outcome(
        self,
        event_id: str,
        time_ms: int | None,
        fate: str,
        label: bool | None,
        losses: dict[str, float] | None = None,
    ) -> Output:
        value = self._wire.outcome(event_id, time_ms, fate, label, losses or {})
        return Output("outcomes", event_id, value)


def _likeliest(probabilities: dict[bool, float]) -> bool | None:
    return max(probabilities, key=probabilities.__getitem__) if probabilities else None


def _reject(event_id: str, detail: str) -> Output:
    return Output("rejects", event_id, json.dumps({"detail": detail}).encode())
