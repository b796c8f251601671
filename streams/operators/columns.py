"""Records of one type as columns: what an operator makes of a whole slice at once.

Predictions and outcomes are written for every event. As columns they are encoded, counted and
watched without an object for each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import ClassVar, TypeAlias

from millrace.schemas.codec.columns import Column, records_of
from millrace.schemas.records import (
    Features,
    LabelValue,
    Prediction,
    Probabilities,
    PublishedCertainty,
    PublishedReasons,
)
from millrace.streams.operators.record import Origin, OutcomeRecord, PredictionRecord, Record


@dataclass(slots=True)
class Columns(ABC):
    """Records of one type, for one topic, in order; all columns are of the same length.

    Attributes
    ----------
    type, topic
        As those of a `Record`.
    record
        The class of its records.
    origins
        The Kafka record that each goes back to; each is written to its origin's partition.
    """

    type: ClassVar[str]
    topic: ClassVar[str]
    record: ClassVar[Callable[..., Record]]

    origins: Sequence[Origin]

    def __len__(self) -> int:
        return len(self.origins)

    @abstractmethod
    def fields(self) -> dict[str, Column]:
        """Return each field of the records as a column."""

    def records(self) -> list[Record]:
        """Return the same as one object for each record."""
        values = records_of(self.fields())
        return [
            self.record(value, origin) for value, origin in zip(values, self.origins, strict=True)
        ]


Made: TypeAlias = Record | Columns
"""What an operator makes."""


@dataclass(slots=True)
class PredictionColumns(Columns):
    """Predictions of one model under one definition.

    Attributes
    ----------
    event_ids, keys, event_times_ms, values, model_versions, staleness, probabilities, features,
    reasons, certainty
        Columns of what `Prediction` describes.
    model
        The champion's name.
    definition
        Reference of the definition in force.
    prediction_time_ms
        Of all of them: stamped as they leave the task.
    """

    type = "Prediction"
    topic = "predictions"
    record = PredictionRecord

    event_ids: Sequence[str]
    keys: Sequence[str | None]
    event_times_ms: Sequence[int]
    values: Sequence[LabelValue | None]
    model: str
    model_versions: Sequence[int]
    staleness: Sequence[int]
    probabilities: Sequence[Probabilities]
    features: Sequence[Features]
    definition: str
    reasons: Sequence[PublishedReasons | None]
    certainty: Sequence[PublishedCertainty | None]
    prediction_time_ms: int = 0

    @classmethod
    def of(cls, values: Sequence[Prediction], origins: Sequence[Origin]) -> PredictionColumns:
        """Return predictions of one model and definition as columns; there is one at least."""
        return cls(
            origins,
            event_ids=[each["event_id"] for each in values],
            keys=[each["key"] for each in values],
            event_times_ms=[each["event_time_ms"] for each in values],
            values=[each["value"] for each in values],
            model=values[0]["model"],
            model_versions=[each["model_version"] for each in values],
            staleness=[each["staleness_examples"] for each in values],
            probabilities=[each["probabilities"] for each in values],
            features=[each["features"] for each in values],
            definition=values[0]["definition"],
            reasons=[each["reasons"] for each in values],
            certainty=[each["certainty"] for each in values],
        )

    def fields(self) -> dict[str, Column]:
        count = len(self)
        return {
            "event_id": self.event_ids,
            "key": self.keys,
            "event_time_ms": self.event_times_ms,
            "prediction_time_ms": [self.prediction_time_ms] * count,
            "value": self.values,
            "model": [self.model] * count,
            "model_version": self.model_versions,
            "staleness_examples": self.staleness,
            "probabilities": self.probabilities,
            "features": self.features,
            "definition": [self.definition] * count,
            "reasons": self.reasons,
            "certainty": self.certainty,
        }


@dataclass(slots=True)
class OutcomeColumns(Columns):
    """What became of events and labels.

    Attributes
    ----------
    event_ids, keys, event_times_ms, fates, labels, label_delays_ms, label_sources
        Columns of what `Outcome` describes.
    losses
        Candidate to its column of losses: None where it has none.
    """

    type = "Outcome"
    topic = "outcomes"
    record = OutcomeRecord

    event_ids: Sequence[str]
    keys: Sequence[str | None]
    event_times_ms: Sequence[int | None]
    fates: Sequence[str]
    labels: Sequence[LabelValue | None]
    label_delays_ms: Sequence[int | None]
    label_sources: Sequence[str | None]
    losses: Mapping[str, Sequence[float | None]]

    def fields(self) -> dict[str, Column]:
        return {
            "event_id": self.event_ids,
            "key": self.keys,
            "event_time_ms": self.event_times_ms,
            "fate": self.fates,
            "label": self.labels,
            "label_delay_ms": self.label_delays_ms,
            "label_source": self.label_sources,
            "losses": self._losses(),
        }

    def _losses(self) -> Column:
        """Return the losses of each record; as they are, where every candidate has one in each."""
        names, columns = [*self.losses], [*self.losses.values()]
        if columns and not any(None in each for each in columns):
            return self.losses
        rows = zip(*columns, strict=True) if columns else repeat(())
        return [
            {name: loss for name, loss in zip(names, row, strict=True) if loss is not None}
            for _, row in zip(self.origins, rows, strict=False)
        ]


def as_records(made: Sequence[Made]) -> list[Record]:
    """Return what was made with an object for each record."""
    records = [each for each in made if isinstance(each, Record)]
    if len(records) == len(made):
        return records
    return [
        record
        for each in made
        for record in ((each,) if isinstance(each, Record) else each.records())
    ]
