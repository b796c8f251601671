"""A pipeline, as its user describes it.

One frozen object defines what an event is, what a model sees of it, which models compete and what
happens when the data drifts. Everything in `streams` follows from it. It is checked in full when
it is made, so that a wrong definition is found before the first event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.models.certainty.conformal import Conformal
from millrace.models.features import Feature, fields
from millrace.models.features.base import check_features
from millrace.models.monitoring.drift import DriftPolicy, DriftSettings
from millrace.models.parameters import (
    choice,
    duration,
    named_fields,
    one_of,
    require,
    sequence,
    text,
    whole_number,
)
from millrace.models.pipeline.certainty_checks import check_certainty
from millrace.models.pipeline.comparison_loss import ComparisonLoss
from millrace.models.pipeline.comparison_losses import comparison_loss
from millrace.models.pipeline.factories import check_factories
from millrace.models.pipeline.label_conflicts import LabelConflicts
from millrace.models.pipeline.label_default import LabelDefault
from millrace.models.pipeline.labels import Labels, class_limit
from millrace.models.pipeline.model import Model, ModelFactory
from millrace.models.pipeline.promotion_checks import check_promotion
from millrace.models.pipeline.record_parts import OF_ID, OF_RECORD, EventId, Part, id_parts
from millrace.models.pipeline.seeds import missing_seeds, seeded
from millrace.models.pipeline.sources import LabelSource, Source, check_sources, of_one_topic
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.promotion import NO_PROMOTION, Promotion
from millrace.schemas import DefinitionError, EventSchema, RecordError
from millrace.schemas.codec.avro import Schema
from millrace.schemas.records import LabelValue

if TYPE_CHECKING:
    from millrace.models.pipeline.metrics import MetricFactory

LONGEST_NAME = 150
"""Letters of a pipeline's name: Kafka allows 249 for a topic, and `state.…` has up to 50."""

MAX_CLASSES = 100
"""Classes that there may be, where the definition does not say."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NAME_PARTS = "lower-case letters, digits, '-' and '_', and begin with a letter or a digit"
_RESERVED = frozenset({"no_change", "prior"})
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
"""The default of `earliest`: a time of today, read in the wrong unit, is one of 1970."""

_NUMERIC = frozenset({"int", "long", "float", "double"})
_MOST_MEASURED = 10**6


class Scope(StrEnum):
    """What shares one model."""

    GLOBAL = "global"
    PARTITION = "partition"
    KEY = "key"


class OnError(StrEnum):
    """What happens to a record for which the user's own code raises."""

    REJECT = "reject"
    STOP = "stop"


@named_fields
@dataclass(frozen=True, kw_only=True)
class Pending:
    """How long an event waits for its label, and how many may wait in one partition.

    Parameters
    ----------
    limit
        Events that may wait at a time; the oldest is evicted. As many early labels may wait, as
        many labels may be held, and the ids of as many events that have ended are remembered.
    ttl
        How far event time may advance before an event's label counts as late, and before a label
        counts as one of no event. With `label_default`, an event waits as long as that says.
    limit_bytes
        Most memory for each of the four, by a rough count; the oldest is evicted.
    """

    limit: int = 100_000
    ttl: timedelta = timedelta(days=7)
    limit_bytes: int = 512 * 1024 * 1024

    def __post_init__(self) -> None:
        whole_number("pending.limit", self.limit)
        whole_number("pending.limit_bytes", self.limit_bytes, most=2**62)
        duration("pending.ttl", self.ttl, least=timedelta(microseconds=1))


@named_fields
@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The definition of one pipeline.

    Parameters
    ----------
    name
        Prefix of the pipeline's topics: up to 150 lower-case letters, digits, `-` and `_`.
    schema
        Avro schema of an event: a path to an `.avsc` file, or the parsed JSON.
    earlier_schemas
        Schemas that it had before, given likewise: events that are still written with one of them,
        in single-object encoding, are read as events of today's.
    event_id
        Field that identifies an event, of type string, int or long. Fields of nested records are
        named by their paths, here as elsewhere: `payment.id`. An id may also be several fields, or
        elsewhere in the Kafka record: `MessageKey`, `Header`, `Attribute` (of an envelope),
        `TopicPartitionOffset` or `PayloadHash`, from `millrace`.
    task
        `binary`, `multiclass`, `regression` or `anomaly`.
    models
        Name to a callable that returns a fresh River model. The first is the champion, whose
        predictions are published; the others predict and learn beside it, to be compared. A
        `Candidate` around the callable says what a deploy does when it has changed.
    label
        Field that holds the label in an event that already knows it. Labels may come on the
        topic `labels` whether it is given or not.
    classes
        With the task `multiclass`: all classes, of one type (text, whole numbers or booleans). A
        label that is none of them is rejected. Needed where `label` is not given, since the type
        of the classes must be known; an enum's symbols are the classes as they are.
    max_classes
        With the task `multiclass`: how many classes there may be in one partition. A label of one
        class more is rejected, before any model learns it.
    key
        Field by which events belong together, or `MessageKey`, `Header` or `Attribute`; needed for
        the scopes `partition` and `key`.
    event_time
        Field that says when the event happened: a long in milliseconds since the Unix epoch,
        a logical timestamp, or ISO 8601 text; or `MessageKey`, `Header` or `Attribute`, with
        milliseconds or such text. Without it, the Kafka timestamp counts.
    features
        What a model sees; see `millrace.models.features`. By default every field of the schema
        that is a number, a boolean or text, except the id, the key, the event time and the label.
    scope
        `global` (one model), `partition` (one per partition) or `key` (one per key).
    max_models
        With scope `key`: how many keys have models in one partition. The models of the key that
        was trained least recently are evicted.
    drift
        Detectors, and what happens when one fires; see `millrace.models.monitoring.drift`.
    metrics
        Name to a callable that returns a fresh River metric; by default the task's own.
    rolling_window
        Examples in the window of the rolling metrics.
    pending
        How long, and how many, events wait for their labels.
    earliest, max_ahead
        An event time before `earliest`, or more than `max_ahead` later than the Kafka
        timestamp of its record, is out of range, and so is such a time of a label. The default
        refuses 1970, which is what a time in the wrong unit looks like; Kafka's own timestamps may
        be of 1970.
    max_id_bytes
        An event with a longer id, key or label is rejected, and so is a label: many of them are
        kept in memory.
    allow_non_finite
        Fields in which NaN and infinity are let through.
    carry_headers
        Kafka headers of events that what follows from them carries on, beside `traceparent` and
        `tracestate`: predictions, rejects and all other outputs.
    ignore_tombstones
        Whether records without a value, on `events` and `labels`, are counted and passed over; they
        are rejected otherwise.
    on_invalid_prediction
        What happens to a candidate that raises, or answers with NaN for example, for ten
        labelled events in a row, though it did before, beside the alert: `reset` (an untrained
        model takes its place), `replace` (a challenger is trained beside it, and takes its place
        once it is proven better; see `drift.replacement_after`) or `alert` (nothing).
    largest_feature
        A feature beyond it in size is refused: its event is rejected as `feature_out_of_range`.
    on_error
        What happens to a record for which a feature or the champion raises: `reject` (it is
        written to the topic `rejects`, and the next one follows) or `stop` (the agent halts until
        the problem is fixed).
    numbers_as_text
        Fields that are numbers in the schema, and text in JSON: `"12.50"` is read as 12.5 then.
    events
        Topics of others that events come on, too, beside `<name>.events`: each a `Source`.
    labels
        Topics of others with labels, beside `<name>.labels`: each a `LabelSource`.
    label_default
        What the label of an event is when none has come for so long: a `LabelDefault`. None: an
        event that gets no label is never learned.
    label_conflicts
        What counts where an event gets several labels: `LabelConflicts`. None: the first to come
        while the event waits is learned at once; of those that come before it, the one of the
        largest priority counts, and the last of these.
    promotion
        When a candidate takes the champion's place: a `Promotion`. None: only by command; `millrace
        models` shows the evidence.
    reasons
        How many features each prediction names, with what each of them adds to it. 0: none.
    certainty
        How often each prediction's interval, or set of classes, is to hold the label: `Conformal`.
        None: predictions have neither.

    Raises
    ------
    DefinitionError
        Naming the parameter, what it must be and what was given.

    Examples
    --------
    >>> from river.naive_bayes import GaussianNB
    >>> fields = [{"name": "id", "type": "string"}, {"name": "size", "type": "double"}]
    >>> schema = {"type": "record", "name": "Fruit", "fields": fields}
    >>> models = {"bayes": GaussianNB}
    >>> fruits = Pipeline(
    ...     name="fruits",
    ...     schema=schema,
    ...     event_id="id",
    ...     task="multiclass",
    ...     classes=["apple", "melon"],
    ...     models=models,
    ... )
    >>> fruits.champion, fruits.features[0].names
    ('bayes', ('size',))
    """

    name: str
    schema: Path | str | Schema
    event_id: EventId
    task: Task | str
    models: Mapping[str, ModelFactory]
    label: str | None = None
    classes: Sequence[LabelValue] | None = None
    max_classes: int = MAX_CLASSES
    key: Part | None = None
    event_time: Part | None = None
    features: Sequence[Feature] = ()
    scope: Scope | str = Scope.GLOBAL
    max_models: int = 10_000
    drift: DriftSettings = field(default_factory=DriftSettings)
    metrics: Mapping[str, MetricFactory] | None = None
    rolling_window: int = 1_000
    pending: Pending = field(default_factory=Pending)
    earliest: datetime = EARLIEST
    max_ahead: timedelta = timedelta(days=1)
    max_id_bytes: int = 1_024
    allow_non_finite: Sequence[str] = ()
    carry_headers: Sequence[str] = ()
    ignore_tombstones: bool = False
    on_invalid_prediction: DriftPolicy | str = DriftPolicy.RESET
    largest_feature: float | None = None
    on_error: OnError | str = "reject"
    earlier_schemas: Sequence[Path | str | Schema] = ()
    numbers_as_text: Sequence[str] = ()
    events: Sequence[Source] = ()
    labels: Sequence[LabelSource] = ()
    label_default: LabelDefault | None = None
    label_conflicts: LabelConflicts | None = None
    promotion: Promotion | None = None
    reasons: int = 0
    certainty: Conformal | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        self._check_choices()
        self._check_schema()
        self._check_fields()
        self._check_limits()
        self._check_sources()
        self._check_label_default()
        self._check_label_conflicts()
        self._check_models()
        self._check_metrics()
        self._check_features()
        self._check_drift()
        check_promotion(self)
        check_certainty(self.certainty, Task(self.task), has_key=self.key is not None)

    @cached_property
    def event_schema(self) -> EventSchema:
        """The user's schema, and the types that follow from it."""
        return EventSchema(self.schema, self.label, self.earlier_schemas)

    @cached_property
    def allowed_labels(self) -> Labels:
        """What a label may be."""
        return Labels(Task(self.task), self.event_schema, self.classes)

    @cached_property
    def comparison_loss(self) -> ComparisonLoss:
        """The loss by which candidates are compared with the champion."""
        return comparison_loss(self.comparison.metric, Task(self.task), self.allowed_labels)

    @property
    def champion(self) -> str:
        """Name of the model whose predictions are published at first."""
        return next(iter(self.models))

    @cached_property
    def seeds(self) -> Mapping[str, int]:
        """Where a model has no seed, and the one that is given to it."""
        found: dict[str, int] = {}
        for name, factory in self.models.items():
            found |= missing_seeds(_place(name), factory())
        return found

    def fresh_model(self, name: str) -> Model:
        """Return an untrained model of a candidate, with a seed wherever it was given none."""
        model = self.models[name]()
        return seeded(_place(name), model) if self.seeds else model

    @property
    def comparison(self) -> Promotion:
        """How candidates are compared, whether any is ever promoted or not."""
        return NO_PROMOTION if self.promotion is None else self.promotion

    @property
    def longest_wait(self) -> timedelta:
        """How far event time advances before an event no longer waits for its label."""
        default = self.label_default
        return self.pending.ttl if default is None else default.after

    @property
    def learns_without_labels(self) -> bool:
        """Whether models learn from each event at once, since no label is ever due."""
        return self.task is Task.ANOMALY and self.label is None

    def with_name(self, name: str) -> Pipeline:
        """Return the same pipeline under another name."""
        return replace(self, name=name)

    def _set(self, parameter: str, value: object) -> None:
        object.__setattr__(self, parameter, value)

    def _check_choices(self) -> None:
        choices: dict[str, type[StrEnum]] = {
            "task": Task,
            "scope": Scope,
            "on_invalid_prediction": DriftPolicy,
            "on_error": OnError,
        }
        for parameter, kind in choices.items():
            self._set(parameter, choice(parameter, getattr(self, parameter), kind))

    def _check_schema(self) -> None:
        sequence("earlier_schemas", self.earlier_schemas, of="schemas")
        given = {f"earlier_schemas[{n}]": each for n, each in enumerate(self.earlier_schemas)}
        for parameter, each in {"schema": self.schema, **given}.items():
            must = f"{parameter} must be the path of an .avsc file, or Avro's JSON as a dictionary"
            require(isinstance(each, str | Path | dict), must, each)
        must = "label must be a field of the schema, or None"
        require(self.label is None or isinstance(self.label, str), must, self.label)
        self.event_schema.check()

    def _check_fields(self) -> None:
        must = "label must be another field than event_id, key and event_time"
        of_record = (*id_parts(self.event_id), self.key, self.event_time)
        taken = {each for each in of_record if isinstance(each, str)}
        require(self.label not in taken, must, self.label)
        self._check_roles()
        sequence("allow_non_finite", self.allow_non_finite, of="fields of the schema")
        for name in self.allow_non_finite:
            self._check_field("allow_non_finite", name)
        sequence("numbers_as_text", self.numbers_as_text, of="fields of the schema")
        for name in self.numbers_as_text:
            self._check_field("numbers_as_text", name)
            found = {*self.event_schema.types_of(name)} - {"null"}
            must = f"numbers_as_text: field {name!r} must be of the Avro types {sorted(_NUMERIC)}"
            require(found <= _NUMERIC, must, [*found])
        has_key = self.scope is not Scope.KEY or self.key is not None
        require(has_key, "key must be a field of the schema where scope is 'key'", self.key)

    def _check_roles(self) -> None:
        parts = id_parts(self.event_id)
        require(len(parts) > 0, "event_id must be one field or more", self.event_id)
        for part in parts:
            self._check_role("event_id", part, OF_ID, {"string", "int", "long"})
        of_key = {"string", "int", "long", "boolean", "enum", "null"}
        self._check_role("key", self.key, OF_RECORD, of_key)
        self._check_role("event_time", self.event_time, OF_RECORD, {"string", "long"})
        self._check_role("label", self.label, (), Task(self.task).label_types | {"null"})

    def _check_role(
        self, parameter: str, part: object, kinds: tuple[type, ...], allowed: Set[str]
    ) -> None:
        """Refuse what is no field of a type that is allowed, and of none of the kinds."""
        is_absent = part is None and parameter != "event_id"
        if is_absent or isinstance(part, kinds):
            return
        self._check_field(parameter, part)
        name = str(part)
        found = self.event_schema.types_of(name)
        must = f"{parameter} {name!r} must be of the Avro types {sorted(allowed)}"
        may_be_absent = {"null"} if "." in name else set()
        require(allowed | may_be_absent >= {*found}, must, [*found])

    def _check_field(self, parameter: str, name: object) -> None:
        if name not in self.event_schema:
            known = self.event_schema.paths
            one_of(f"{parameter} must be a field of the schema, one of {known}", name, known)

    def _check_limits(self) -> None:
        whole_number("max_models", self.max_models)
        whole_number("max_classes", self.max_classes, least=2)
        whole_number("max_id_bytes", self.max_id_bytes)
        whole_number("reasons", self.reasons, least=0)
        whole_number("rolling_window", self.rolling_window, most=_MOST_MEASURED)
        must = "pending must be Pending(limit=..., ttl=...)"
        require(isinstance(self.pending, Pending), must, self.pending)
        is_time = isinstance(self.earliest, datetime) and self.earliest.tzinfo is not None
        example = "for example datetime(2020, 1, 1, tzinfo=UTC)"
        require(is_time, f"earliest must be a datetime with a time zone, {example}", self.earliest)
        duration("max_ahead", self.max_ahead, least=timedelta(0))
        largest = self.largest_feature
        is_size = largest is None or (type(largest) in (int, float) and 0 < largest < inf)
        require(is_size, "largest_feature must be a finite number above 0, or None", largest)
        sequence("carry_headers", self.carry_headers, of="names of headers")
        for name in self.carry_headers:
            text("carry_headers", name)
        is_flag = isinstance(self.ignore_tombstones, bool)
        require(is_flag, "ignore_tombstones must be True or False", self.ignore_tombstones)
        class_limit(self.max_classes, self.allowed_labels)

    def _check_sources(self) -> None:
        check_sources(self.events, self.labels)
        needs_key = self.scope is not Scope.GLOBAL and self.key is not None
        for each in self.labels:
            must = f"must be the field with the key of the event ({self.key!r})"
            where = f"where scope is {self.scope!s}"
            has_key = each.key is not None or not needs_key
            require(has_key, f"key of LabelSource({each.topic!r}) {must} {where}", each.key)

    def _check_label_default(self) -> None:
        default = self.label_default
        if default is None:
            return
        is_one = isinstance(default, LabelDefault)
        require(is_one, "label_default must be LabelDefault(label, after=...), or None", default)
        if self.learns_without_labels:
            raise DefinitionError("label_default must be None where models learn without labels")
        try:
            label = self.allowed_labels.learnable(default.label)
        except RecordError as error:
            raise DefinitionError(f"label_default.label: {error.detail}") from None
        self._set("label_default", LabelDefault(label, after=default.after))

    def _check_label_conflicts(self) -> None:
        conflicts = self.label_conflicts
        if conflicts is None:
            return
        must = "label_conflicts must be LabelConflicts(within=...), or None"
        require(isinstance(conflicts, LabelConflicts), must, conflicts)
        limit = "pending.ttl" if self.label_default is None else "label_default.after"
        must = f"label_conflicts.within must be no longer than {limit} ({self.longest_wait})"
        require(conflicts.within <= self.longest_wait, must, conflicts.within)

    def _check_models(self) -> None:
        must = "models must be a dictionary of names and callables, one or more"
        example = 'for example {"tree": HoeffdingTreeClassifier}'
        is_filled = isinstance(self.models, Mapping) and len(self.models) > 0
        require(is_filled, f"{must}, {example}", self.models)
        self._set("models", dict(self.models))
        for name in self.models:
            is_name = _is_name(name) and name not in _RESERVED
            must = f"models must have names that consist of {_NAME_PARTS}, not {sorted(_RESERVED)}"
            require(is_name, must, name)
            must = f"models must have names of up to {LONGEST_NAME} letters"
            require(len(name) <= LONGEST_NAME, must, name)
        check_factories(self.models, Task(self.task))

    def _check_metrics(self) -> None:
        if self.metrics is None:
            return
        from millrace.models.pipeline.metrics import check_metrics  # noqa: PLC0415 - River: 1 s

        must = "metrics must be a dictionary of names and callables, or None for the task's own"
        require(isinstance(self.metrics, Mapping), must, self.metrics)
        self._set("metrics", dict(self.metrics))
        check_metrics(self.metrics, Task(self.task), self.allowed_labels)

    def _check_features(self) -> None:
        sequence("features", self.features, of="features, for example [fields('age')]")
        if not self.features:
            self._set("features", (fields(*self._default_features()),))
        self._set("features", tuple(self.features))
        check_features(self.features, self.event_schema)
        names = {name for each in self.features for name in each.names}
        for _, source in of_one_topic(self.events, self.labels):
            if isinstance(source.label, str):
                must = f"features must not have the label of LabelSource({source.topic!r})"
                how = "name it as label, too, or leave it out of the features"
                require(source.label not in names, f"{must}: {how}", source.label)

    def _check_drift(self) -> None:
        must = "drift must be DriftSettings(...), for example DriftSettings(policy='replace')"
        require(isinstance(self.drift, DriftSettings), must, self.drift)
        if isinstance(self.drift.inputs, Mapping):
            names = [name for each in self.features for name in each.names]
            for name in self.drift.inputs:
                one_of(f"drift.inputs must be of the features {names}", name, names)

    def _default_features(self) -> list[str]:
        taken = (*id_parts(self.event_id), self.key, self.event_time, self.label)
        schema = self.event_schema
        names = [n for n in schema.field_names if n not in taken and schema.is_primitive(n)]
        must = "schema must have a field to predict from, beside id, key, event time and label"
        if any("." in path for path in schema.paths):
            must += "; name those of nested records in features, as in fields('payment.amount')"
        require(bool(names), must, [*schema.field_names])
        return names


def _check_name(name: object) -> None:
    require(_is_name(name), f"name must consist of {_NAME_PARTS}", name)
    length = len(str(name))
    must = f"name must have up to {LONGEST_NAME} letters, so that Kafka takes its topics' names"
    require(length <= LONGEST_NAME, must, f"{str(name)[:20]}… of {length}")


def _place(name: str) -> str:
    return f"models[{name!r}]"


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None
