"""A pipeline, as its user describes it.

One frozen object says what an event is, what a model sees of it, which models compete and what
happens when the data drifts. Everything else follows from it: `streams` reads it and nothing
else. It is checked in full when it is made, so that a wrong definition never meets an event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from millrace.models.candidates.tasks import Task
from millrace.models.features import Feature, fields
from millrace.models.monitoring.drift import DriftSettings
from millrace.schemas import DefinitionError, EventSchema

ModelFactory = Callable[[], Any]
"""Returns a fresh River model: the same one, seed and all, at every call."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_RESERVED = frozenset({"no_change", "prior"})


class Scope(StrEnum):
    """What shares one model."""

    GLOBAL = "global"
    PARTITION = "partition"
    KEY = "key"


class OnError(StrEnum):
    """What happens to a record at which the user's own code raises."""

    REJECT = "reject"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """How long an event waits for its label, and how many may wait in one partition.

    Parameters
    ----------
    limit
        Events that may wait at a time; the oldest gives way.
    ttl
        How far event time may move on before an event's label counts as late.
    """

    limit: int = 100_000
    ttl: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        _require(self.limit > 0, "pending.limit requires a number above 0", self.limit)
        _require(self.ttl > timedelta(0), "pending.ttl requires a time above 0", self.ttl)


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
        Name to a callable that returns a fresh River model. The first is the champion: it
        serves; the others predict and learn beside it, to be compared.
    label
        Field that holds the label in an event that already knows it. Labels may come on the
        topic `labels` whether it is given or not.
    key
        Field by which events belong together; needed for the scopes `partition` and `key`.
    event_time
        Field that says when the event happened: a long in milliseconds since the Unix epoch,
        a logical timestamp, or ISO 8601 text. Without it, the Kafka timestamp counts.
    features
        What a model sees; see `models.features`. By default every field of the schema that is
        a number, a boolean or text, but for the id, the key, the event time and the label.
    scope
        `global` (one model), `partition` (one per partition) or `key` (one per key).
    max_models
        With scope `key`: how many models one partition holds; the least recently used goes.
    drift
        Detectors, and what happens when one fires; see `models.monitoring.drift`.
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
        What happens to a record at which a feature or the champion raises: `reject` (to the
        topic `rejects`, and on to the next) or `stop` (the agent stands still until it is mended).

    Raises
    ------
    DefinitionError
        Naming the parameter, and what to write instead.
    """

    name: str
    schema: Path | str | dict[str, Any]
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
    metrics: Mapping[str, Callable[[], Any]] | None = None
    rolling_window: int = 1_000
    pending: Pending = field(default_factory=Pending)
    earliest: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    max_ahead: timedelta = timedelta(days=1)
    allow_non_finite: Sequence[str] = ()
    on_error: OnError | str = "reject"

    def __post_init__(self) -> None:
        _require(
            isinstance(self.name, str) and _NAME.fullmatch(self.name) is not None,
            "name requires lower-case letters, digits, '-' and '_'",
            self.name,
        )
        self._coerce("task", Task)
        self._coerce("scope", Scope)
        self._coerce("on_error", OnError)
        self._check_fields()
        self._check_models()
        if not self.features:
            object.__setattr__(self, "features", (fields(*self._default_features()),))
        self._check_features()
        _require(
            self.rolling_window > 0, "rolling_window requires a number above 0", self.rolling_window
        )
        _require(self.max_models > 0, "max_models requires a number above 0", self.max_models)
        _require(
            self.earliest.tzinfo is not None,
            "earliest requires a datetime with a time zone",
            self.earliest,
        )

    @cached_property
    def event_schema(self) -> EventSchema:
        """The user's schema, and the types that follow from it."""
        return EventSchema(self.schema, self.label)

    @property
    def champion(self) -> str:
        """Name of the model that serves."""
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
            raise DefinitionError(f"{parameter} requires one of {choices}; got {value!r}") from None

    def _check_fields(self) -> None:
        known = self.event_schema.field_names
        for parameter in ("event_id", "label", "key", "event_time"):
            name = getattr(self, parameter)
            if name is not None or parameter == "event_id":
                _require(name in known, f"{parameter} requires a field of the schema {known}", name)
        for name in self.allow_non_finite:
            _require(name in known, f"allow_non_finite requires fields of the schema {known}", name)
        self._check_types("event_id", {"string", "int", "long"})
        self._check_types("key", {"string", "int", "long", "boolean", "enum", "null"})
        self._check_types("event_time", {"string", "long"})
        self._check_types("label", Task(self.task).label_types | {"null"})
        _require(
            self.scope is not Scope.KEY or self.key is not None,
            "scope 'key' requires the parameter key, the field to keep models by",
            self.key,
        )

    def _check_types(self, parameter: str, allowed: Set[str]) -> None:
        name = getattr(self, parameter)
        if name is not None:
            found = set(self.event_schema.types_of(name))
            _require(
                found <= allowed,
                f"{parameter} {name!r} requires one of the Avro types {sorted(allowed)}",
                sorted(found),
            )

    def _check_models(self) -> None:
        _require(len(self.models) > 0, "models requires at least one name and factory", self.models)
        for name, factory in self.models.items():
            _require(
                _NAME.fullmatch(name) is not None and name not in _RESERVED,
                f"models requires names of lower-case letters, not {sorted(_RESERVED)}",
                name,
            )
            _require(
                callable(factory)
                and (isinstance(factory, type) or not hasattr(factory, "learn_one")),
                f"models[{name!r}] requires a callable that returns a fresh model,"
                " for example lambda: HoeffdingTreeClassifier()",
                factory,
            )
            Task(self.task).check_model(name, factory())

    def _check_features(self) -> None:
        produced: list[str] = []
        for feature in self.features:
            feature.check(self.event_schema)
            produced += feature.names
        for name in produced:
            _require(produced.count(name) == 1, "features requires each name once", name)
            _require(name != self.label, "features requires names other than the label", name)

    def _default_features(self) -> list[str]:
        taken = {self.event_id, self.key, self.event_time, self.label}
        schema = self.event_schema
        names = [n for n in schema.field_names if n not in taken and schema.is_primitive(n)]
        _require(
            bool(names), "schema requires at least one field to predict from", [*schema.field_names]
        )
        return names


def _require(holds: bool, requirement: str, got: object) -> None:
    if not holds:
        raise DefinitionError(f"{requirement}; got {got!r}")
