"""The shape of every record on a topic, as Python sees it.

Each class is the Avro schema of the same name beside it (`FeatureVector` is
`feature_vector.avsc`). Records are plain dictionaries, so that what Avro decodes is what an
operator gets, with no conversion between.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias, TypedDict

LabelValue: TypeAlias = bool | int | float | str
"""A class (bool, int or str) or a value (float)."""

Features: TypeAlias = dict[str, bool | int | float | str]
"""What a model sees. A feature that is missing is absent."""

Probabilities: TypeAlias = dict[str, float]
"""Class, named as text, to probability in [0, 1]."""


class Label(TypedDict):
    event_id: str
    label: LabelValue
    label_time_ms: int | None
    key: str | None


class Event(TypedDict):
    event_id: str
    key: str | None
    event_time_ms: int
    label: LabelValue | None
    fields: dict[str, Any]


class FeatureVector(TypedDict):
    event_id: str
    key: str | None
    event_time_ms: int
    label: LabelValue | None
    features: Features


class Prediction(TypedDict):
    event_id: str
    key: str | None
    event_time_ms: int
    prediction_time_ms: int
    value: LabelValue | None
    probabilities: Probabilities
    features: Features
    model: str
    model_version: int
    staleness_examples: int


class Predicted(TypedDict):
    value: LabelValue | None
    probabilities: Probabilities


class Example(TypedDict):
    event_id: str
    key: str | None
    event_time_ms: int
    features: Features
    label: LabelValue | None
    label_delay_ms: int | None
    predicted: dict[str, Predicted]
    loss: float | None


class Fate(StrEnum):
    """What became of a label, or of an event that got none."""

    JOINED = "joined"
    EARLY = "early"
    CORRECTED = "corrected"
    DUPLICATE = "duplicate"
    LATE_CORRECTION = "late_correction"
    LATE = "late"
    ORPHAN = "orphan"
    EXPIRED = "expired"
    EVICTED = "evicted"


class Outcome(TypedDict):
    event_id: str
    key: str | None
    event_time_ms: int | None
    fate: str
    label: LabelValue | None
    label_delay_ms: int | None
    losses: dict[str, float]


class ModelSnapshot(TypedDict):
    scope_key: str
    champion: str
    version: int
    covers: dict[str, int]
    payload: bytes


class Alert(TypedDict):
    source: str
    detector: str
    event_id: str
    event_time_ms: int
    position: int
    mean_before: float
    mean_after: float
    action: str
    model: str
    model_version: int


class Header(TypedDict):
    name: str
    value: bytes | None


class Reject(TypedDict):
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    value_size_bytes: int
    headers: list[Header]


class RejectReason(StrEnum):
    """Why a record became a dead letter."""

    EMPTY = "empty"
    MALFORMED = "malformed"
    UNKNOWN_SCHEMA = "unknown_schema"
    WRONG_SHAPE = "wrong_shape"
    MISSING_FIELD = "missing_field"
    ILL_TYPED_FIELD = "ill_typed_field"
    NOT_FINITE = "not_finite"
    MISSING_ID = "missing_id"
    MISSING_KEY = "missing_key"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    UNKNOWN_LABEL_TYPE = "unknown_label_type"
    OVERSIZED = "oversized"
    WRONG_PARTITION = "wrong_partition"
    DUPLICATE_EVENT = "duplicate_event"
    DUPLICATE_LABEL = "duplicate_label"
    LATE_CORRECTION = "late_correction"
    LATE_LABEL = "late_label"
    ORPHAN_LABEL = "orphan_label"
    FEATURE_ERROR = "feature_error"
    PREDICT_ERROR = "predict_error"
    LEARN_ERROR = "learn_error"
