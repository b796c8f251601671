"""A pipeline, as its user describes it.

One frozen object defines what an event is, what a model sees of it, which models compete and what
happens when the data drifts. Everything in `streams` follows from it. It is checked in full when
it is made, so that a wrong definition is found before the first event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.models.features import Feature, fields
from millrace.models.features.base import require
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.model import ModelFactory
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError, EventSchema
from millrace.schemas.codec.avro import Schema

if TYPE_CHECKING:
    from river.metrics.base import Metric

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NAME_PARTS = "lower-case letters, digits, '-' and '_', and begin with a letter or a digit"
_RESERVED = frozenset({"no_change", "prior"})


class Scope(StrEnum):
    """What shares one model."""

    GLOBAL = "global"
    PARTITION = "partition"
    KEY = "key"


class OnError(StrEnum):
    """What happens to a record for which the user's own code raises."""

    REJECT = "reject"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """How long an event waits for its label, and how many may wait in one partition.

    Parameters
    ----------
    limit
        Events that may wait at a time; the oldest is evicted. As many early labels may wait, and
        the ids of as many events that have ended are remembered.
    ttl
        How far event time may advance before an event's label counts as late.
    limit_bytes
        Most memory for each of the three, by a rough count; the oldest is evicted.
    """

    limit: int = 100_000
    ttl: timedelta = timedelta(days=7)
    limit_bytes: int = 512 * 1024 * 1024

    def __post_init__(self) -> None:
        require(self.limit > 0, "pending.limit must be above 0", self.limit)
        must = "pending.limit_bytes must be above 0"
        require(self.limit_bytes > 0, must, self.limit_bytes)
        require(self.ttl > timedelta(0), "pending.ttl must be above 0", self.ttl)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The definition of one pipeline.

    Parameters
    ----------
    name
        Prefix of the pipeline's topics: lower-case letters, digits, `-` and `_`.
    schema
        Avro schema of an event: a path to an `.avsc` file, or the parsed JSON.
    event_id
        Field that identifies an event, of type string, int or long.
    task
        `binary`, `multiclass`, `regression` or `anomaly`.
    models
        Name to a callable that returns a fresh River model. The first is the champion, whose
        predictions are published; the others predict and learn beside it, to be compared.
    label
        Field that holds the label in an event that already knows it. Labels may come on the
        topic `labels` whether it is given or not.
    key
        Field by which events belong together; needed for the scopes `partition` and `key`.
    event_time
        Field that says when the event happened: a long in milliseconds since the Unix epoch,
        a logical timestamp, or ISO 8601 text. Without it, the Kafka timestamp counts.
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
        timestamp of its record, is out of range.
    allow_non_finite
        Fields in which NaN and infinity are let through.
    on_error
        What happens to a record for which a feature or the champion raises: `reject` (it is
        written to the topic `rejects`, and the next one follows) or `stop` (the agent halts until
        the problem is fixed).

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
    ...     name="fruits", schema=schema, event_id="id", task="multiclass", models=models
    ... )
    >>> fruits.champion, fruits.features[0].names
    ('bayes', ('size',))
    """

    name: str
    schema: Path | str | Schema
    event_id: str
    task: Task | str
    models: Mapping[str, ModelFactory]
    label: str | None = None
    key: str | None = None
    event_time: str | None = None
    features: Sequence[Feature] = ()
    scope: Scope | str = Scope.GLOBAL
    max_models: int = 10_000
    drift: DriftSettings = field(default_factory=DriftSettings)
    metrics: Mapping[str, Callable[[], Metric]] | None = None
    rolling_window: int = 1_000
    pending: Pending = field(default_factory=Pending)
    earliest: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    max_ahead: timedelta = timedelta(days=1)
    allow_non_finite: Sequence[str] = ()
    on_error: OnError | str = "reject"

    def __post_init__(self) -> None:
        is_name = isinstance(self.name, str) and _NAME.fullmatch(self.name) is not None
        require(is_name, f"name must consist of {_NAME_PARTS}", self.name)
        self._coerce("task", Task)
        self._coerce("scope", Scope)
        self._coerce("on_error", OnError)
        self._check_fields()
        self._check_models()
        if not self.features:
            object.__setattr__(self, "features", (fields(*self._default_features()),))
        self._check_features()
        require(self.rolling_window > 0, "rolling_window must be above 0", self.rolling_window)
        require(self.max_models > 0, "max_models must be above 0", self.max_models)
        has_zone = self.earliest.tzinfo is not None
        require(has_zone, "earliest must be a datetime with a time zone", self.earliest)

    @cached_property
    def event_schema(self) -> EventSchema:
        """The user's schema, and the types that follow from it."""
        return EventSchema(self.schema, self.label)

    @property
    def champion(self) -> str:
        """Name of the model whose predictions are published at first."""
        return next(iter(self.models))

    @property
    def learns_without_labels(self) -> bool:
        """Whether models learn from each event at once, since no label is ever due."""
        return self.task is Task.ANOMALY and self.label is None

    def with_name(self, name: str) -> Pipeline:
        """Return the same pipeline under another name."""
        return replace(self, name=name)

    def _coerce(self, parameter: str, kind: type[StrEnum]) -> None:
        value = getattr(self, parameter)
        try:
            object.__setattr__(self, parameter, kind(value))
        except ValueError:
            choices = ", ".join(repr(each.value) for each in kind)
            raise DefinitionError(f"{parameter} must be one of {choices}; got {value!r}") from None

    def _check_fields(self) -> None:
        known = self.event_schema.field_names
        for parameter in ("event_id", "label", "key", "event_time"):
            name = getattr(self, parameter)
            is_known = name in known or (name is None and parameter != "event_id")
            require(is_known, f"{parameter} must be a field of the schema, one of {known}", name)
        for name in self.allow_non_finite:
            must = f"allow_non_finite must be fields of the schema, of {known}"
            require(name in known, must, name)
        self._check_types("event_id", {"string", "int", "long"})
        self._check_types("key", {"string", "int", "long", "boolean", "enum", "null"})
        self._check_types("event_time", {"string", "long"})
        self._check_types("label", Task(self.task).label_types | {"null"})
        has_key = self.scope is not Scope.KEY or self.key is not None
        require(has_key, "key must be a field of the schema where scope is 'key'", self.key)

    def _check_types(self, parameter: str, allowed: Set[str]) -> None:
        name = getattr(self, parameter)
        if name is not None:
            found = self.event_schema.types_of(name)
            must = f"{parameter} {name!r} must be of the Avro types {sorted(allowed)}"
            require(allowed >= {*found}, must, [*found])

    def _check_models(self) -> None:
        require(len(self.models) > 0, "models must have one or more entries", self.models)
        for name, factory in self.models.items():
            is_name = _NAME.fullmatch(name) is not None and name not in _RESERVED
            must = f"models must have names that consist of {_NAME_PARTS}, not {sorted(_RESERVED)}"
            require(is_name, must, name)
            must = f"models[{name!r}] must be a callable that returns a fresh model,"
            example = "for example lambda: HoeffdingTreeClassifier()"
            require(callable(factory), f"{must} {example}", factory)
            Task(self.task).check_model(name, factory())

    def _check_features(self) -> None:
        produced: list[str] = []
        for feature in self.features:
            feature.check(self.event_schema)
            produced += feature.names
        for name in produced:
            require(produced.count(name) == 1, "features must have each name once", name)
            require(name != self.label, "features must have names other than the label's", name)

    def _default_features(self) -> list[str]:
        taken = {self.event_id, self.key, self.event_time, self.label}
        schema = self.event_schema
        names = [n for n in schema.field_names if n not in taken and schema.is_primitive(n)]
        must = "schema must have a field to predict from, beside id, key, event time and label"
        require(bool(names), must, [*schema.field_names])
        return names
