"""A feature that a function of the user's computes from the fields of an event."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from millrace.models.features.base import Feature, StatelessFeature
from millrace.models.parameters import function as callable_
from millrace.models.parameters import named, text
from millrace.models.user_code import PASSED_ON, Scalar, own_copy, scalar, shown
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
        Gets a copy of the fields by name, null as None. Returns a boolean, a finite number or text,
        or None where the feature is missing, and depends on nothing else.

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

    @property
    def reads(self) -> object:
        return self.function

    def check(self, schema: EventSchema) -> None:
        """Any schema will do: what the function reads, only the function knows."""

    def extract(self, event: Event) -> Features:
        try:
            returned = self.function(own_copy(event["fields"]))
        except PASSED_ON:
            raise
        except BaseException as error:
            raise self._failed(f"raised {shown(error)}") from error
        value = self._converted(returned)
        if value is None:
            return {}
        if isinstance(value, float) and not math.isfinite(value):
            raise self._failed(f"must return a finite number; got {value!r}")
        return {self.name: value}

    def _converted(self, returned: object) -> Scalar | None:
        try:
            return scalar(returned)
        except TypeError:
            must = "must return a boolean, a number, text or None"
            raise self._failed(f"{must}; got {shown(returned)}") from None
        except (ValueError, OverflowError) as error:
            raise self._failed(f"returned what cannot be written: {error}") from None

    def _failed(self, what: str) -> RecordError:
        return RecordError(RejectReason.FEATURE_ERROR, f"derived({self.name!r}) {what}")
