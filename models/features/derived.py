"""A feature that a function of the user's computes from the fields of an event."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from millrace.models.features.base import Feature, StatelessFeature, plain
from millrace.models.parameters import function as callable_
from millrace.models.parameters import named, text
from millrace.schemas import EventSchema, RecordError, RejectReason
from millrace.schemas.records import Event, Features, Fields

Function: TypeAlias = Callable[[Fields], bool | int | float | str | None]
"""Computes a feature from the fields of an event, by name."""


@named
def derived(name: str, function: Function) -> Feature:
    """Return a feature computed from the event's fields by a pure function.

    Parameters
    ----------
    name
        Of the feature.
    function
        Gets the fields by name, null as None. Returns a boolean, a finite number or text, or None
        where the feature is missing, and depends on nothing else.

    Examples
    --------
    >>> debt_ratio = derived("debt_ratio", lambda fields: fields["debt"] / fields["income"])
    >>> debt_ratio.names
    ('debt_ratio',)
    """
    text("derived(): name", name)
    callable_(f"derived({name!r}): function", function, arguments=1, returns="a value")
    return _Derived(name, function)


@dataclass(frozen=True)
class _Derived(StatelessFeature):
    name: str
    function: Function

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def check(self, schema: EventSchema) -> None:
        """Any schema will do: what the function reads, only the function knows."""

    def extract(self, event: Event) -> Features:
        try:
            value = plain(self.function(event["fields"]))
        except Exception as error:  # the user's code may raise anything
            raise self._failed(f"raised {error!r}") from error
        if value is None:
            return {}
        if not isinstance(value, bool | int | float | str):
            raise self._failed(f"must return a boolean, a number, text or None; got {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self._failed(f"must return a finite number; got {value!r}")
        return {self.name: value}

    def _failed(self, what: str) -> RecordError:
        return RecordError(RejectReason.FEATURE_ERROR, f"derived({self.name!r}) {what}")
