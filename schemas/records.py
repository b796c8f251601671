"""The shape of every record on a topic, as Python's type checker sees it.

Each class is the Avro schema of the same name beside it (`FeatureVector` is
`feature_vector.avsc`), which also says what each field means. Records are plain dictionaries:
what Avro decodes is what an operator gets, with no conversion between.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias, TypedDict

LabelValue: TypeAlias = bool | int | float | str
"""A class (bool, int or str) or a value (float)."""

Fields: TypeAlias = dict[str, Any]
"""Field name to value; the record's schema says which types the values have."""

Features: TypeAlias = dict[str, bool | int | float | str]
"""What a model sees: feature name to value. A missing feature is absent."""

Probabilities: TypeAlias = dict[str, float]
"""Class, named as text, to probability in [0, 1]."""


class Removal(TypedDict):
    """The row of an event is gone.

    In `clean` and `features`: an event that still waits for its label does so no longer.
    """

    event_id: str
    key: str | None


class Label(TypedDict):
    """The true class or value of an event.

    Read from `labels` or `events`, passed on in `clean` and `features`; a label that comes
    inside an event stays with it.
    """

    event_id: str
    label: LabelValue
    label_time_ms: int | None
    key: str | None
    source: str | None


class Event(TypedDict):
    """A validated event: Millrace's own fields, and the user's fields without the label.

    In `clean`.
    """

    event_id: str
    key: str | None
    event_time_ms: int
    label: LabelValue | None
    fields: Fields


class FeatureVector(TypedDict):
    """The features that models see of an event. In `features`."""

    event_id: str
    key: str | None
    event_time_ms: int
    label: LabelValue | None
    features: Features


class PublishedReasons(TypedDict):
    """What features add to a prediction: base, contributions and rest add up to it."""

    scale: str
    base: float
    of: LabelValue | None
    against: LabelValue | None
    contributions: dict[str, float]
    rest: float
    why_none: str


class PublishedCertainty(TypedDict):
    """An interval, or a set of classes, that is to hold the label."""

    coverage: float
    threshold: float | None
    lower: float | None
    upper: float | None
    classes: dict[str, float]
    why_none: str
    abstained: str


class Prediction(TypedDict):
    """The champion's prediction for an event, made at the event's place in the log.

    In `predictions`.
    """

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
    definition: str
    reasons: PublishedReasons | None
    certainty: PublishedCertainty | None


class Predicted(TypedDict):
    """What one candidate or baseline predicted for an event."""

    value: LabelValue | None
    probabilities: Probabilities


class Example(TypedDict):
    """Features and their label, with what every candidate predicted when the event came.

    In `examples`, where learning has an agent of its own.
    """

    event_id: str
    key: str | None
    event_time_ms: int
    features: Features
    label: LabelValue | None
    label_delay_ms: int | None
    block: int | None
    settled: int
    predicted: dict[str, Predicted]


class Fate(StrEnum):
    """What became of a label, or of an event that got none."""

    JOINED = "joined"
    """The label met its event, and the models learn from the two."""
    EARLY = "early"
    """The label came before its event, and waits for it."""
    CORRECTED = "corrected"
    """While it waited, another label of the same event replaced this one."""
    OVERRULED = "overruled"
    """Another label of the same event was waiting, and stays."""
    DUPLICATE = "duplicate"
    """The event was already learned with the same label."""
    LATE_CORRECTION = "late_correction"
    """The event was already learned with another label."""
    LATE = "late"
    """The label came after its event had expired, or was evicted or removed."""
    ORPHAN = "orphan"
    """The event of the label did not come within `pending.ttl`."""
    UNKNOWN_CLASS = "unknown_class"
    """The label is of one class more than `max_classes`; its event waits for another label."""
    REMOVED = "removed"
    """The row of the event was deleted while the event, or this label of it, waited."""
    EXPIRED = "expired"
    """The event got no label within `pending.ttl`."""
    EVICTED = "evicted"
    """The event was the oldest of `pending.limit`, and got no label in time."""


class Outcome(TypedDict):
    """What became of an event or a label, and how wrong each candidate was. In `outcomes`."""

    event_id: str
    key: str | None
    event_time_ms: int | None
    fate: str
    label: LabelValue | None
    label_delay_ms: int | None
    label_source: str | None
    losses: dict[str, float]


class BlockLosses(TypedDict):
    """The losses of one candidate in a block of events."""

    rival: str
    events: int
    missing: int
    loss: float
    bounded_loss: float
    difference: float
    squared_difference: float


class GroupLosses(TypedDict):
    """How one candidate compares with its rival in a group of the events of a block."""

    events: int
    difference: float
    squared_difference: float


class MetricValues(TypedDict):
    """How good a candidate is by one metric."""

    cumulative: float | None
    rolling: float | None


MetricsByCandidate: TypeAlias = dict[str, dict[str, MetricValues]]
"""Candidate or baseline to metric to value."""


class PromotionTerms(TypedDict):
    """By what a block of events is judged."""

    metric: str
    alpha: float
    margin: float
    min_labels: int
    probation: int
    policy: str


class BlockCertainty(TypedDict):
    """How often intervals, or sets of classes, held the labels of a block of events."""

    wanted: float
    labels: int
    covered: int
    size: float


class Evaluation(TypedDict):
    """How a block of consecutive events of one partition was predicted by each candidate.

    In `evaluations`.
    """

    partition: int
    number: int
    definition: str
    champion: str
    command: int
    first_time_ms: int
    last_time_ms: int
    events: int
    late_labels: int
    failures: int
    loss_bound: float | None
    drifted: list[str]
    terms: PromotionTerms
    candidates: dict[str, BlockLosses]
    groups: dict[str, dict[str, GroupLosses]]
    metrics: MetricsByCandidate
    certainty: BlockCertainty | None


class ModelSnapshot(TypedDict):
    """The models of one scope key after one position of the log. In `models`, compacted by key."""

    scope_key: str
    champion: str
    version: int
    covers: dict[str, int]
    payload: bytes


class ReasonChange(TypedDict):
    """How much of all that features add to predictions, in size, is added by one of them."""

    feature: str
    before: float
    after: float
    right_before: float | None
    right_after: float | None


class Alert(TypedDict):
    """A detected drift, or a decision about who serves, with its evidence. In `alerts`."""

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
    detail: str
    reasons: list[ReasonChange]


class Command(TypedDict):
    """What somebody asks of a pipeline. Read from `commands`, in this form or as JSON."""

    id: str | None
    command: str
    arguments: dict[str, str]
    who: str
    why: str
    time_ms: int | None


class AcceptedCommand(TypedDict):
    """A command that was accepted, at its place among the events and labels.

    In `clean` or `control`, `features` and `examples`.
    """

    number: int
    id: str
    command: str
    arguments: dict[str, str]
    who: str
    why: str


class Audit(TypedDict):
    """A change of what a pipeline does, or a command that was refused.

    In `audit`; each record has the digest of the one before it by the same writer in its partition.
    """

    writer: str
    number: int
    time_ms: int
    subject: str
    action: str
    who: str
    why: str
    command_id: str | None
    evidence: dict[str, str]
    before: str | None
    after: str | None
    topic: str
    partition: int
    offset: int
    previous: str
    digest: str


class Header(TypedDict):
    """One Kafka header of a rejected record."""

    name: str
    value: bytes | None


class Reject(TypedDict):
    """A dead letter: a record that could not be used, as it came, and why. In `rejects`."""

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
    """The record has no value."""
    MALFORMED = "malformed"
    """The bytes are broken, or in no encoding that Millrace reads."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """The record was written with a schema that is not known, or is of a kind that is not read."""
    INCOMPATIBLE_SCHEMA = "incompatible_schema"
    """The record was written with a schema that cannot be read as the pipeline's."""
    WRONG_SHAPE = "wrong_shape"
    """The JSON is not an object."""
    MISSING_FIELD = "missing_field"
    """A field without a default is missing."""
    ILL_TYPED_FIELD = "ill_typed_field"
    """A field's value is not of the type that the schema declares."""
    NOT_FINITE = "not_finite"
    """A number is NaN or infinite."""
    MISSING_ID = "missing_id"
    """The event id is empty."""
    MISSING_KEY = "missing_key"
    """The key is missing, and models are kept by partition or by key."""
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    """A time cannot be read, or is earlier or later than events may be."""
    UNKNOWN_LABEL_TYPE = "unknown_label_type"
    """The label is not of the type that the pipeline's labels have."""
    UNKNOWN_CLASS = "unknown_class"
    """The label is none of the pipeline's classes, or one more than `max_classes`."""
    OVERSIZED = "oversized"
    """The record is larger than `max_event_bytes`, or an id, key or label than `max_id_bytes`."""
    OVERSIZED_OUTPUT = "oversized_output"
    """What the record leads to is larger than its topic takes."""
    WRONG_TYPE = "wrong_type"
    """The record is of a type that its topic does not hold."""
    WRONG_PARTITION = "wrong_partition"
    """The record is not on the one partition where its model lives."""
    DUPLICATE_EVENT = "duplicate_event"
    """An event with this id was already predicted."""
    DUPLICATE_LABEL = "duplicate_label"
    """The event was already learned with the same label."""
    LATE_CORRECTION = "late_correction"
    """The event was already learned with another label."""
    LATE_LABEL = "late_label"
    """The label came after its event had expired, or was evicted or removed."""
    ORPHAN_LABEL = "orphan_label"
    """The event of the label did not come within `pending.ttl`."""
    SKIPPED = "skipped"
    """The command `skip` names the record."""
    SOURCE_ERROR = "source_error"
    """The code of a source raised an error: the `label` of a `LabelSource`."""
    FEATURE_ERROR = "feature_error"
    """A feature raised an error."""
    FEATURE_OUT_OF_RANGE = "feature_out_of_range"
    """A feature is larger than the pipeline's `largest_feature`."""
    PREDICT_ERROR = "predict_error"
    """The champion raised an error when it predicted."""
    INVALID_PREDICTION = "invalid_prediction"
    """What the champion answered is no prediction: a number that is not finite, for example."""
    LEARN_ERROR = "learn_error"
    """The champion raised an error when it learned."""
    EVALUATE_ERROR = "evaluate_error"
    """A metric, a loss, a drift detector or a fresh model raised an error."""
    INTERNAL_ERROR = "internal_error"
    """Millrace failed at this record: a fault of its own, which should be reported."""
