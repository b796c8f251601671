"""The definition: how often intervals and sets are to hold, and what moves their threshold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from millrace.models.certainty.pi import ProportionalIntegral
from millrace.models.certainty.sf_ogd import ScaleFreeDescent
from millrace.models.parameters import choice, named_fields, require
from millrace.models.sealed import Fields

Threshold: TypeAlias = ScaleFreeDescent | ProportionalIntegral
"""What is kept of one model: its threshold, and what moves it."""

_LEAST, _MOST = 0.5, 0.999


class Method(StrEnum):
    """What moves the threshold.

    Examples
    --------
    >>> Method("pi")
    <Method.PI: 'pi'>
    """

    SF_OGD = "sf_ogd"
    """Follows the newest labels: the narrowest, and three numbers a model."""
    PI = "pi"
    """Also makes up for what was missed before: wider after a change, where labels come late."""


_KINDS: dict[Method, type[Threshold]] = {
    Method.SF_OGD: ScaleFreeDescent,
    Method.PI: ProportionalIntegral,
}


@named_fields
@dataclass(frozen=True, kw_only=True)
class Conformal:
    """How certain predictions are: intervals for numbers, sets for classes.

    Parameters
    ----------
    coverage
        How often the label is to be in the interval, or in the set: from 0.5 to 0.999.
    method
        `sf_ogd` or `pi`; see `Method`.
    by_key
        Whether each key of events has a threshold of its own, where models are for all keys; where
        those are by key, thresholds are. At most `max_models` are kept.
    abstain
        For classes: whether a prediction whose set has no class, or several, is published without
        a value, and with the reason.

    Raises
    ------
    DefinitionError
        Naming the parameter.

    Examples
    --------
    >>> Conformal(coverage=0.95).method
    <Method.SF_OGD: 'sf_ogd'>
    >>> Conformal(coverage=95)
    Traceback (most recent call last):
    millrace.schemas.errors.DefinitionError: certainty.coverage must be a number from 0.5 to 0.999;
    got 95
    """

    coverage: float = 0.9
    method: Method | str = Method.SF_OGD
    by_key: bool = False
    abstain: bool = False

    def __post_init__(self) -> None:
        given = self.coverage
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        must = f"certainty.coverage must be a number from {_LEAST} to {_MOST}"
        require(is_number and _LEAST <= given <= _MOST, must, given)
        object.__setattr__(self, "coverage", float(given))  # NumPy's would be in the state
        object.__setattr__(self, "method", choice("certainty.method", self.method, Method))
        for name in ("by_key", "abstain"):
            value = getattr(self, name)
            require(isinstance(value, bool), f"certainty.{name} must be True or False", value)

    def threshold(self, fields: Fields | None = None) -> Threshold:
        """Return the threshold of a model: a fresh one, or the one that was saved.

        What was saved by the other method is read: the threshold goes on from where it was.

        Parameters
        ----------
        fields
            What `to_fields` returned.
        """
        return _KINDS[Method(self.method)].from_fields(fields or {})
