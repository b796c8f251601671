"""Events and labels from Avro, validated; predictions and outcomes to Avro."""

from __future__ import annotations

import time
from math import isfinite
from typing import NamedTuple

from bench.avro import RecordType
from bench.job import LABEL_SCHEMA, Job


class Event(NamedTuple):
    """A valid event, with its label if that is known."""

    event_id: str
    time_ms: int
    features: dict[str, float]
    label: bool | None


class Label(NamedTuple):
    """A label that came on its own."""

    event_id: str
    label: bool


class Predicted(NamedTuple):
    """What the model and the baselines say of an event; None from one that has learned nothing."""

    values: dict[str, bool | None]
    probability: float  # of true, by the model


class InvalidError(Exception):
    """A record that cannot be used."""


class Wire:
    """Decodes and validates what is read, and encodes what is written."""

    def __init__(self, job: Job) -> None:
        self._features, self._model = job.features, job.model
        self._event, self._label = RecordType(job.schema), RecordType(LABEL_SCHEMA)
        self._prediction = RecordType(prediction_schema(job.features))
        self._outcome = RecordType(OUTCOME_SCHEMA)

    def read(self, value: bytes, time_ms: int) -> Event | Label:
        """Return the event or the label in a record of that time.

        Raises
        ------
        InvalidError
            It is neither, or a value is not what it must be.
        """
        header = value[: len(self._event.header)]
        try:
            if header == self._event.header:
                record = self._event.decode(value)
            elif header == self._label.header:
                record = self._label.decode(value)
            else:
                raise InvalidError("it is neither an event nor a label")
        except (EOFError, IndexError, ValueError) as error:
            raise InvalidError(f"it is not Avro: {error}") from error
        if header == self._label.header:
            return Label(record["event_id"], _checked(record["label"]))
        features = {name: record[name] for name in self._features}
        for name, feature in features.items():
            if not isfinite(feature):
                raise InvalidError(f"{name} must be finite; got {feature}")
        return Event(record["id"], time_ms, features, record.get("label"))

    def prediction(self, event: Event, predicted: Predicted, version: int) -> bytes:
        return self._prediction.encode(
            {
                "event_id": event.event_id,
                "event_time_ms": event.time_ms,
                "prediction_time_ms": time.time_ns() // 1_000_000,
                "value": predicted.values["model"],
                "probability": predicted.probability,
                "model": self._model,
                "model_version": version,
                "features": event.features,
            }
        )

    def outcome(
        self,
        event_id: str,
        time_ms: int | None,
        fate: str,
        label: bool | None,
        losses: dict[str, float],
    ) -> bytes:
        return self._outcome.encode(
            {
                "event_id": event_id,
                "event_time_ms": time_ms,
                "fate": fate,
                "label": label,
                "losses": losses,
            }
        )


def _checked(label: object) -> bool:
    if not isinstance(label, bool):
        raise InvalidError(f"label must be true or false; got {label!r}")
    return label


def prediction_schema(features: list[str]) -> dict[str, object]:
    vector = [{"name": name, "type": "double"} for name in features]
    fields: dict[str, object] = {
        "event_id": "string",
        "event_time_ms": "long",
        "prediction_time_ms": "long",
        "value": ["null", "boolean"],
        "probability": "double",
        "model": "string",
        "model_version": "long",
        "features": {"type": "record", "name": "Features", "fields": vector},
    }
    return _record("Prediction", fields)


def _record(name: str, types: dict[str, object]) -> dict[str, object]:
    fields = [{"name": field, "type": kind} for field, kind in types.items()]
    return {"type": "record", "name": name, "fields": fields}


OUTCOME_SCHEMA = _record(
    "Outcome",
    {
        "event_id": "string",
        "event_time_ms": ["null", "long"],
        "fate": "string",
        "label": ["null", "boolean"],
        "losses": {"type": "map", "values": "double"},
    },
)
