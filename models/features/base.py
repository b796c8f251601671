"""What every kind of feature has: names, a check of the schema, and the function that it becomes.

`Pipeline.features` holds features as they were described. The feature operator binds each of them
once, and calls the function that it gets with every event, in the order of the log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Generic, Protocol, TypeAlias, TypeVar

from millrace.models.parameters import one_of, require, sequence, text
from millrace.models.user_code import PASSED_ON, Scalar, own_copy, scalar, shown
from millrace.schemas import DefinitionError, EventSchema
from millrace.schemas.records import Event, Features

Extract: TypeAlias = Callable[[Event], Features]
"""Returns one feature's part of the vector of an event, as that is in `clean`."""

ExtractAll: TypeAlias = Callable[[Sequence[Event]], Sequence[Features | None]]
"""Returns the same for many events; None for one at which it raises, and which is looked at alone.
"""

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Store(Generic[Entry]):
    """Keyed state that a feature asks for, of entries of one type.

    Parameters
    ----------
    name
        In the saved state. Features that ask for the same name share the store, so that each
        chooses keys of its own.
    """

    name: str


class Stores(Protocol):
    """Gives features their stores."""

    def __call__(self, store: Store[Entry], /) -> MutableMapping[str, Entry]:
        """Return the entries, saved with the agent's state and bounded in number.

        An entry counts as changed when it is assigned, not when it is changed in place. The one
        least recently assigned is evicted where there are too many, or where they are too large:
        an entry that may be large says so in an attribute `size_bytes`.
        """


class Feature(ABC):
    """One entry of `Pipeline.features`: gives one or more of the features of a vector.

    A feature that keeps nothing between events derives from `StatelessFeature`. One that keeps
    something checks an event before it changes anything, so that a reject leaves no trace.

    Examples
    --------
    >>> COUNTS = Store[int]("counts")
    >>> class Nth(Feature):
    ...     names = ("nth",)
    ...
    ...     def check(self, schema):
    ...         pass
    ...
    ...     def bind(self, stores):
    ...         counts = stores(COUNTS)
    ...
    ...         def extract(event):
    ...             counts[event["key"]] = counts.get(event["key"], 0) + 1
    ...             return {"nth": counts[event["key"]]}
    ...
    ...         return extract
    >>> extract = Nth().bind(stores=lambda store: {})
    >>> event = Event(event_id="1", key="me", event_time_ms=0, label=None, fields={})
    >>> extract(event), extract(event)
    ({'nth': 1}, {'nth': 2})
    """

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The features that it gives, in order."""

    def alone(self, name: str) -> Feature:  # noqa: ARG002 - others need it
        """Return what gives this one of its names alone, where that can be told: what it means."""
        return self

    @property
    def reads(self) -> object:
        """What tells the fields that it reads: each one that is named in it, as text."""
        return self

    @abstractmethod
    def check(self, schema: EventSchema) -> None:
        """Refuse a schema that it cannot be computed from.

        Raises
        ------
        DefinitionError
            Naming the field and the fix.
        """

    @abstractmethod
    def bind(self, stores: Stores) -> Extract:
        """Return the function that extracts it, with the stores that it keeps its state in.

        That function may raise `RecordError`, where the features of an event cannot be computed.
        """


class StatelessFeature(Feature):
    """A feature that depends on the event alone."""

    @abstractmethod
    def extract(self, event: Event) -> Features:
        """Return its part of the feature vector of an event.

        Raises
        ------
        RecordError
            The features of this event cannot be computed.
        """

    def bind(self, stores: Stores) -> Extract:  # noqa: ARG002 - it keeps no state
        return self.extract

    def bind_all(self, schema: EventSchema) -> ExtractAll:  # noqa: ARG002 - others need it
        """Return the function that extracts it from many events of a schema."""
        return lambda events: [*map(self._extracted, events)]

    def _extracted(self, event: Event) -> Features | None:
        try:
            return self.extract(event)
        except PASSED_ON:
            raise
        except BaseException:  # the user's code may raise anything
            return None


def is_own(feature: Feature) -> bool:
    """Whether a feature is one of Millrace's, whose code need not be checked."""
    return type(feature).__module__.startswith("millrace.")


def bound(feature: Feature, stores: Stores) -> Extract:
    """Return the function of a feature; that of a user's own class gets a copy, and is checked."""
    extract = feature.bind(stores)
    if is_own(feature):
        return extract

    def checked(event: Event) -> Features:
        event = event.copy()
        event["fields"] = own_copy(event["fields"])
        return {name: _value(name, value) for name, value in extract(event).items()}

    return checked


def _value(name: str, value: object) -> Scalar:
    with suppress(TypeError, ValueError, OverflowError):
        found = scalar(value)
        if found is not None and (not isinstance(found, float) or isfinite(found)):
            return found
    must = f"feature {name!r} must be a finite number, a boolean or text"
    raise TypeError(f"{must}; got {shown(value)}")


def check_field(parameter: str, name: str, schema: EventSchema) -> None:
    """Refuse a name that is no field of the schema, the label, or a field that no model can see."""
    if name not in schema:
        known = schema.paths
        one_of(f"{parameter} must be a field of the schema, one of {known}", name, known)
    must = f"{parameter} must not be the label, which is not known when an event is predicted"
    require(name != schema.label, must, name)
    require(
        schema.is_primitive(name),
        f"{parameter} must be a field of numbers, booleans or text; use derived() for another",
        name,
    )


def check_features(features: Sequence[Feature], schema: EventSchema) -> None:
    """Refuse features that the schema does not have the fields for, or of the same name.

    Raises
    ------
    DefinitionError
        Naming the feature and the fix.
    """
    produced: list[str] = []
    for index, feature in enumerate(features):
        where = f"features[{index}]"
        must = f"{where} must be a feature, for example fields('age') or rolling(...)"
        require(isinstance(feature, Feature), must, feature)
        try:
            names = feature.names
            feature.check(schema)
        except DefinitionError:
            raise
        except Exception as error:  # the user's own feature may raise anything
            raise DefinitionError(f"{where} could not be checked; got {shown(error)}") from error
        sequence(f"{where}.names", names, of="names")
        for name in names:
            text(f"{where}.names must hold names, each of which", name)
        produced += names
    for name in produced:
        require(produced.count(name) == 1, "features must have each name once", name)
        require(name != schema.label, "features must have names other than the label's", name)
